"""Without a feature net: distances of samples from data, and of samples from each other.

`sliced_wasserstein` is the mean over `directions` of the Wasserstein-1 distance of two sets' values
along one of them, by as many rows of each (Rabin et al. 2011; Bonneel et al. 2015). It is blind to
what no projection shows.

`ms_ssim` is the mean structural similarity of pairs of samples at several scales (Wang et al. 2003)
as Odena et al. 2017 use it: where it lies above that of the data, samples lack diversity. They take
five scales of images of 128 pixels and a window of 11; ours are smaller, so the window is of 7 and
there are as many scales as fit, whose weights are made to sum to one again.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, Root
from zoo_core.metrics.samples import OfSamples, compare_rows
from zoo_core.options import option
from zoo_core.protocols import Generator

__all__ = ["OfDirections", "distance", "ms_ssim", "scales", "similarity", "sliced_wasserstein"]

_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Of the scales, from the finest."""
_WINDOW, _SIGMA = 7, 0.75
_CHUNK = 64
"""Directions along which rows are sorted at once."""


@dataclass(frozen=True, kw_only=True)
class OfDirections(OfSamples):
    """The protocol of a sliced distance."""

    directions: int = option(512, "Random directions that the rows are projected on", minimum=1)


def sliced_wasserstein(
    model: Generator, protocol: OfDirections, data_root: Root = None
) -> Measured:
    """The sliced Wasserstein-1 distance of samples from held-out rows, of values in [0, 1]."""
    return compare_rows(
        model,
        protocol,
        data_root,
        lambda x, y, random: distance(x, y, random, protocol.directions),
    )


def ms_ssim(model: Generator, protocol: OfSamples, data_root: Root = None) -> Measured:
    """The mean similarity of pairs of samples: 1 where all are alike."""
    return compare_rows(model, protocol, data_root, lambda x, y, random: similarity(y))


def distance(x: Tensor, y: Tensor, generator: torch.Generator, directions: int = 512) -> Measured:
    """The mean over random directions of W₁ of the projections of two sets, (N, ...), (n, ...)."""
    n = min(len(x), len(y))
    x, y = x[:n].flatten(1).double(), y[:n].flatten(1).double()
    lines = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64)
    values = [
        ((x @ part).sort(0).values - (y @ part).sort(0).values).abs().mean(0)
        for part in (lines / lines.norm(dim=0)).split(_CHUNK, 1)
    ]
    return Measured.of(torch.cat(values))._replace(n=n)


def similarity(x: Tensor) -> Measured:
    """MS-SSIM of each image (n, C, H, W) in [0, 1] of the first half with one of the second.

    Raises InvalidInput for what are no images, or too small ones.
    """
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as of

    if x.ndim != 4 or (fitting := scales(min(x.shape[2:]))) == 0:
        raise InvalidInput(
            f"samples have shape {tuple(x.shape[1:])}: structural similarity is of images, (C, H, "
            f"W), of {_WINDOW} or more pixels a side."
        )
    half = len(x) // 2
    if half < 2:
        raise InvalidInput(f"{len(x)} samples are too few to pair: expected samples = 4 or more.")
    weights = [weight / sum(_WEIGHTS[:fitting]) for weight in _WEIGHTS[:fitting]]
    pairs = zip(x[:half].split(BATCH), x[half : 2 * half].split(BATCH), strict=True)
    values = [
        of(
            a,
            b,
            sigma=_SIGMA,
            kernel_size=_WINDOW,
            data_range=1.0,
            betas=tuple(weights),
            reduction="none",
        )
        for a, b in pairs
    ]
    return Measured.of(torch.cat(values))


def scales(side: int) -> int:
    """How many scales, each of half the side of the last, have room for a window; at most five."""
    # beside room at the last scale, torchmetrics asks for a side that grows with their square
    fits = [
        side >> scale >= _WINDOW and side // max(1, scale) ** 2 >= _WINDOW
        for scale in range(len(_WEIGHTS))
    ]
    return sum(fits)
