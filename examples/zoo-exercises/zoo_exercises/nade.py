"""Exercise 2: the log-probability of NADE (Larochelle & Murray 2011).

Variable i has hidden units h_i = σ(c + Σ_{j<i} W_:j x_j) and the logit b_i + V_i · h_i. From one
variable to the next the sum gains one term, a ← a + W_:i x_i, so all logits cost O(D·H) operations
and not O(D²·H). The sum of the conditionals that follow from your logits is log p(x).

    zoo plugin check . --architecture nade-log-prob
"""

import torch
from torch import Tensor, nn

from zoo_exercises.chain import Chain


class NADE(Chain):
    """A neural autoregressive distribution estimator.

    Args:
        shape: shape of one input.
        hidden: number of hidden units, H.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), hidden: int = 100) -> None:
        super().__init__(shape)
        self.W = nn.Parameter(0.1 * torch.randn(hidden, self.D))
        self.c = nn.Parameter(torch.zeros(hidden))
        self.V = nn.Parameter(0.1 * torch.randn(self.D, hidden))
        self.b = nn.Parameter(torch.zeros(self.D))

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in {0, 1}."""
        raise NotImplementedError  # your lines here
