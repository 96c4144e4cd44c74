"""Priors of adversarial autoencoders: distributions that can be sampled.

A prior of several parts can be sampled by part; with labels, each class fills one part.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo_core import draws
from zoo_core.errors import InvalidInput

__all__ = ["Mixture", "Normal", "Prior", "SwissRoll", "make_prior"]


class Prior:
    """A distribution p(z); abstract.

    Args:
        z: number of latents.
        parts: number of parts.
        scale: factor of every latent.
    """

    def __init__(self, z: int, parts: int, scale: float) -> None:
        self.z, self.parts, self.scale = z, parts, scale

    def draw(
        self, label: Tensor, generator: torch.Generator | None, temperature: float = 1.0
    ) -> Tensor:
        """Sample a latent for each label, (B, z).

        label: the part to sample from, (B,), int64; a negative one for any.
        temperature: scales the deviation from the centre of the prior, or of its part.
        """
        u = draws.rand(len(label), generator=generator, device=label.device)
        part = torch.where(label < 0, (u * self.parts).long(), label)
        eps = draws.randn(len(label), self.z, generator=generator, device=label.device)
        return self.scale * self._place(part, eps * temperature, generator)

    def part(self, z: Tensor) -> Tensor:
        """The most probable part of each latent (B, z), (B,), int64.

        Raises InvalidInput where it is not defined.
        """
        raise InvalidInput(
            f"{type(self).__name__} does not say which part a latent comes from; a Mixture does."
        )

    def _place(self, part: Tensor, eps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Map parts, (B,), and standard normal noise, (B, z), to latents."""
        raise NotImplementedError


class Normal(Prior):
    """N(0, scale² I)."""

    def __init__(self, z: int, scale: float) -> None:
        super().__init__(z, 1, scale)

    def _place(self, part: Tensor, eps: Tensor, generator: torch.Generator | None) -> Tensor:
        return eps


class Mixture(Prior):
    """Gaussians in the plane, arranged like petals, each elongated in its radial direction.

    The paper shows them without numbers: radius and deviations are ours.
    """

    _RADIUS = 3.0
    _DEVIATIONS = (0.75, 0.25)
    """Standard deviations along the radius and across it."""

    def _place(self, part: Tensor, eps: Tensor, generator: torch.Generator | None) -> Tensor:
        along, across = (eps * eps.new_tensor(self._DEVIATIONS)).unbind(1)
        along = along + self._RADIUS
        angle = part * (2 * math.pi / self.parts)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * along - sin * across, sin * along + cos * across], 1)

    def part(self, z: Tensor) -> Tensor:
        """The Gaussian of highest density, (B,); all have the same weight and determinant."""
        angle = torch.arange(self.parts, device=z.device) * (2 * math.pi / self.parts)
        x, y = (z.unsqueeze(1) / self.scale).unbind(2)
        along = angle.cos() * x + angle.sin() * y - self._RADIUS
        across = angle.cos() * y - angle.sin() * x
        a, b = self._DEVIATIONS
        return ((along / a) ** 2 + (across / b) ** 2).argmin(1)


class SwissRoll(Prior):
    """A spiral of two turns, uniformly filled; its parts are segments of equal weight."""

    _TURNS = 2.0
    _RADIUS = 3.0
    _DEVIATION = 0.1

    def _place(self, part: Tensor, eps: Tensor, generator: torch.Generator | None) -> Tensor:
        u = draws.rand(len(part), generator=generator, device=part.device)
        t = ((part + u) / self.parts).sqrt()  # the spiral's length grows with the square of t
        angle = t * (2 * math.pi * self._TURNS)
        roll = torch.stack([angle.cos(), angle.sin()], 1) * (self._RADIUS * t).unsqueeze(1)
        return roll + self._DEVIATION * eps


def make_prior(name: str, z: int, parts: int, scale: float) -> Prior:
    """Make a prior by name."""
    if name == "normal":
        return Normal(z, scale)
    kinds: dict[str, type[Prior]] = {"mixture": Mixture, "swiss-roll": SwissRoll}
    if name not in kinds:
        raise InvalidInput(f"prior {name!r} is unknown: expected normal, {', '.join(kinds)}.")
    if z != 2:
        raise InvalidInput(f"prior {name!r} is two-dimensional: expected z = 2, given z = {z}.")
    return kinds[name](z, parts, scale)
