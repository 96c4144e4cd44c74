"""Training from given weights: what is taken up, what begins anew, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import zoo_core
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.training import recipe as recipes

SMALL: dict[str, Any] = {"data": "bars-and-stripes", "config": {"hidden": 8}, "threads": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo_core.Run:
    folder = tmp_path_factory.mktemp("runs") / "nade.bars-and-stripes"
    return zoo_core.train("nade", epochs=4, output=folder, quiet=True, **SMALL)


def test_training_starts_from_a_run_with_its_architecture_and_config(
    run: zoo_core.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = zoo_core.train(
        start=run.folder, data="bars-and-stripes", epochs=1, threads=1, output=tmp_path / "r"
    )
    assert (started.entry["architecture"], started.entry["config"]["hidden"]) == ("nade", 8)
    assert f"begins from {run.folder}: 5 of 5 tensors\n" in capsys.readouterr().err
    rows = [json.loads(line) for line in (started.folder / "metrics.jsonl").open()]
    first = next(row["val_nll"] for row in rows if "val_nll" in row)
    assert first < run.metrics["test_nll"] + 0.01
    said = recipes.read(started.folder / "recipe.toml")
    source = loading.open_source(run.folder)
    assert (said.start, said.start_sha256) == (str(run.folder), source.sha256)


def test_layers_of_other_shapes_begin_anew_and_are_named(run: zoo_core.Run, tmp_path: Path) -> None:
    arguments = ["--from", str(run.folder), "--data", "bars-and-stripes-4", "--epochs", "1"]
    result = CliRunner().invoke(
        root, ["train", *arguments, "--threads", "1", "-o", str(tmp_path / "nade.four")]
    )
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("begins from")]
    assert line.startswith(f"begins from {run.folder}: 1 of 5 tensors; begun anew: ")
    assert "W (16, 8) (was (9, 8))" in line
    assert "config.shape" not in result.stderr


def test_a_run_that_was_started_from_weights_resumes(run: zoo_core.Run, tmp_path: Path) -> None:
    given = {"start": run.folder, "data": "bars-and-stripes", "threads": 1, "quiet": True}
    whole = zoo_core.train(**given, epochs=2, output=tmp_path / "a" / "nade.x")
    again = zoo_core.train(resume=whole.folder, quiet=True)
    assert again.entry == whole.entry


def test_weights_of_another_digest_are_not_started_from(run: zoo_core.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Leave start_sha256 out to start from these"):
        zoo_core.train(
            start=run.folder,
            data="bars-and-stripes",
            output=tmp_path / "r",
            start_sha256="0" * 64,
        )


def test_weights_of_which_nothing_fits_are_refused(run: zoo_core.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is nothing to start from"):
        zoo_core.train(
            "vae", start=run.folder, data="bars-and-stripes", output=tmp_path / "r", quiet=True
        )
