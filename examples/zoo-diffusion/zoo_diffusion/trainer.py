"""The simplified objective of Ho, Jain & Abbeel 2020: the squared error of the estimated noise."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from zoo_core.training.objective import Objective

__all__ = ["Denoising"]


class Denoising(Objective):
    """Minimises E |ε − ε_θ(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t)|², t uniform, ε normal.

    Args:
        model: a DDPM.
    """

    monitor: ClassVar[str] = "mse"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the error of each input x, (B, C, H, W), at one step of its own, (B,)."""
        t = torch.randint(self.model.T, (len(x),), generator=generator, device=x.device)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        errors: Tensor = (self.model.noise(self.model.diffuse(x, t, noise), t) - noise).square()
        return {"mse": errors.flatten(1).mean(1)}
