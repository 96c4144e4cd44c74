"""Maximum likelihood of real variables; grey levels are made real by uniform noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.training.likelihood import MaximumLikelihood

__all__ = ["Dequantized"]


class Dequantized(MaximumLikelihood):
    """Minimises the mean of -log p((x (levels − 1) + u) / levels), u uniform in [0, 1].

    A density at numbers that take only 256 values has no upper bound; with noise it bounds their
    probability (Theis, van den Oord & Bethge 2016).

    Args:
        model: a DensityModel of real variables.
        levels: number of values that a variable of the data takes; 0 where the data are real.
    """

    def __init__(self, model: nn.Module, levels: int = 0) -> None:
        super().__init__(model)
        self.levels = levels

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return -log p of each input x, (B, *event_shape), in [0, 1]: (B,), nats."""
        return super().values(self._noisy(x, generator), generator)

    def _noisy(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if not self.levels:
            return x
        u: Any = torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return (x * (self.levels - 1) + u) / self.levels
