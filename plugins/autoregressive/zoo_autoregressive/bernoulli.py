"""Independent Bernoulli variables: n parameters, the simplest model of the ladder.

    p(x) = ∏ p(x_i),   p(x_i = 1) = (count of x_i = 1, + α) / (count of inputs, + 2α)

α is additive (Laplace) smoothing: a value that the training data never show keeps a probability.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.counting import check_alpha
from zoo_autoregressive.layers import Independent, bernoulli_log_prob, keep_order
from zoo_core import draws
from zoo_core.checks import check_inputs, check_sampling
from zoo_core.precision import single

__all__ = ["Bernoulli"]


class Bernoulli(Independent):
    """Independent binary variables.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        alpha: added to the count of each value.
    """

    levels = 2

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), alpha: float = 1.0) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.alpha = check_alpha(alpha)
        D = torch.Size(shape).numel()
        keep_order(self, torch.arange(D))
        self.logits = nn.Parameter(torch.zeros(D), requires_grad=False)

    def statistics(self, x: Tensor) -> Tensor:
        """The number of inputs, and how often each variable is 1: (1 + D,), int64."""
        check_inputs(self, x)
        return functional.pad(x.flatten(1), (1, 0), value=1.0).sum(0).long()

    def fit(self, counts: Tensor) -> None:
        """Set the logits from the sum of the statistics, (1 + D,)."""
        n, on = counts[0].cpu().double(), counts[1:].cpu().double()
        self.logits.data.copy_(torch.logit((on + self.alpha) / (n + 2 * self.alpha)))

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i) of each variable: (B, D), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        """
        check_inputs(self, x)
        x = x.flatten(1)
        return bernoulli_log_prob(self.logits.expand_as(x), x)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}."""
        check_sampling(n, temperature, self.event_shape)
        p = torch.sigmoid(single(self.logits) / temperature).expand(n, -1)
        x = draws.bernoulli(p, generator).to(self.logits.dtype)
        return x.reshape(n, *self.event_shape)
