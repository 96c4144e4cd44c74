"""The objectives of variational autoencoders: the ELBO, and the importance-weighted bound.

Both report the ELBO's two terms, in nats: `reconstruction`, −E_q[log p(x|z)], and `prior_fitting`,
the KL of q(z|x) to the prior; their sum is the negative ELBO. `bound` is the negative bound, an
upper bound of −log p(x).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo_core.config import NonNegative, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.objective import Objective
from zoo_core.training.protocols import Update

__all__ = ["ImportanceWeighted", "Variational"]

_RECENT = 100
"""Batches whose latents a prior is fitted to."""


class Variational(Objective):
    """Maximises the ELBO (Kingma & Welling 2013), optionally with a weighted KL (beta-VAE).

    Args:
        model: a VAE.
        k: samples of the latents for each input, averaged.
        beta: weight of the KL term (Higgins et al. 2017, beta-VAE).
    """

    monitor: ClassVar[str] = "bound"

    def __init__(self, model: nn.Module, k: Size = 1, beta: NonNegative = 1.0) -> None:
        if k < 1:
            raise InvalidInput(f"trainer.k is {k}; a bound takes at least one sample.")
        super().__init__(model)
        self.k, self.beta = k, beta
        self.recent: deque[Tensor] = deque(maxlen=_RECENT)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Apply the loss of a batch; keep its inputs where a prior is to be fitted to latents."""
        if getattr(self.networks["model"], "fitted", None) is not None:
            self.recent.append(x)
        return super().training_step(x, update, generator, labels, step)

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the values of each input, (B,); fit the mixture prior, where there is one.

        It is fitted to samples from q(z|x) of the last training inputs, once in a validation.
        """
        if self.recent:
            parts = [self.model.posterior(part).draw(generator) for part in self.recent]
            self.recent.clear()
            self.model.fitted.fit(torch.cat(parts), generator)
        return super().validation_step(x, generator, labels)

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the bound and its terms of each input, (B,), nats, each lower is better."""
        elbo = self.model.elbo(x, generator=generator, k=self.k)
        return {
            "bound": -elbo.bound,
            "reconstruction": -elbo.reconstruction,
            "prior_fitting": elbo.prior_fitting,
        }

    def loss(self, means: Mapping[str, Tensor]) -> Tensor:
        """The negative bound with a weighted KL; beta = 1 is the bound itself."""
        return means["bound"] + (self.beta - 1) * means["prior_fitting"]


class ImportanceWeighted(Variational):
    """Maximises log 1/k ∑ w_i (Burda et al. 2015, Importance Weighted Autoencoders).

    Args:
        model: a VAE.
        k: samples of the latents for each input.
    """

    def __init__(self, model: nn.Module, k: Size = 5) -> None:
        super().__init__(model, k)

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the importance-weighted bound and its terms of each input, (B,), nats."""
        weights = self.model.log_weights(x, self.k, generator=generator)
        return {
            "bound": math.log(self.k) - weights.bound.logsumexp(0),
            "reconstruction": -weights.reconstruction.mean(0),
            "prior_fitting": weights.prior_fitting.mean(0),
        }
