"""Several processes of one run: they compute what one would, and end together however they end."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from safetensors.torch import load_file

from zoo_core.training.processes import Votes, gather, is_first

TINY = ["nade", "--data", "bars-and-stripes", "--set", "config.hidden=8", "--threads", "1"]
TWO = ["--device", "cpu", "--devices", "2"]
RUN = Path("runs/nade.bars-and-stripes")

linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")


SECONDS = 30
"""For an end that takes two of them: another load of the machine may slow it down."""


def start(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "zoo_core", "train", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def train(*arguments: str, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    process = start(*arguments, folder=folder)
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 0, stderr
    return stderr


def rows(folder: Path) -> list[dict[str, Any]]:
    path = folder / RUN / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def running(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A run of two processes that has trained some epochs, and the second process."""
    folder.mkdir(exist_ok=True)
    process = start(*TINY, *TWO, "--epochs", "100000", folder=folder)
    for _ in range(3000):
        if len(rows(folder)) > 6:
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return process, int(children[0])


def wait_until_gone(pid: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.05)


def test_two_processes_and_parts_of_steps_follow_the_losses_of_one(tmp_path: Path) -> None:
    settings = [*TINY, "--epochs", "5", "--lr", "0.02", "--batch-size", "50"]
    train(*settings, folder=tmp_path / "one")
    stderr = train(*settings, *TWO, folder=tmp_path / "two")
    train(*settings, "--set", "accumulate=3", folder=tmp_path / "parts")
    expected = rows(tmp_path / "one")
    assert expected[-1]["val_nll"] < expected[1]["val_nll"] - 0.2
    for other in ("two", "parts"):
        for row, (ours, theirs) in enumerate(zip(rows(tmp_path / other), expected, strict=True)):
            for key in theirs.keys() - {"steps_per_s"}:
                assert ours[key] == pytest.approx(theirs[key], abs=1e-4), (other, row, key)
    assert (tmp_path / "two" / RUN / "entry.toml").is_file()
    assert stderr.count("is trained") == 1  # one speaks for all


@linux
def test_a_process_that_dies_ends_the_run_and_another_number_goes_on(tmp_path: Path) -> None:
    process, other = running(tmp_path)
    os.kill(other, signal.SIGKILL)
    stderr = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 1
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert errors == [
        "error: process 1 of 2 ended with code -9. Go on from the last checkpoint: "
        f"zoo train --resume {RUN}"
    ]
    assert "Traceback" not in stderr
    assert (tmp_path / RUN / "checkpoints" / "last.safetensors").is_file()
    again = start("--resume", str(RUN), folder=tmp_path)
    assert again.stderr is not None
    assert any("goes on with 1 process, where it had 2" in line for line in again.stderr)
    again.kill()
    again.wait()


@linux
def test_a_first_process_that_dies_takes_the_others_with_it(tmp_path: Path) -> None:
    process, other = running(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    stderr = process.communicate(timeout=SECONDS)[1]
    wait_until_gone(other, SECONDS)
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].endswith(f"Go on from the last checkpoint: zoo train --resume {RUN}")


@linux
@pytest.mark.parametrize("place", [0, 1])
def test_one_process_that_is_asked_to_stop_stops_all_at_a_step(place: int, tmp_path: Path) -> None:
    process, other = running(tmp_path)
    os.kill((process.pid, other)[place], signal.SIGTERM)
    stderr = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == 130, stderr
    wait_until_gone(other, SECONDS)
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert errors[0].startswith("error: stopped at step ")
    saved = load_file(tmp_path / RUN / "checkpoints" / "last.safetensors")
    assert all(value.isfinite().all() for value in saved.values() if value.is_floating_point())


def test_a_process_alone_votes_and_gathers_by_itself() -> None:
    alone: Any = SimpleNamespace(world_size=1)
    votes = Votes(alone)
    assert (votes.count(False), votes.count(True), votes.close()) == (False, True, False)
    assert gather(alone, {"nll": 1.0}) == [{"nll": 1.0}]


@pytest.mark.parametrize(("node", "local"), [(0, 0), (0, 1), (1, 0)])
def test_the_first_process_is_the_first_of_the_first_machine(node: int, local: int) -> None:
    fabric: Any = SimpleNamespace(node_rank=node, local_rank=local)
    assert is_first(fabric) == (node == local == 0)
