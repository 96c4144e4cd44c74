"""Nothing to do here: what five of the exercises have in common."""

import torch
from torch import Tensor, nn

from zoo_core.checks import check_inputs, check_sampling
from zoo_core.draws import bernoulli
from zoo_core.precision import single


class Chain(nn.Module):
    """log p(x) = Σ_i log Bernoulli(x_i | σ(logits_i(x))), where logits_i sees x_1, …, x_{i−1} only.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
    """

    levels = 2  # binary variables

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28)) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.D = torch.Size(shape).numel()

    @property
    def order(self) -> Tensor:
        """The order of the chain rule, (D,): row by row, from the left."""
        return torch.arange(self.D)

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each variable given those before it, (B, D); x: (B, D), in {0, 1}."""
        raise NotImplementedError

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i), (B, D), nats; x: (B, *event_shape), in {0, 1}."""
        check_inputs(self, x)
        x = x.flatten(1)
        logits = single(self.logits(x))
        return -nn.functional.binary_cross_entropy_with_logits(logits, single(x), reduction="none")

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x), (B,), nats; x: (B, *event_shape), in {0, 1}."""
        return self.conditionals(x).sum(1)

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}."""
        check_sampling(n, temperature, self.event_shape)
        x = next(self.parameters()).new_zeros(n, self.D)
        for i in self.order:
            x[:, i] = bernoulli(torch.sigmoid(self.logits(x)[:, i] / temperature), generator)
        return x.reshape(n, *self.event_shape)
