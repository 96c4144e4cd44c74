import filecmp
import re
import tomllib
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest
from click.testing import CliRunner, Result

from factories import list_files
from zoo_core.cli import root

ROOT = Path(__file__).parent.parent


TEMPLATE = ROOT / "examples" / "plugin-template"


def zoo(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["plugin", *arguments])


def test_under_its_own_name_the_template_is_written_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    result = zoo("new", "my-family", "--path", str(folder))
    assert result.exit_code == 0, result.output
    assert list_files(folder) == list_files(TEMPLATE)
    _, differing, missing = filecmp.cmpfiles(TEMPLATE, folder, list_files(TEMPLATE), shallow=False)
    assert not differing
    assert not missing
    assert result.stdout.split() == sorted(str(folder / file) for file in list_files(folder))


@pytest.mark.parametrize("given", ["row-of-2-suns", "zoo-row-of-2-suns"])
def test_the_name_is_everywhere(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = zoo("new", given)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "zoo-row-of-2-suns"
    text = "".join((folder / file).read_text() for file in list_files(folder)) + str(
        list_files(folder)
    )
    assert not re.search("my-family|my_family|MyFamily", text)
    described = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert described["name"] == "zoo-row-of-2-suns"
    points = described["entry-points"]["zoo.families.v1"]
    assert points == {"row-of-2-suns": "zoo_row_of_2_suns.plugin"}
    assert "class RowOf2Suns(" in (folder / "zoo_row_of_2_suns" / "model.py").read_text()
    assert "zoo plugin check ." in result.stderr
