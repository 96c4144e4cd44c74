"""FVSBN, the fully visible sigmoid belief network: Neal 1992; Frey, Hinton & Dayan 1995.

    p(x_i = 1 | x_<i) = sigm(b_i + Σ_{j<i} W_ij x_j)

Logistic regression of each variable on all before it: n(n + 1)/2 parameters. b starts at the
logit of the training data's mean; the optimiser is the recipe's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import BinaryAutoregressive, unpermute
from zoo_core import draws
from zoo_core.precision import single, single_type

__all__ = ["FVSBN"]

_BLOCK = 56
"""Variables sampled together: larger blocks need more rounds, smaller ones more blocks."""


class FVSBN(BinaryAutoregressive):
    """Logistic autoregression on all predecessors.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, order, order_seed)
        D = len(self.order)
        self.W = nn.Parameter(torch.zeros(D, D))
        """Only the part below the diagonal is used."""

    @property
    def free_parameters(self) -> int:
        """The weights below the diagonal, and the biases."""
        D = len(self.order)
        return D * (D + 1) // 2

    def logits(self, x: Tensor) -> Tensor:
        """b + W x of each variable, in the order: (B, D)."""
        return functional.linear(x, self.W.tril(-1), self.b)

    @torch.no_grad()
    def _ancestral(
        self, x: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample the variables after x, (n, d), in the order, block by block.

        Given uniform numbers u, x_i = [l_i(x_<i) > T logit(u_i)] is a system of equations, which
        need not be solved one variable at a time. A block is guessed and substituted until it no
        longer
        changes: x_i is right once all before it are, so this takes at most as many rounds as the
        block has variables; six are common (Song, Meng, Liao & Ermon
        2021, Accelerating Feedforward Computation via Parallel Nonlinear Equation Solving).
        """
        (n, d), D, kind = x.shape, len(self.order), single_type(x.dtype)
        u = draws.rand(D - d, n, dim=1, generator=generator, device=x.device, dtype=kind)
        bias = self.b[d:].unsqueeze(1) - temperature * torch.logit(u)
        sampled = torch.cat([single(x.t()), torch.zeros_like(u)])
        for start in range(d, D, _BLOCK):
            stop = min(start + _BLOCK, D)
            W, block = single(self.W[start:stop]), sampled[start:stop]
            given = torch.addmm(bias[start - d : stop - d], W[:, :start], sampled[:start])
            guess, inside = given > 0, W[:, start:stop].tril(-1)
            while not torch.equal(block, guess):
                block.copy_(guess)
                guess = torch.addmm(given, inside, block) > 0
        return unpermute(sampled.t().to(x.dtype), self.order).reshape(n, *self.event_shape)
