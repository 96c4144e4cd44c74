"""Optional protocols of trainers, and what the training loop gives to a trainer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.protocols import Trainer

__all__ = ["CaptionReader", "Fitting", "Preview", "Restarting", "Unsharded", "Update", "step_of"]


Update = Callable[["Tensor"], None]
"""Called with the loss of one network: backward pass, gradient clipping, optimiser step."""


@runtime_checkable
class Preview(Protocol):
    """A trainer that makes pictures with its networks at each validation."""

    def preview(self, x: Tensor, generator: Random, labels: Tensor | None = None) -> Tensor:
        """Pictures from the same latents or the same inputs each time, (n, C, H, W), in [0, 1].

        x, labels: the first inputs of the validation split, as in `training_step`.
        """
        ...

    def remark(self, values: Mapping[str, float]) -> str:
        """A warning about the means of a validation, in one line; empty where there is none."""
        ...


@runtime_checkable
class Restarting(Protocol):
    """A trainer with stages, between which optimisers lose their state."""

    def restarts(self, n: int) -> bool:
        """Whether a step on n inputs begins a stage: the state of all optimisers is then reset."""
        ...


@runtime_checkable
class Fitting(Protocol):
    """A trainer that fits something to training inputs before each validation."""

    def fit_to(self, batches: Iterable[Tensor], generator: Random) -> None:
        """Fit what is validated and published, which `networks` holds meanwhile.

        batches: inputs (B, *event_shape) of the epoch's last batches, a hundred at most; they are
            read as they are taken.
        """
        ...


class Unsharded(Protocol):
    """A trainer whose networks have to be whole in each process."""

    unsharded: ClassVar[str]
    """Why, as the end of a sentence."""


@runtime_checkable
class CaptionReader(Protocol):
    """A trainer that learns from captions; they take the place of labels."""

    def read_captions(self, texts: Sequence[str]) -> Tensor:
        """Encode captions as the `labels` of a step, (n, …).

        Raises InvalidInput for a caption that the model cannot encode.
        """
        ...


def step_of(trainer: Trainer) -> Callable[..., dict[str, Tensor]]:
    """A trainer's `training_step`, which is called without the step's number if it takes none.

    So trainers that were written before steps had a number go on working.
    """
    training_step: Callable[..., dict[str, Tensor]] = trainer.training_step
    try:
        inspect.signature(training_step).bind(*["x", "update", "generator", "labels", "step"])
    except TypeError:
        return lambda *arguments: training_step(*arguments[:4])
    return training_step
