"""Exercise 4: the causal mask of attention.

Token t holds variable x_{t−1}, and token 1 a start sign, so that the logit of x_t may depend on
tokens 1, …, t. Query t must look at these alone: the scores of all others are set to −∞ before the
softmax.

    zoo plugin check . --architecture causal-attention
"""

import torch
from torch import Tensor, nn

from zoo_exercises.chain import Chain


class CausalAttention(Chain):
    """One head of attention over the variables before.

    Args:
        shape: shape of one input.
        d: size of queries, keys and values.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), d: int = 16) -> None:
        super().__init__(shape)
        self.start = nn.Parameter(torch.zeros(1, 1))
        self.place = nn.Parameter(torch.randn(self.D, d))
        self.value = nn.Linear(1, d)
        self.QKV = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Sequential(nn.Linear(d, 4 * d), nn.ReLU(), nn.Linear(4 * d, 1))

    def mask(self) -> Tensor:
        """Whether query t (row) looks at token s (column), (D, D), bool."""
        raise NotImplementedError  # your lines here

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in {0, 1}."""
        tokens = torch.cat([self.start.expand(len(x), 1), x[:, :-1]], 1).unsqueeze(2)
        h = torch.tanh(self.value(tokens)) + self.place
        Q, K, V = self.QKV(h).chunk(3, 2)
        scores = Q @ K.mT / Q.shape[2] ** 0.5
        A = scores.masked_fill(~self.mask(), -torch.inf).softmax(2)
        return self.out(h + A @ V).squeeze(2)
