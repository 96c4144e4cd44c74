"""When to stop before the last epoch: after validations without a better value, or by the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from zoo_core.training.callbacks import Callback, Validation

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.training.loop import Loop

__all__ = ["Patience", "TimeLimit"]


class Patience(Callback):
    """Ends a run after some validations without a better value.

    Args:
        validations: how many.
    """

    def __init__(self, validations: int) -> None:
        self.validations = validations

    def begin(self, loop: Loop) -> None:
        """See whether a run that is resumed had ended."""
        progress, recipe = loop.progress, loop.recipe
        waited = (progress.step - progress.best_step) / loop.batches.steps_per_epoch
        loop.finished |= waited >= self.validations * recipe.validate_every

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """End the run where this was one too many."""
        self.begin(loop)


class TimeLimit(Callback):
    """Ends a run of one process at a time of the clock, within an epoch too, and takes its pace.

    The run can be resumed, and then goes on to the end of its recipe.

    Args:
        ends: the time, as `time.monotonic()` has it.
        tests_in: seconds that measuring the test split may take in the end, about: of the first
            rows, where these are not enough for all, and not at all in none.
    """

    def __init__(self, ends: float, tests_in: float = math.inf) -> None:
        self.ends, self.tests_in = ends, tests_in
        self.reached = False
        """Whether it ended the run."""
        self.seconds = 0.0
        """That the epochs took, with their validations."""
        self.epochs = 0.0
        """That were trained."""

    def begin(self, loop: Loop) -> None:
        """Begin to take the time."""
        self._began, self._step = time.monotonic(), loop.progress.step

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        """End the run where its time is over before its last step."""
        steps = loop.recipe.epochs * loop.batches.steps_per_epoch
        if time.monotonic() >= self.ends and loop.progress.step < steps:
            self.reached = loop.finished = True

    def end(self, loop: Loop) -> None:
        """Take the time of what was trained."""
        self.seconds = time.monotonic() - self._began
        self.epochs = (loop.progress.step - self._step) / loop.batches.steps_per_epoch
