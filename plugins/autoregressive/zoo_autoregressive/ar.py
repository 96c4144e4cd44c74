"""AR(k): each variable depends on the k before it in the order.

    binary   logit p(x_i = 1 | x_<i) = b_i + Σ_{j=1..k} W_ij x_{i-j}
    real     x_i | x_<i ~ N(b_i + Σ_{j=1..k} W_ij x_{i-j}, σ_i²)

With `tied`, all places share one W, b and σ: the AR(p) of time series, p coefficients, a constant
and a variance. Without it each place has its own; the binary model with k = n - 1 is the FVSBN.
Variables before the first one count as zero.

Real-valued data are grey levels as floats in [0, 1] (`binarize = "none"` in a recipe); `log_prob`
is then a log-density. From Python any float tensor works; the real columns of a table
are for `mixed-ar`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import (
    ChainRule,
    bernoulli_log_prob,
    bernoulli_logits,
    keep_order,
    permutation,
    unpermute,
)
from zoo_core import draws
from zoo_core.checks import check_inputs
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type

__all__ = ["AR"]


class AR(ChainRule):
    """Regression of each variable on the k before it.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        k: number of variables that each one depends on.
        values: `binary` for logistic regression, `real` for Gaussian noise.
        tied: whether all places share their weights.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    levels: int | None = 2

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        k: int = 1,
        values: str = "binary",
        tied: bool = False,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        D = torch.Size(shape).numel()
        if values not in ("binary", "real"):
            raise InvalidInput(f"values {values!r} is unknown: expected binary or real.")
        if D > 0 and not 1 <= k < D:  # a shape of none is refused by its own name
            raise InvalidInput(
                f"k is {k}; expected 1 to {D - 1}: there are {D} variables, and each depends on k "
                "before it."
            )
        self.event_shape = tuple(shape)
        self.k, self.tied = k, tied
        self.unbounded = values == "real"
        if self.unbounded:
            self.levels = None
        keep_order(self, permutation(D, order, order_seed))
        rows = 1 if tied else D
        self.W = nn.Parameter(torch.zeros(rows, k))
        """The last column belongs to the variable just before."""
        self.b = nn.Parameter(torch.zeros(rows))
        self.log_σ = nn.Parameter(torch.zeros(rows)) if values == "real" else None

    @property
    def free_parameters(self) -> int:
        """Number of parameters in use: the first variables have fewer than k predecessors."""
        D, k = len(self.order), self.k
        weights = k if self.tied else k * D - k * (k + 1) // 2
        return weights + len(self.b) * (1 if self.log_σ is None else 2)

    def begin(self, mean: Tensor) -> None:
        """Let every variable start at the training data's mean.

        mean: event_shape, in [0, 1].
        """
        mean = mean.flatten()[self.order]
        mean = mean.mean(0, keepdim=True) if self.tied else mean
        with torch.no_grad():
            self.b.copy_(bernoulli_logits(mean) if self.log_σ is None else mean)

    def location(self, x: Tensor) -> Tensor:
        """The logits or means b + W x of all variables, in the order: (B, D).

        x: variables in the order, (B, D).
        """
        D, k = len(self.order), self.k
        # a band of the matrix that takes k zeros and then x: row i holds W_i from column i on
        columns = torch.arange(D, device=x.device).unsqueeze(1) + torch.arange(k, device=x.device)
        band = self.W.new_zeros(D, D + k).scatter(1, columns, self.W.expand(D, k))
        return functional.linear(x, band[:, k:]) + self.b

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats.

        x: inputs, (B, *event_shape), in {0, 1} or real.
        """
        check_inputs(self, x)
        x = x.flatten(1)[:, self.order]
        log_p = self._log_p(x, self.location(x))
        return unpermute(log_p, self.order)

    def _log_p(self, x: Tensor, location: Tensor) -> Tensor:
        if self.log_σ is None:
            return bernoulli_log_prob(location, x)
        log_σ = single(self.log_σ)
        z = (single(x) - single(location)) * torch.exp(-log_σ)
        return -0.5 * z * z - log_σ - 0.5 * math.log(2 * math.pi)

    @torch.no_grad()
    def _ancestral(
        self, x: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample the variables after x, (n, d), in the order; each looks at the k before it."""
        (n, d), D, k = x.shape, len(self.order), self.k
        x = functional.pad(x, (k, D - d))
        noise = self._noise(D - d, n, generator, temperature)
        W, b = self.W.expand(D, k), self.b.expand(D)
        for i, noise_i in enumerate(noise.unbind(), start=d):
            sampled = torch.addmv(b[i], x[:, i : i + k], W[i]) + noise_i
            x[:, k + i] = sampled if self.log_σ is not None else (sampled > 0).to(x.dtype)
        x = x[:, k:]
        return unpermute(x, self.order).reshape(n, *self.event_shape)

    def _noise(
        self, steps: int, n: int, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Noise added to the location of the last `steps` variables, (steps, n)."""
        device, kind = self.b.device, single_type(self.b.dtype)
        if self.log_σ is None:
            # u < sigm(l / T) is l - T logit(u) > 0
            u = draws.rand(steps, n, dim=1, generator=generator, device=device)
            return -temperature * torch.logit(u).to(kind)
        # the logarithm of the density divided by T: its variance times T
        σ = self.log_σ.exp().expand(len(self.order))[len(self.order) - steps :]
        z = draws.randn(steps, n, dim=1, generator=generator, device=device).to(kind)
        return z * σ.unsqueeze(1) * math.sqrt(temperature)
