"""When to stop before the last epoch: after validations without a better value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo_core.training.callbacks import Callback, Validation

if TYPE_CHECKING:
    from zoo_core.training.loop import Loop

__all__ = ["Patience"]


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
        loop.finished = waited >= self.validations * recipe.validate_every

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """End the run where this was one too many."""
        self.begin(loop)
