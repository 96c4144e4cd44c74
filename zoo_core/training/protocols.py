"""What a trainer may implement beside `Trainer`, and what the loop gives it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.protocols import Trainer

__all__ = ["CaptionReader", "Preview", "Restarting", "Update", "step_of"]


Update = Callable[["Tensor"], None]
"""Given the loss of one network: its backward pass, clipping and optimiser step."""


@runtime_checkable
class Preview(Protocol):
    """A trainer that shows at each validation what its networks make by then."""

    def preview(self, x: Tensor, generator: Random, labels: Tensor | None = None) -> Tensor:
        """Pictures of the same latents, or the same inputs, each time: (n, C, H, W), in [0, 1].

        x, labels: the first inputs of the validation split, as in `training_step`.
        """
        ...

    def remark(self, values: Mapping[str, float]) -> str:
        """What to say about the means of a validation; nothing where they are as they should be."""
        ...


@runtime_checkable
class Restarting(Protocol):
    """A trainer that goes through stages, at which what optimisers remember is of no use."""

    def restarts(self, n: int) -> bool:
        """Whether a step on n inputs begins a stage: all optimisers then forget their moments."""
        ...


@runtime_checkable
class CaptionReader(Protocol):
    """A trainer that learns from the captions of images; they take the place of labels."""

    def read_captions(self, texts: Sequence[str]) -> Tensor:
        """What a step is given of captions as its `labels`, (n, …).

        Raises InvalidInput for one that the model cannot read.
        """
        ...


def step_of(trainer: Trainer) -> Callable[..., dict[str, Tensor]]:
    """A trainer's step; one that takes no number of the step is called without it.

    Trainers that were written before steps had a number go on working.
    """
    training_step: Callable[..., dict[str, Tensor]] = trainer.training_step
    try:
        inspect.signature(training_step).bind(*["x", "update", "generator", "labels", "step"])
    except TypeError:
        return lambda *arguments: training_step(*arguments[:4])
    return training_step
