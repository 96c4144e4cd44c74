"""Points in the unit square, whose density a picture can show."""

from __future__ import annotations

import math
import os

import torch
from torch import Tensor

from zoo_core.data import Dataset

__all__ = ["pinwheel", "two_moons"]

_ROWS = {"train": 8192, "validation": 2048, "test": 4096}


def two_moons(split: str, root: str | os.PathLike[str] | None = None) -> Dataset:
    """Two half circles that interlock, with noise."""
    random = _random(split)
    n = _ROWS[split]
    angle = math.pi * torch.rand(n, generator=random)
    lower = torch.arange(n) % 2 == 1
    x = torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    x = torch.where(lower.unsqueeze(1), torch.tensor([1.0, 0.5]) - x, x)
    x = x + 0.1 * torch.randn(x.shape, generator=random)
    return _dataset("two-moons", split, (x + torch.tensor([1.5, 1.0])) / torch.tensor([4.0, 2.5]))


def pinwheel(split: str, root: str | os.PathLike[str] | None = None) -> Dataset:
    """Five arms that turn outwards."""
    random = _random(split)
    n = _ROWS[split]
    arm = torch.arange(n) % 5
    point = torch.randn(n, 2, generator=random) * torch.tensor([0.3, 0.1]) + torch.tensor(
        [1.0, 0.0]
    )
    angle = 2 * math.pi * arm / 5 + 0.25 * torch.exp(point[:, 0])
    c, s = torch.cos(angle), torch.sin(angle)
    x = torch.stack([c * point[:, 0] - s * point[:, 1], s * point[:, 0] + c * point[:, 1]], 1)
    return _dataset("pinwheel", split, (x + 2.5) / 5)


def _random(split: str) -> torch.Generator:
    return torch.Generator().manual_seed([*_ROWS].index(split))


def _dataset(name: str, split: str, x: Tensor) -> Dataset:
    return Dataset(name, split, x.clamp(0.001, 0.999), levels=None)
