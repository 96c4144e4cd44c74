"""Maximum likelihood: the objective of every model that knows its exact log-probability."""

from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from zoo_core.protocols import DensityModel, Update

__all__ = ["MaximumLikelihood"]


class MaximumLikelihood:
    """Minimises the mean of -log p(x), in nats.

    Args:
        model: a DensityModel; its `begin(mean)`, where it has one, sees the training data's mean.
    """

    monitor: ClassVar[str] = "nll"

    def __init__(self, model: nn.Module) -> None:
        self.networks = {"model": model}

    @property
    def _model(self) -> DensityModel:
        return cast(DensityModel, self.networks["model"])

    def begin(self, mean: Tensor) -> None:
        """Let the model start from the training data's mean, event_shape."""
        if begin := getattr(self._model, "begin", None):
            begin(mean)

    def training_step(
        self, x: Tensor, update: Mapping[str, Update], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Apply the mean of -log p(x) over a batch x, (B, *event_shape)."""
        loss = -self._model.log_prob(x).mean()
        update["model"](loss)
        return {"nll": loss.detach()}

    def validation_step(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return -log p(x) of each input, (B,), nats."""
        return {"nll": -self._model.log_prob(x)}
