"""The command import."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import zoo_core

Zoo = Callable[..., Result]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "bernoulli.stripes"
    return zoo_core.train("bernoulli", data="bars-and-stripes", output=output, quiet=True).folder


def test_an_imported_registry_is_read_beside_the_others(
    zoo: Zoo, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert zoo("export", str(run), "-o", "class.zip").exit_code == 0
    result = zoo("import", "class.zip")
    assert (result.exit_code, result.stderr) == (0, "")
    assert zoo("pull", "bernoulli.stripes", "nade.mnist").exit_code == 0
    again = zoo("import", "class.zip", "--force")
    assert (again.exit_code, again.stderr) == (0, "")
