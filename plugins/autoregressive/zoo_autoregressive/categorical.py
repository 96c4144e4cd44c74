"""Independent categorical variables, k - 1 parameters each, such as 256 grey levels.

    p(x) = ∏ p(x_i),   p(x_i = v) = (count of x_i = v, + α) / (count of inputs, + kα)

The weights hold the log-odds of each category against the first one, k - 1 parameters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.counting import check_alpha
from zoo_autoregressive.layers import Independent, check_levels, keep_order
from zoo_core import draws
from zoo_core.checks import check_inputs, check_sampling
from zoo_core.precision import single

__all__ = ["Categorical"]


class Categorical(Independent):
    """Independent variables of several values.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        levels: number of values, k; value v is v / (k - 1) in x.
        alpha: added to the count of each value.
    """

    levels: int

    def __init__(
        self, shape: tuple[int, ...] = (1, 28, 28), levels: int = 256, alpha: float = 1.0
    ) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.levels = check_levels(levels)
        self.alpha = check_alpha(alpha)
        D = torch.Size(shape).numel()
        keep_order(self, torch.arange(D))
        self.log_odds = nn.Parameter(torch.zeros(D, levels - 1), requires_grad=False)

    def categories(self, x: Tensor) -> Tensor:
        """The category of each variable, (B, D), int64, from 0."""
        return single(x).flatten(1).mul(self.levels - 1).round().long()

    def log_p(self, temperature: float = 1.0) -> Tensor:
        """The logarithm of each category's probability, (D, k)."""
        return functional.pad(single(self.log_odds), (1, 0)).div(temperature).log_softmax(1)

    def statistics(self, x: Tensor) -> Tensor:
        """How often each variable has each value: (D, k), int64."""
        check_inputs(self, x)
        D, k = len(self.order), self.levels
        cells = self.categories(x) + k * self.order
        return torch.bincount(cells.flatten(), minlength=D * k).reshape(D, k)

    def fit(self, counts: Tensor) -> None:
        """Set the log-odds from the sum of the statistics, (D, k)."""
        log = (counts.cpu().double() + self.alpha).log()
        self.log_odds.data.copy_(log[:, 1:] - log[:, :1])

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i) of each variable: (B, D), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        check_inputs(self, x)
        return self.log_p()[self.order, self.categories(x)]

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1]."""
        check_sampling(n, temperature, self.event_shape)
        sampled = draws.categories(self.log_p(temperature).exp(), n, generator)
        x = sampled.to(self.log_odds.dtype) / (self.levels - 1)
        return x.reshape(n, *self.event_shape)
