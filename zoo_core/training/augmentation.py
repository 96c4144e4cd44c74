"""Random changes to inputs: those of images that keep what they show, and noise that does not."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core import draws

__all__ = ["jitter", "mirror", "mutate"]


def jitter(x: Tensor, shift: float, turn: float, zoom: float, generator: torch.Generator) -> Tensor:
    """Move, turn and scale each image by random amounts of its own, with edge padding.

    x: images, (B, C, H, W).
    shift: largest move, as a share of the side.
    turn: largest turn, in degrees.
    zoom: largest change of scale, as a share.
    """
    if not (shift or turn or zoom):
        return x
    u = draws.rand(4, len(x), dim=1, generator=generator, device=x.device, dtype=x.dtype) * 2 - 1
    angle, scale = u[0] * math.radians(turn), 1 + u[1] * zoom
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # the grid runs from −1 to 1, twice a side
    rows = [cos, -sin, 2 * shift * u[2], sin, cos, 2 * shift * u[3]]
    theta = torch.stack(rows, 1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def mirror(x: Tensor, generator: torch.Generator) -> Tensor:
    """Flip each image, (B, C, H, W), left to right with probability one half."""
    turned = draws.rand(len(x), 1, 1, 1, generator=generator, device=x.device) < 0.5
    return torch.where(turned, x.flip(3), x)


def mutate(x: Tensor, rate: float, levels: int | None, generator: torch.Generator) -> Tensor:
    """Put a random value in the place of each variable with a probability.

    x: inputs, (B, *event_shape), in [0, 1].
    rate: the probability.
    levels: number of values of a variable, all as probable; None samples from [0, 1].
    """
    if not rate:
        return x
    u = draws.rand(2, *x.shape, dim=1, generator=generator, device=x.device, dtype=x.dtype)
    which, value = u
    if levels is not None:
        value = (value * levels).floor() / (levels - 1)
    return torch.where(which < rate, value, x)
