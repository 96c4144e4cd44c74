"""Exercise 7: the evidence lower bound of a VAE (Kingma & Welling 2014).

The encoder gives μ and log σ² of a Gaussian q(z | x), the prior is N(0, 1), and pixels are
Bernoulli given z. Return the two terms of the bound: log p(x | z) for one sample z of q, and the
KL divergence of q to the prior, which has a formula.

    zoo plugin check . --architecture vae-elbo
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from zoo_core.checks import check_inputs
from zoo_core.precision import single
from zoo_core.protocols import ELBO
from zoo_core.training.objective import Objective


class VAE(nn.Module):
    """A linear encoder and a linear decoder.

    Args:
        shape: shape of one input.
        latents: number of latent variables.
    """

    levels = 2  # binary variables

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), latents: int = 2) -> None:
        super().__init__()
        D = torch.Size(shape).numel()
        self.event_shape = tuple(shape)
        self.encoder, self.decoder = nn.Linear(D, 2 * latents), nn.Linear(latents, D)

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each (B, latents); x: (B, *event_shape)."""
        check_inputs(self, x)
        return single(self.encoder(x.flatten(1))).chunk(2, 1)  # type: ignore[return-value]

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z), (B,), nats; x: (B, *event_shape), z: (B, latents)."""
        loss = nn.functional.binary_cross_entropy_with_logits
        logits, x = single(self.decoder(z.to(self.decoder.weight))), single(x.flatten(1))
        return -loss(logits, x, reduction="none").sum(1)

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> ELBO:
        """The bound's two terms, each (B,), nats; x: (B, *event_shape), in {0, 1}."""
        μ, log_variance = self.posterior(x)
        ε = torch.randn(μ.shape, generator=generator, device=μ.device)
        raise NotImplementedError(log_variance, ε)  # your lines: ELBO(reconstruction, kl)

    def log_prob_bound(
        self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Log of the mean of k weights p(x, z) / q(z | x), (B,), nats; for k = 1 the ELBO."""
        μ, log_variance = self.posterior(x)
        q, prior, log_w = Normal(μ, (log_variance / 2).exp()), Normal(0.0, 1.0), []
        for _ in range(k):
            z = q.loc + q.scale * torch.randn(μ.shape, generator=generator, device=μ.device)
            log_w.append(self.log_likelihood(x, z) + (prior.log_prob(z) - q.log_prob(z)).sum(1))
        return torch.stack(log_w).logsumexp(0) - math.log(k)


class NegativeELBO(Objective):
    """Minimises minus the bound."""

    monitor: ClassVar[str] = "negative_elbo"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """−ELBO of each input, (B,), nats."""
        return {"negative_elbo": -self.model.elbo(x, generator=generator).bound}
