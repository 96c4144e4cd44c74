"""The Fréchet distance of images that are made of held-out ones: translations, completions."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.metrics import Measured
from zoo_core.metrics.frechet import frechet
from zoo_core.metrics.samples import Net

__all__ = ["from_held_out", "some"]


def from_held_out(
    net: Net, real: Tensor, made: Tensor, train: Tensor, generator: torch.Generator
) -> Measured:
    """The distance of images from held-out ones, and that of training images in their place.

    real, made, train: held-out, made and training images, (N, C, H, W) each, in [0, 1].
    """
    x, y, z = (net.features(Dataset("images", "", images, None)) for images in (real, made, train))
    measured = frechet(x, y, generator)
    beside = frechet(x, z, generator).value
    return measured._replace(real=beside, settled={"features": net.name})


def some(rows: Dataset, n: int, generator: torch.Generator) -> Tensor:
    """n of the rows, or all where there are fewer, drawn without replacement."""
    return rows.floats(torch.randperm(len(rows), generator=generator)[:n])
