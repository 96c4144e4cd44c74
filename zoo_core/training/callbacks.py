"""What a run does beside its steps is done by callbacks, which the loop calls at fixed points.

Each has a module of its own: moving averages in `averages`, what is published in `publishing`,
what is shown and written in `report`, `previews` and `checksums`, when to stop in `patience`,
weights to start from in `start`. None of them changes a number of a step that is computed without
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.training.loop import Loop

__all__ = ["Callback", "Validation"]


class Validation(NamedTuple):
    """What a validation found."""

    values: Mapping[str, float]
    """The mean of each value over the validation split."""
    best: bool
    """Whether the monitored one is the best so far."""


class Callback:
    """What the loop calls, each in the order in which it was given.

    A method that is not overridden does nothing. Each of several processes has its own callbacks.
    """

    def prepare(self, loop: Loop) -> None:
        """Called when the networks are on their devices, before a checkpoint is read.

        What a checkpoint is to hold goes into `loop.state`, what is to be validated and published
        in a network's place into `loop.kept`.
        """

    def begin(self, loop: Loop) -> None:
        """Called before the first step, of a run that is resumed too."""

    def after_update(self, loop: Loop, network: str) -> None:
        """Called when the weights of one network have moved, within a step."""

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        """Called after each step; `loop.progress` counts it.

        `loop.finished = True` ends the run, after a validation.

        losses: what the trainer returned, () each.
        """

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """Called after each validation, without gradients; `loop.finished = True` ends the run."""

    def end(self, loop: Loop) -> None:
        """Called at the end, also of a run that failed or was stopped."""
