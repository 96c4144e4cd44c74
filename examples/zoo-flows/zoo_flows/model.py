"""Neural spline flows (Durkan, Bekasov, Murray & Papamakarios 2019), over zuko.

    log p(x) = log N(f(y) | 0, I) + log |det ∂f/∂y| + Σ_i log dy_i/dx_i,   y = logit(x) / scale

f is a composition of monotonic rational-quadratic splines. With `passes` = 2 each is a coupling,
as fast to invert as to apply; with 0 it is autoregressive, which fits better and samples more
slowly. The logit, which zuko's splines do not need, keeps samples inside of [0, 1], the range that
zoo promises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import zuko
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.checks import check_inputs, check_sampling
from zoo_core.precision import single

__all__ = ["SplineFlow"]

_EDGE = 1e-4
"""Inputs this near to 0 or 1 are moved there: grey levels 0 and 255 have no logit. Less than half
of a grey level."""


class SplineFlow(nn.Module):
    """A flow of rational-quadratic splines.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        transforms: number of splines in sequence.
        hidden: widths of the hidden layers that give each spline its knots.
        bins: number of pieces of a spline.
        passes: 2 for couplings; 0 for autoregressive splines.
        scale: by which logits are divided. Splines are the identity beyond ±5: most pixels of
            images are black, with logits from −9 to −6, and nothing would be learnt about them.
    """

    levels = None  # real variables

    def __init__(
        self,
        shape: Sequence[int] = (2,),
        transforms: int = 3,
        hidden: Sequence[int] = (64, 64),
        bins: int = 8,
        passes: int = 0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.event_shape, self.scale = tuple(shape), scale
        # zuko builds its masks by looking at them, which the meta device does not allow
        with torch.device("cpu"):
            self.flow = zuko.flows.NSF(
                torch.Size(shape).numel(),
                bins=bins,
                transforms=transforms,
                hidden_features=tuple(hidden),
                passes=passes or None,
            )

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-density of each input, (B,), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        check_inputs(self, x)
        y = torch.logit(single(x).flatten(1).clamp(_EDGE, 1 - _EDGE))
        log_slope = functional.softplus(y) + functional.softplus(
            -y
        )  # of the logit: 1 / (x (1 − x))
        log_p: Tensor = single(self.flow().log_prob((y / self.scale).to(x.dtype)))
        return log_p + (log_slope - math.log(self.scale)).sum(1)

    @torch.no_grad()
    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature: multiplies the noise, as is usual for flows.
        """
        check_sampling(n, temperature, self.event_shape)
        first = next(self.parameters())
        D = torch.Size(self.event_shape).numel()
        z = draws.randn(n, D, generator=generator, device=first.device, dtype=first.dtype)
        y = self.flow().transform.inv(temperature * z)
        return torch.sigmoid(self.scale * y).reshape(n, *self.event_shape)
