"""Maximum likelihood: the objective of every model that knows its exact log-probability."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from zoo_core.protocols import DensityModel, Update

__all__ = ["MaximumLikelihood"]

_UNTOLD = 0.5
"""Share of the inputs whose label is withheld from a conditional model: it is measured by p(x)
without one, and drawn from by p(x | label), so it learns both alike."""


class MaximumLikelihood:
    """Minimises the mean of -log p(x), in nats; for a half of the inputs -log p(x | label).

    Labels are for a Conditional model; validation is without them, as are published figures.

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
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Apply the mean of -log p(x) over a batch x, (B, *event_shape), with labels (B,)."""
        told = self._told(labels, generator)
        loss = -cast(Any, self._model).log_prob(x, **told).mean()
        update["model"](loss)
        return {"nll": loss.detach()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return -log p(x) of each input, (B,), nats."""
        return {"nll": -self._model.log_prob(x)}

    def _told(self, labels: Tensor | None, generator: torch.Generator) -> dict[str, Tensor]:
        """The labels as an argument of a Conditional model; those withheld become `classes`."""
        classes = getattr(self._model, "classes", 0)
        if labels is None or not classes:
            return {}
        u = torch.rand(labels.shape, generator=generator, device=labels.device)
        return {"label": labels.masked_fill(u < _UNTOLD, classes)}
