"""The objectives of variational autoencoders: the ELBO, and the importance-weighted bound.

Both report the ELBO's two terms, in nats: `reconstruction`, −E_q[log p(x|z)], and `prior_fitting`,
the KL of q(z|x) to the prior; their sum is the negative ELBO. `bound` is the negative bound, an
upper bound of −log p(x).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from zoo_core.config import NonNegative, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.objective import Objective

__all__ = ["ImportanceWeighted", "Variational"]


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

    def fit_to(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        """Fit the mixture prior, where there is one, to samples of the top layer's latents."""
        if (prior := getattr(self.model, "fitted", None)) is not None:
            latents = [self.model.encode(x, generator=generator) for x in batches]
            prior.fit(torch.cat(latents), generator)

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
