import json
import subprocess
import sys
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest
from click.testing import CliRunner, Result

from factories import change_file, list_files
from zoo_core.cli import project, root


def zoo(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["plugin", *arguments])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("My-Family", "expected lower case letters, digits and single hyphens"),
        ("my--family", "cannot name a family"),
        ("2-suns", "from a letter on"),
        ("../up", "cannot name a family"),
        ("zoo-core", "zoo-core is zoo itself"),
        ("autoregressive-nade", None),
        ("nade", "'nade' is an architecture of zoo-autoregressive"),
    ],
)
def test_names_are_checked(
    name: str, text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = zoo("new", name)
    assert result.exit_code == (0 if text is None else 2)
    assert (text or "") in result.stderr
    assert len(list(tmp_path.glob("zoo-*"))) == (text is None)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    result = zoo("new", "mine", "--path", str(tmp_path))
    assert result.exit_code == 2
    assert "exists and is not empty; nothing was written" in result.stderr
    assert list_files(tmp_path) == {"precious"}
    result = zoo("new", "mine", "--path", str(tmp_path / "absent" / "mine"))
    assert "is no folder; make it first" in result.stderr


def test_a_project_is_checked_without_being_installed(tmp_path: Path) -> None:
    """From the command line: what passes, what fails, and what the model declares that it skips."""
    folder = tmp_path / "fresh"
    project.write("fresh", folder)
    skips = 'check=Check(skips={"sums_to_one": "it is a toy"}),\n        )\n'
    change_file(folder, "plugin.py", "        )\n", f"            {skips}")
    change_file(folder, "plugin.py", "Architecture, hookimpl", "Architecture, Check, hookimpl")
    change_file(folder, "model.py", "return x.reshape", "return 2 * x.reshape")
    laws = ["event_shape", "sums_to_one", "samples_have_shape_and_range"]
    options = [word for law in laws for word in ("--law", law)]
    command = [sys.executable, "-m", "zoo_core", "plugin", "check", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert "ok    event_shape  fresh()" in done.stdout
    assert "skip  sums_to_one  fresh()\n      it is a toy" in done.stdout
    assert "FAIL  samples_have_shape_and_range  fresh()" in done.stdout
    assert "measured: values from 0 to 2" in done.stdout
    assert "error: family 'fresh' breaks samples_have_shape_and_range (1 passed" in done.stderr


def test_a_check_of_nothing_is_no_success(tmp_path: Path) -> None:
    folder = tmp_path / "fresh"
    project.write("fresh", folder)
    change_file(folder, "model.py", "import torch", "import torch\nimport nowhere_at_all")
    command = [sys.executable, "-m", "zoo_core", "plugin", "check", str(folder)]
    law = ["--law", "event_shape"]
    done = subprocess.run([*command, *law], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "no architecture of family 'fresh' could be checked against a law" in done.stderr


def test_check_by_name_gives_json() -> None:
    result = zoo("check", "autoregressive", "--law", "hooks_are_known", "--json")
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["law"], row["outcome"]) == ("hooks_are_known", "passed")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["autoregresive"], 4, "Did you mean autoregressive?"),
        (["autoregressive", "--law", "sums_to_two"], 3, "Did you mean sums_to_one?"),
        (["autoregressive", "--architecture", "nada"], 3, "Did you mean nade or"),
        (["./nowhere/at/all"], 3, "holds no pyproject.toml"),
    ],
)
def test_what_cannot_be_checked_is_said(arguments: list[str], code: int, text: str) -> None:
    result = zoo("check", *arguments)
    assert result.exit_code == code
    assert text in result.stderr


def test_a_project_without_a_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"')
    result = zoo("check", str(tmp_path))
    assert result.exit_code == 2
    assert 'expected [project.entry-points."zoo.families.v1"]' in result.stderr
