"""Callbacks: when the loop calls them, and what those of a recipe do."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import Tensor
from toy_training import loop_of

from zoo_core.training.callbacks import Callback, Validation
from zoo_core.training.loop import Loop


class Note(Callback):
    """Writes down when it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, loop: Loop) -> None:
        self.calls.append("prepare")

    def begin(self, loop: Loop) -> None:
        self.calls.append(f"begin {loop.progress.step}")

    def after_update(self, loop: Loop, network: str) -> None:
        self.calls.append(f"update {network}")

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        self.calls.append(f"step {loop.progress.step}: {', '.join(losses)}")

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        self.calls.append(f"validation {loop.progress.step}")

    def end(self, loop: Loop) -> None:
        self.calls.append("end")


class Failure(Callback):
    """Fails after the third step, with a checkpoint."""

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        if loop.progress.step == 3:
            loop.save()
            raise KeyboardInterrupt


def test_callbacks_are_called_at_fixed_points(tmp_path: Path) -> None:
    note = Note()
    loop_of(tmp_path, note).run()
    assert note.calls == [
        "prepare",
        "begin 0",
        *("update model", "step 1: error", "update model", "step 2: error", "validation 2"),
        *("update model", "step 3: error", "update model", "step 4: error", "validation 4"),
        "end",
    ]


def test_a_run_that_failed_ends_its_callbacks_and_a_resumed_one_begins_where_it_was(
    tmp_path: Path,
) -> None:
    failed, resumed = Note(), Note()
    with pytest.raises(KeyboardInterrupt):
        loop_of(tmp_path, failed, Failure()).run()
    assert failed.calls[-2:] == ["step 3: error", "end"]
    loop_of(tmp_path, resumed).run(resume=True)
    assert resumed.calls == [
        "prepare",
        "begin 3",
        *("update model", "step 4: error", "validation 4"),
        "end",
    ]
