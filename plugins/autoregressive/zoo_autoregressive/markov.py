"""The first-order Markov chain: each variable depends on the one before it, 2n - 1 parameters.

    p(x) = p(x_1) ∏ p(x_i | x_{i-1})

Transition probabilities differ from place to place (an inhomogeneous chain). The order is fixed;
`chow-liu` learns which variable depends on which, with as many parameters.
"""

from collections.abc import Sequence

import torch

from zoo_autoregressive.layers import permutation
from zoo_autoregressive.tree import Tree

__all__ = ["Markov"]


class Markov(Tree):
    """A chain of binary variables.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        alpha: added to the count of each value of a variable and the one before.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        alpha: float = 1.0,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, alpha, permutation(torch.Size(shape).numel(), order, order_seed))
