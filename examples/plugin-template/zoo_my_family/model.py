"""A toy to start from: each variable is a logistic regression on those before it.

    log p(x) = Σ_i log Bernoulli(x_i | σ(b_i + Σ_{j<i} W_ij x_j))

It is a density model that sums to one by the chain rule. Put your own model in its place.
"""

import torch

from zoo_core.checks import check_inputs, check_sampling
from zoo_core.draws import bernoulli
from zoo_core.precision import single


class MyFamily(torch.nn.Module):
    """A chain of logistic regressions.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
    """

    levels = 2  # binary variables

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28)) -> None:
        super().__init__()
        D = torch.Size(shape).numel()
        self.event_shape = tuple(shape)
        self.W = torch.nn.Parameter(torch.zeros(D, D))
        self.b = torch.nn.Parameter(torch.zeros(D))

    @property
    def order(self) -> torch.Tensor:
        """The permutation that the chain rule follows, (D,)."""
        return torch.arange(len(self.b), device=self.b.device)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in [0, 1]."""
        return x @ self.W.tril(-1).T + self.b

    def conditionals(self, x: torch.Tensor) -> torch.Tensor:
        """log p(x_i | x before i), (B, D), nats; x: (B, *event_shape), in [0, 1]."""
        check_inputs(self, x)
        x = x.flatten(1)
        return -torch.nn.functional.binary_cross_entropy_with_logits(
            single(self.logits(x)), single(x), reduction="none"
        )

    def log_prob(self, x: torch.Tensor) -> torch.Tensor:
        """Exact log-probability of each input, (B,), nats; x: (B, *event_shape), in [0, 1]."""
        return self.conditionals(x).sum(1)

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}."""
        check_sampling(n, temperature, self.event_shape)
        x = self.b.new_zeros(n, len(self.b))
        for i in self.order:
            p = torch.sigmoid(self.logits(x)[:, i] / temperature)
            x[:, i] = bernoulli(p, generator)
        return x.reshape(n, *self.event_shape)
