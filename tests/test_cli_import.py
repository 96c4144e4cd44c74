"""The command import."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Zoo = Callable[..., Result]


def test_an_imported_registry_is_read_beside_the_others(
    zoo: Zoo, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert zoo("export", str(stripes), "-o", "class.zip").exit_code == 0
    result = zoo("import", "class.zip")
    assert (result.exit_code, result.stderr) == (0, "")
    assert zoo("pull", "bernoulli.stripes", "nade.mnist").exit_code == 0
    again = zoo("import", "class.zip", "--force")
    assert (again.exit_code, again.stderr) == (0, "")
