"""Commands whose work several processes share."""

import pytest

from zoo_core.bulk import Share
from zoo_core.cli.sharing import shared


def test_one_process_has_all_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    with shared(1) as share:
        assert share == Share(0, 1, 0)


def test_tasks_of_an_array_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"COUNT": "3", "MIN": "0", "MAX": "2", "ID": "1"}
    for name, value in place.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    for name in ("RANK", "WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with shared(1) as share:
        assert share == Share(0, 1, 0)


def test_processes_of_slurm_that_cannot_meet_are_said_to_share_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    with shared(1):
        assert capsys.readouterr().err == ""
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with shared(1) as share:
        assert share == Share(0, 1, 0)
    said = capsys.readouterr().err
    assert "each measures everything" in said and "MASTER_ADDR=$(scontrol show hostnames" in said
