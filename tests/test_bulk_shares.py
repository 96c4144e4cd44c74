"""Which parts a process takes follows from what started it."""

import os
import signal
import subprocess
import sys
from unittest import mock

import pytest

from zoo_core.bulk.shares import Share, find_share, find_step, of_array, own_device, together
from zoo_core.errors import InvalidInput, ZooError

STEP = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
ARRAY = {
    "SLURM_ARRAY_TASK_COUNT": "3",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "3",
    "SLURM_ARRAY_TASK_ID": "2",
}


@pytest.mark.parametrize(
    ("environ", "share"),
    [
        ({}, Share(0, 1, 0)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}, Share(5, 8, 1)),
        (STEP, Share(3, 4, 1)),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, Share(0, 1, 0)),  # sbatch without srun
        (ARRAY, Share(1, 3, 0)),
        (STEP | ARRAY, Share(1 * 4 + 3, 12, 1)),
        (ARRAY | {"SLURM_ARRAY_TASK_COUNT": "1"}, Share(0, 1, 0)),  # one that is queued again
    ],
)
def test_shares(environ: dict[str, str], share: Share) -> None:
    assert find_share(environ) == share


def test_an_array_with_gaps_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"3 tasks, numbered from 1 to 9; .* --array=0-7"):
        find_share(ARRAY | {"SLURM_ARRAY_TASK_MAX": "9"})


def test_a_variable_that_is_no_number_is_refused() -> None:
    for text in ("", "x", "-1", "²"):
        with pytest.raises(InvalidInput, match=rf"variable RANK is '{text}'; expected a number"):
            find_share({"RANK": text, "WORLD_SIZE": "2"})


def test_processes_that_start_together_are_those_of_one_task_of_an_array() -> None:
    assert find_step(ARRAY) == Share(0, 1, 0) and find_step(STEP | ARRAY) == Share(3, 4, 1)
    assert of_array(Share(1, 2, 1), ARRAY) == Share(1 * 2 + 1, 6, 1)


def test_every_part_is_taken_once() -> None:
    jobs = [ARRAY | {"SLURM_ARRAY_TASK_ID": str(job)} | STEP for job in (1, 2, 3)]
    shares = [find_share(j | {"SLURM_PROCID": str(r)}) for j in jobs for r in range(4)]
    parts = [part for share in shares for part in range(50)[share.rank :: share.processes]]
    assert sorted(parts) == list(range(50))


def test_each_process_has_its_device() -> None:
    found = own_device("cpu", 3), own_device("cuda:1", 3), own_device("cuda", 0)
    assert found == ("cpu", "cuda:1", "cuda")
    assert own_device("cuda", 3).startswith("cuda:")


class Process:
    """A process that ends with its rank's code."""

    codes = (0, 7)
    ended = False

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        assert command[:3] == [sys.executable, "-m", "zoo_core"]
        assert env["WORLD_SIZE"] == "3" and env["OMP_NUM_THREADS"]
        self.code = self.codes[int(env["RANK"]) - 1]

    def wait(self) -> int:
        return self.code

    def terminate(self) -> None:
        Process.ended = True


@mock.patch.object(subprocess, "Popen", Process)
@mock.patch("torch.set_num_threads", lambda _: None)
def test_the_other_processes_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    failing = pytest.raises(ZooError, match=r"of 3 processes these failed: 2 \(code 7\)\. What")
    with failing, together(3) as share:
        assert share == Share(0, 3, 0)
    with pytest.raises(SystemExit, match="143"), together(3):
        signal.raise_signal(signal.SIGTERM)
    assert Process.ended
