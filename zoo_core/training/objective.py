"""What most trainers have in common: one network, values of each input, and the mean of one.

And what those of several networks have: one of them held while a loss passes through it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo_core.training.protocols import Update

__all__ = ["Objective", "frozen"]


class Objective(ABC):
    """A Trainer of one network that minimises the mean of a value of each input; abstract.

    A subclass says which value is its `monitor`, and gives it in `values`.

    Args:
        model: what is trained; its `begin(mean)`, where it has one, sees the training data's mean.
    """

    monitor: ClassVar[str]

    def __init__(self, model: nn.Module) -> None:
        self.networks = {"model": model}

    @property
    def model(self) -> Any:
        """The network as it is now: the loop puts another in its place."""
        return self.networks["model"]

    @abstractmethod
    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return by name what is measured of each input, (B,); the less, the better.

        x: inputs, (B, *event_shape), in [0, 1].
        labels: class of each input, (B,), int64, from 0; None where the data have none.
        """

    def loss(self, means: Mapping[str, Tensor]) -> Tensor:
        """What is minimised, given the mean of each value: that of the monitored one."""
        return means[self.monitor]

    def begin(self, mean: Tensor) -> None:
        """Let the model start from the training data's mean, event_shape."""
        if begin := getattr(self.model, "begin", None):
            begin(mean)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Apply the loss of a batch, and return the mean of each value."""
        means = {key: value.mean() for key, value in self.values(x, generator, labels).items()}
        update["model"](self.loss(means))
        return {key: mean.detach() for key, mean in means.items()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the values of each input, (B,)."""
        return self.values(x, generator, labels)


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Spare the gradients of a network's parameters, not those through it."""
    network.requires_grad_(False)
    try:
        yield network
    finally:
        network.requires_grad_(True)
