import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zoo_core.cli import root

Zoo = Callable[..., Result]


def test_a_run_is_published_under_a_licence(
    zoo: Zoo, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = str(tmp_path / "zoo")
    result = zoo("publish", str(stripes), there)
    assert result.exit_code == 2
    assert (
        "does not say under which licence its code and weights may be used: give --code-licence "
        "and --licence with an SPDX identifier" in result.stderr
    )
    half = zoo("publish", str(stripes), there, "--code-licence", "MIT")
    assert "under which licence its weights may be used: give --licence with" in half.stderr
    assert not Path(there).exists()
    licences = ("--licence", "CC0-1.0", "--code-licence", "Apache-2.0")
    result = zoo("publish", str(stripes), there, *licences)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "registry.toml"
    assert f"published bernoulli.stripes at {there}" in result.stderr
    again = zoo("publish", str(stripes), there, *licences)
    assert (again.stdout, again.stderr) == ("", f"{there} has all of it already\n")
    written = json.loads(zoo("publish", str(stripes), there, *licences, "--json").stdout)
    assert written == {"entries": ["bernoulli.stripes"], "written": []}
    monkeypatch.setenv("ZOO_REGISTRY", there)
    assert zoo("registry", "check").stdout == "1 entry is sound\n"


@pytest.mark.parametrize("flag", ["--licence", "--code-licence"])
def test_a_licence_that_spdx_does_not_have_is_refused(
    flag: str, zoo: Zoo, stripes: Path, tmp_path: Path
) -> None:
    result = zoo("publish", str(stripes), str(tmp_path / "zoo"), flag, "nonsense")
    assert result.exit_code == 2
    assert "'nonsense' is not a licence of SPDX" in result.stderr
    assert not (tmp_path / "zoo").exists()


def test_a_licence_is_published_as_spdx_spells_it(zoo: Zoo, stripes: Path, tmp_path: Path) -> None:
    licences = ("--licence", "cc0-1.0", "--code-licence", "LicenseRef-Ours")
    there = tmp_path / "zoo"
    assert zoo("publish", str(stripes), str(there), *licences, "--no-pictures").exit_code == 0
    licence = tomllib.loads((there / "registry.toml").read_text())["entry"][0]["licence"]
    assert licence == {"code": "LicenseRef-Ours", "weights": "CC0-1.0"}


def test_licences_are_asked_for_on_a_terminal_until_they_are_of_spdx(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_core.cli.publish._is_asked", lambda: True)
    there = tmp_path / "zoo"
    command = ["publish", str(stripes), str(there), "--no-pictures"]
    result = CliRunner().invoke(root, command, input="MIT\nnonsense\ncc-by-4.0\n")
    assert result.exit_code == 0, result.stderr
    questions = [f"Licence of the {it} of bernoulli.stripes: " for it in ("code", "weights")]
    assert [result.stderr.count(question) for question in questions] == [1, 2]
    assert "Error: 'nonsense' is not a licence of SPDX: give an identifier" in result.stderr
    licence = tomllib.loads((there / "registry.toml").read_text())["entry"][0]["licence"]
    assert licence == {"code": "MIT", "weights": "CC-BY-4.0"}


def test_a_bundle_travels(
    zoo: Zoo, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, folder = tmp_path / "class.zip", tmp_path / "class"
    result = zoo("export", str(stripes), "bernoulli.nltcs", "-o", str(bundle))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(f"bernoulli.stripes, bernoulli.nltcs  {bundle}  ")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    result = zoo("import", str(bundle), "-o", str(folder))
    assert result.exit_code == 0
    assert result.stdout == "bernoulli.stripes\nbernoulli.nltcs\n"
    assert result.stderr == ""
    assert zoo("show", "bernoulli.stripes").exit_code == 0
    monkeypatch.setenv("ZOO_REGISTRY", str(folder))
    assert zoo("run", "bernoulli.stripes", "-n", "1", "-o", str(tmp_path / "x.png")).exit_code == 0
    assert zoo("registry", "check").exit_code == 1  # the run's licence is unknown


def test_a_bundle_with_other_weights_of_a_known_name_is_not_read(
    zoo: Zoo,
    tmp_path: Path,
    published: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle, folder = tmp_path / "class.zip", tmp_path / "class"
    assert zoo("export", "bernoulli.nltcs", "-o", str(bundle)).exit_code == 0
    monkeypatch.setenv("ZOO_REGISTRY", str(published("bernoulli.nltcs")))
    result = zoo("import", str(bundle), "-o", str(folder))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "not read beside the others: entry 'bernoulli.nltcs' is both in" in result.stderr
    assert f"ZOO_REGISTRY={folder} reads it alone" in result.stderr


def test_one_model_at_a_time_is_exported_for_others(zoo: Zoo) -> None:
    result = zoo("export", "nade.mnist", "nade.dna", "--format", "torch")
    assert result.exit_code == 2
    assert "one model at a time is exported as torch; `zoo export nade.mnist nade.dna -o" in (
        result.stderr
    )
    result = zoo("export", "nade.mnist", "-o", "x.zip", "-f", "decode")
    assert "--function chooses ONNX files; with --format zip" in result.stderr


def test_a_missing_destination_is_said(zoo: Zoo) -> None:
    result = zoo("publish", "runs/nade.mnist")
    assert result.exit_code == 2
    assert "say what is published and where: zoo publish runs/nade.mnist DEST" in result.stderr


def test_a_file_to_write_is_named_by_an_option(zoo: Zoo) -> None:
    result = zoo("export", "nade.mnist", "x.zip")
    assert result.exit_code == 2
    assert "x.zip does not exist. If it is to be written: zoo export nade.mnist -o x.zip" in (
        result.stderr
    )
