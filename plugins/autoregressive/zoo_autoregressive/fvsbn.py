"""FVSBN, the fully visible sigmoid belief network: Neal 1992; Frey, Hinton & Dayan 1995.

    p(x_i = 1 | x_<i) = sigm(b_i + Σ_{j<i} W_ij x_j)

A logistic regression of each variable on all before it: n(n + 1)/2 parameters. b starts at the
logit of the training data's mean; training uses whatever optimiser the recipe names.
"""

from collections.abc import Generator

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import BinaryAutoregressive

__all__ = ["FVSBN"]


class FVSBN(BinaryAutoregressive):
    """Logistic autoregression on all predecessors.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        order: `raster`, or `random` for one permutation drawn from `order_seed`.
        order_seed: seed of the random order.
    """

    def __init__(
        self, shape: tuple[int, ...] = (1, 28, 28), order: str = "raster", order_seed: int = 0
    ) -> None:
        super().__init__(shape, order, order_seed)
        D = len(self.order)
        self.W = nn.Parameter(torch.zeros(D, D))
        """Only what is below the diagonal is used."""

    @property
    def free_parameters(self) -> int:
        """The weights below the diagonal, and the biases."""
        D = len(self.order)
        return D * (D + 1) // 2

    def logits(self, x: Tensor) -> Tensor:
        """b + W x of each variable, in the order: (B, D)."""
        return functional.linear(x, self.W.tril(-1), self.b)

    def walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """Keep the variables drawn; a logit is a row of W times these and zeros for the others."""
        (n, d), D = x.shape, len(self.order)
        # the bias as the weight of a variable that is always 1: one operation less a step
        drawn = torch.cat([x, x.new_zeros(n, D - d), x.new_ones(n, 1)], 1)
        W = torch.cat([self.W, self.b.unsqueeze(1)], 1)
        for W_i, slot in zip(W[d:].unbind(), drawn[:, d:D].unbind(1), strict=True):
            slot.copy_((yield torch.mv(drawn, W_i)))
