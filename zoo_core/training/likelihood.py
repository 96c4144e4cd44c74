"""Maximum likelihood: the objective of every model that knows its exact log-probability."""

from typing import ClassVar

import torch
from torch import Tensor

from zoo_core.training.objective import Objective

__all__ = ["MaximumLikelihood"]

_UNLABELLED = 0.5
"""Share of the inputs whose label is withheld from a conditional model: it is measured by p(x) and
sampled by p(x | label), so it learns both alike."""


class MaximumLikelihood(Objective):
    """Minimises the mean of -log p(x), in nats; for half of the inputs -log p(x | label).

    Only a Conditional model uses labels; validation and published figures do not.

    Args:
        model: a DensityModel.
    """

    monitor: ClassVar[str] = "nll"

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
        u = torch.rand(labels.shape, generator=generator, device=labels.device)
        return {"label": labels.masked_fill(u < _UNLABELLED, classes)}
