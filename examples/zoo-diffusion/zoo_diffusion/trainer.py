"""The simplified objective of Ho, Jain & Abbeel 2020: the squared error of the estimated noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from zoo_core.protocols import Update

__all__ = ["Denoising"]


class Denoising:
    """Minimises E |ε − ε_θ(√ᾱ_t x_0 + √(1 − ᾱ_t) ε, t)|², t uniform, ε normal.

    Args:
        model: a DDPM.
    """

    monitor: ClassVar[str] = "mse"

    def __init__(self, model: nn.Module) -> None:
        self.networks = {"model": model}

    def begin(self, mean: Tensor) -> None:
        """Nothing depends on the data's mean."""

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Apply the mean error over a batch x, (B, C, H, W), in [0, 1]."""
        loss = self._errors(x, generator).mean()
        update["model"](loss)
        return {"mse": loss.detach()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the error of each input at one step of its own, (B,)."""
        return {"mse": self._errors(x, generator)}

    def _errors(self, x: Tensor, generator: torch.Generator) -> Tensor:
        model = cast("Any", self.networks["model"])
        t = torch.randint(model.T, (len(x),), generator=generator, device=x.device)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        errors: Tensor = (model.noise(model.diffuse(x, t, noise), t) - noise).square()
        return errors.flatten(1).mean(1)
