"""`zoo run -o FOLDER/`: what the command says, refuses and starts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import toy_models
from zoo_core import loading
from zoo_core.bulk import Done, Share, run_parts
from zoo_core.cli import root
from zoo_core.cli.run_parts import _progress, _span


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and 20 rows."""
    monkeypatch.chdir(tmp_path)
    described = {"family": "autoregressive", "requires": "zoo-autoregressive", "name": "m.x"}
    config = {"shape": [6], "hidden": 5}
    record = {**described, "architecture": "nade", "config": config}
    loading.save(toy_models.nade(6), tmp_path / "m.safetensors", record)
    np.save("x.npy", np.eye(20, 6, dtype=np.uint8))
    return tmp_path


SCORE = ("run", "m.safetensors", "-t", "score", "-i", "x.npy", "--part-rows", "8")


def zoo(*args: str) -> Result:
    return CliRunner().invoke(root, args, prog_name="zoo")


def test_the_result_in_parts(here: Path) -> None:
    result = zoo(*SCORE, "-o", "new/out/")
    assert result.exit_code == 0, result.output
    assert result.stdout == "new/out\n"
    assert "20 rows in 3 parts (" in result.stderr and "rows/s) -> new/out" in result.stderr
    assert len(list((here / "new" / "out").iterdir())) == 4
    again = json.loads(zoo(*SCORE, "-o", "new/out/", "--json").stdout)
    assert (again["output"], again["rows"], again["parts"]) == ("new/out", 0, 0)
    assert zoo(*SCORE, "-o", "quiet/", "-q").stderr == ""


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("-o", "a/", "-o", "b.csv"), "--output a/, b.csv: a folder gets the whole result"),
        (("-o", "a/", "-f"), "--force: the parts in a/ are not overwritten"),
        (
            (
                "-o",
                "a.csv",
            ),
            "--part-rows is for a result in parts: give --output FOLDER/",
        ),
        (("-o", "a/", "--seed", "1"), "was begun with seed 0, and now 1"),
    ],
)
@pytest.mark.usefixtures("here")
def test_what_is_refused(args: tuple[str, ...], text: str) -> None:
    zoo(*SCORE, "-o", "a/")
    result = zoo(*SCORE, *args)
    assert result.exit_code == 2 and text in result.output


def test_a_process_of_several_takes_its_share(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("LOCAL_RANK", rank)
        result = zoo(*SCORE, "-o", "out/")
        assert f"process {int(rank) + 1} of 2: " in result.stderr
        said = zoo(*SCORE, "-o", "out/", "--json").stdout
        assert (said and json.loads(said)["processes"]) == ("" if rank == "1" else 2)
    assert json.loads((here / "out" / "manifest.json").read_text())["complete"]


def test_devices_start_processes(here: Path) -> None:
    command = [sys.executable, "-m", "zoo_core", *SCORE, "-o", "out/", "--devices", "2"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert "process 1 of 2: 12 rows in 2 parts" in done.stderr
    assert "process 2 of 2: 8 rows in 1 part (" in done.stderr
    zoo(*SCORE, "-o", "one/")
    for path in (here / "one").iterdir():
        assert path.read_bytes() == (here / "out" / path.name).read_bytes()


def test_tasks_of_an_array_start_processes_of_their_own(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"COUNT": "2", "MIN": "0", "MAX": "1", "ID": "1"}
    for name, value in place.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)

    @contextmanager
    def together(processes: int) -> Iterator[Share]:
        yield Share(0, processes, 0)

    monkeypatch.setattr("zoo_core.bulk.shares.together", together)
    result = zoo(*SCORE, "-o", "out/", "--devices", "2")
    assert "process 3 of 4: 4 rows in 1 part (" in result.stderr
    assert "; 2 parts are missing yet" in result.stderr
    assert (here / "out" / "part-00002.parquet").exists()


def test_workers_of_ray_are_given_what_the_command_says(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []

    def run_on_ray(model: Path, task: str, folder: Path, **settings: Any) -> Done:
        workers, *_ = (settings.pop(key) for key in ("workers", "device", "dtype"))
        given.append({"model": model, "workers": workers, **settings})
        return run_parts(model, task, folder, **settings)

    monkeypatch.setattr("zoo_core.bulk.on_ray.run_on_ray", run_on_ray)
    result = zoo(*SCORE, "-o", "out/", "--engine", "ray", "--devices", "2")
    assert result.exit_code == 0, result.output
    assert "20 rows in 3 parts (" in result.stderr
    (settings,) = given
    assert (settings["model"], settings["workers"]) == (here / "m.safetensors", 2)
    assert settings["part_rows"] == 8
    result = zoo("run", "m.safetensors", "-t", "score", "-i", "x.npy", "--engine", "ray")
    assert "--engine is for a result in parts: give --output FOLDER/" in result.output


def test_progress_and_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 30.0, 61.0, 70.0])
    monkeypatch.setattr("zoo_core.cli.run_parts.time.monotonic", lambda: next(clock))
    show = _progress()
    for done in (100, 200, 300):
        show(done, 1000)
    assert capsys.readouterr().err == "200 of 1,000 rows, 3 rows/s, 4 min left\n"
    assert [_span(s) for s in (5, 600, 9000)] == ["5 s", "10 min", "2.5 h"]
