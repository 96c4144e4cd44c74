"""Maximum likelihood: the objective of every model that knows its exact log-probability."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo_core import draws
from zoo_core.config import Rate
from zoo_core.training.augmentation import mutate
from zoo_core.training.objective import Objective
from zoo_core.training.protocols import Update

__all__ = ["MaximumLikelihood"]

_UNLABELLED = 0.5
"""Share of the inputs whose label is withheld from a conditional model: it is measured by p(x) and
sampled by p(x | label), so it learns both alike."""


class MaximumLikelihood(Objective):
    """Minimises the mean of -log p(x), in nats; for half of the inputs -log p(x | label).

    Only a Conditional model uses labels; validation and published figures do not.

    Args:
        model: a DensityModel.
        noise: probability of each variable to be replaced by a random one in training: a background
            for likelihood ratios learns the noise's share of x and little of its meaning (Ren et
            al. 2019, Likelihood Ratios for Out-of-Distribution Detection).
    """

    monitor: ClassVar[str] = "nll"

    def __init__(self, model: nn.Module, noise: Rate = 0.0) -> None:
        super().__init__(model)
        self.noise = noise

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Apply the loss of a batch, with noise where there is some."""
        return super().training_step(self.with_noise(x, generator), update, generator, labels, step)

    def with_noise(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """A batch as it is trained on."""
        return mutate(x, self.noise, self.model.levels, generator) if self.noise else x

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return -log p(x) of each input, (B,), nats, or -log p(x | label) where it is used."""
        return {"nll": -self.model.log_prob(x, **self._condition(labels, generator))}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return -log p(x) of each input, (B,), nats."""
        return self.values(x, generator)

    def _condition(self, labels: Tensor | None, generator: torch.Generator) -> dict[str, Tensor]:
        """The labels as an argument of a Conditional model; those withheld become `classes`."""
        classes = getattr(self.model, "classes", 0)
        if labels is None or not classes:
            return {}
        u = draws.rand(*labels.shape, generator=generator, device=labels.device)
        return {"label": labels.masked_fill(u < _UNLABELLED, classes)}
