"""Exercise 3: the masks of MADE (Germain et al. 2015).

An autoencoder becomes autoregressive when weights are masked. Variable i has degree i, from 1 to D,
and hidden unit k the degree m_k, from 1 to D − 1. No path may lead from variable j to the logit of
variable i unless j < i, and no weight may be masked without need.

    zoo plugin check . --architecture made-masks
"""

import torch
from torch import Tensor, nn

from zoo_exercises.chain import Chain


class MADE(Chain):
    """A masked autoencoder of one hidden layer.

    Args:
        shape: shape of one input.
        hidden: number of hidden units, H.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), hidden: int = 100) -> None:
        super().__init__(shape)
        self.W = nn.Linear(self.D, hidden)
        self.V = nn.Linear(hidden, self.D)

    def masks(self) -> tuple[Tensor, Tensor]:
        """Which weights are kept, of W, (H, D), and of V, (D, H), bool."""
        i = torch.arange(1, self.D + 1)  # degrees of the variables, (D,)
        m = torch.arange(len(self.W.bias)) % (self.D - 1) + 1  # of the hidden units, (H,)
        raise NotImplementedError(i, m)  # your lines here

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in {0, 1}."""
        first, second = self.masks()
        h = torch.relu(nn.functional.linear(x, self.W.weight * first, self.W.bias))
        return nn.functional.linear(h, self.V.weight * second, self.V.bias)
