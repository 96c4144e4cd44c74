"""A base class for trainers of one network, and what trainers of several have in common."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar, cast

import torch
from torch import Tensor, nn

from zoo_core.errors import PluginError
from zoo_core.training.protocols import Update

__all__ = ["Objective", "frozen", "network_of", "unwrapped"]

N = TypeVar("N")
"""The class of a network, or a protocol that it implements."""


class Objective(ABC):
    """A Trainer of one network that minimises the mean of a per-input value; abstract.

    A subclass computes per-input values in `values` and names the one to minimise in `monitor`.

    Args:
        model: what is trained; its `begin(mean)`, if it has one, is called with the mean of the
            training data.
    """

    monitor: ClassVar[str]

    def __init__(self, model: nn.Module) -> None:
        self.networks = {"model": model}

    @property
    def model(self) -> Any:
        """The network as it is now: the loop replaces it, by its average in a validation."""
        return self.networks["model"]

    @abstractmethod
    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return values of each input by name, (B,) each; lower is better.

        x: inputs, (B, *event_shape), in [0, 1].
        labels: class of each input, (B,), int64, from 0; None where the data have none.
        """

    def loss(self, means: Mapping[str, Tensor]) -> Tensor:
        """The loss, given the mean of each value: by default that of the monitored one."""
        return means[self.monitor]

    def begin(self, mean: Tensor) -> None:
        """Initialise the model from the mean of the training data, event_shape, if it can."""
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
        values = self.values(x, generator, labels)
        self._check(values, len(x))
        means = {key: value.mean() for key, value in values.items()}
        update["model"](self.loss(means))
        return {key: mean.detach() for key, mean in means.items()}

    def _check(self, values: Mapping[str, Tensor], n: int) -> None:
        """Refuse values that are not one for each of n inputs, as a likelihood's slip has them."""
        for key, value in values.items():
            if value.shape != (n,):
                raise PluginError(
                    f"{type(self).__name__} of a {type(self.model).__name__}: {key} has the shape "
                    f"{tuple(value.shape)}; expected ({n},), one value for each input."
                )

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the values of each input, (B,)."""
        return self.values(x, generator, labels)


@contextmanager
def frozen(network: nn.Module) -> Iterator[nn.Module]:
    """Compute gradients through a network, but none of its parameters."""
    from zoo_core.training.sharding import find  # imports Fabric: seconds, which loading has not

    found = find(network)
    shares = found.shares if found else ()
    try:
        for parameter in (*network.parameters(), *shares):
            parameter.requires_grad_(False)
        yield network
    finally:
        for parameter in (*network.parameters(), *shares):
            parameter.requires_grad_(True)


@contextmanager
def unwrapped(networks: dict[str, nn.Module], name: str) -> Iterator[None]:
    """Use a network without Fabric's wrapper, which refuses gradients of its gradients."""
    from lightning_fabric.wrappers import is_wrapped

    from zoo_core.training.sharding import find

    network = networks[name]
    if found := find(network):
        found.gather()
    networks[name] = cast("nn.Module", network.module) if is_wrapped(network) else network
    try:
        yield
    finally:
        networks[name] = network


def network_of(networks: Mapping[str, nn.Module], name: str, cls: Callable[..., N]) -> N:
    """Return a trainer's network as its own class, for type checkers.

    At run time it may be wrapped, for several processes or mixed precision, and forwards all
    attributes: so it is not checked by `isinstance`.
    """
    return cast("N", networks[name])
