"""The objectives of variational autoencoders: the ELBO, and the importance-weighted bound.

Both are shown beside the ELBO's two terms, in nats: `reconstruction`, −E_q[log p(x|z)], and
`prior_fitting`, the KL of q(z|x) to the prior; their sum is the negative ELBO. `bound` is the
negative bound, which is upward of −log p(x).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, cast

import torch
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Update

if TYPE_CHECKING:
    from zoo_latent.vae import VAE

__all__ = ["ImportanceWeighted", "Variational"]


class Variational:
    """Maximises the ELBO (Kingma & Welling 2013), or one whose second term is weighted.

    Args:
        model: a VAE.
        k: draws of the latents for each input, whose mean is taken.
        beta: weight of the prior-fitting term (Higgins et al. 2017, beta-VAE).
    """

    monitor: ClassVar[str] = "bound"

    def __init__(self, model: nn.Module, k: int = 1, beta: float = 1.0) -> None:
        if k < 1:
            raise InvalidInput(f"trainer.k is {k}; a bound takes at least one draw.")
        self.networks = {"model": model}
        self.k, self.beta = k, beta

    @property
    def _model(self) -> VAE:
        return cast("VAE", self.networks["model"])

    def begin(self, mean: Tensor) -> None:
        """Let the model start from the training data's mean, event_shape."""
        self._model.begin(mean)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Apply the mean loss of a batch x, (B, *event_shape), in [0, 1]."""
        values = {key: value.mean() for key, value in self._values(x, generator).items()}
        # beta = 1 is the bound itself
        update["model"](values["bound"] + (self.beta - 1) * values["prior_fitting"])
        return {key: value.detach() for key, value in values.items()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the values of each input, (B,), nats."""
        return self._values(x, generator)

    def _values(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The bound and its terms of each input, (B,), nats, each the less the better."""
        elbo = self._model.elbo(x, generator=generator, k=self.k)
        return {
            "bound": -elbo.bound,
            "reconstruction": -elbo.reconstruction,
            "prior_fitting": elbo.prior_fitting,
        }


class ImportanceWeighted(Variational):
    """Maximises log 1/k ∑ w_i (Burda et al. 2015, Importance Weighted Autoencoders).

    Args:
        model: a VAE.
        k: draws of the latents for each input.
    """

    def __init__(self, model: nn.Module, k: int = 5) -> None:
        super().__init__(model, k)

    def _values(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        weights = self._model.log_weights(x, self.k, generator=generator)
        return {
            "bound": math.log(self.k) - weights.bound.logsumexp(0),
            "reconstruction": -weights.reconstruction.mean(0),
            "prior_fitting": weights.prior_fitting.mean(0),
        }
