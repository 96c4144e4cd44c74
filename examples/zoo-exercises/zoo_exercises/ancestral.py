"""Exercise 1: ancestral sampling.

A fully visible sigmoid belief network (FVSBN) is given: each variable is a logistic regression on
those before it. Sample it: first x_1, then x_2 given x_1, and so on.

    zoo plugin check . --architecture ancestral-sampling
"""

import torch
from torch import Tensor, nn

from zoo_core.checks import check_sampling
from zoo_core.draws import bernoulli  # noqa: F401 - for you: bernoulli(p, generator) is 0s and 1s
from zoo_exercises.chain import Chain


class AncestralSampling(Chain):
    """p(x_i = 1 | x before i) = σ(b_i + Σ_{j<i} W_ij x_j)."""

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28)) -> None:
        super().__init__(shape)
        self.W = nn.Parameter(torch.zeros(self.D, self.D))
        self.b = nn.Parameter(torch.zeros(self.D))

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in {0, 1}."""
        return x @ self.W.tril(-1).T + self.b

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}.

        generator: the one source of randomness.
        temperature: divides the logits.
        """
        check_sampling(n, temperature, self.event_shape)
        raise NotImplementedError  # your lines here
