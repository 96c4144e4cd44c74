"""Which weights of a run are published: the best of its validations, or the last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from torch import nn

from zoo_core.training.callbacks import Callback, Validation

if TYPE_CHECKING:
    from zoo_core.training.loop import Loop

__all__ = ["Publish", "Publishing"]

Publish = Callable[[Mapping[str, nn.Module], Mapping[str, float]], None]
"""Given the networks, by name, and the means of their validation: writes the weights."""


class Publishing(Callback):
    """Publishes from one process, after a validation that found what the recipe keeps.

    Args:
        publish: writes the weights.
        keep: `best` or `last`.
    """

    def __init__(self, publish: Publish, keep: str = "best") -> None:
        self.publish, self.keep = publish, keep

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """Publish what the loop keeps, where it is to be kept."""
        if loop.fabric.is_global_zero and (validation.best or self.keep == "last"):
            self.publish(loop.kept, validation.values)
