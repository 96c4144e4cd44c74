"""The command export."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from factories import case_of, save_case
from zoo_core.cli import root


def test_export_writes_a_file_for_each_function(tmp_path: Path, onnxruntime: Any) -> None:
    path = save_case(case_of("bernoulli"), tmp_path)
    folder = tmp_path / "out"
    arguments = ["export", str(path), "-f", "conditionals", "-o", str(folder)]
    done = CliRunner().invoke(root, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert done.stderr == "exporting conditionals, 1 of 1\n"
    (row,) = json.loads(done.stdout)
    assert row["function"] == "conditionals" and Path(row["path"]).stat().st_size == row["bytes"]
    again = CliRunner().invoke(root, arguments)
    assert again.exit_code == 2 and "--force" in again.stderr
    assert CliRunner().invoke(root, [*arguments, "--force"]).exit_code == 0


def test_functions_are_of_onnx_alone(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["export", "x", "-f", "step", "--format", "torch"])
    assert done.exit_code == 2 and "--function chooses ONNX files" in done.stderr


def test_wheels_are_of_a_bundle_alone() -> None:
    done = CliRunner().invoke(root, ["export", "x", "--wheels", "--format", "torch"])
    assert done.exit_code == 2 and "--wheels are packed into FILE.zip" in done.stderr
