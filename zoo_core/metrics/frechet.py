"""Distances of samples from data in the features of a net: of moments, and of kernel means.

`fid` is the Fréchet distance of two normal distributions that have the sets' moments,

    |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)        (Heusel et al. 2017).

It falls with the number of samples, so the figure beside it is of as many. `kid` is the squared
maximum mean discrepancy under the kernel (x·y/d + 1)³, without that bias (Bińkowski et al. 2018):
a mean over `subsets` of 1,000 rows each, or of a half of them where there are fewer than 2,000.

Both are torchmetrics', given features in place of images.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, resample
from zoo_core.metrics.samples import InFeatures, compare_features
from zoo_core.options import option
from zoo_core.protocols import Generator

__all__ = ["OfSubsets", "fid", "frechet", "kernel_distance", "kid"]

_RESAMPLES = 8
"""Bootstrap samples of both sets, whose spread is the distance's standard error."""
_SUBSET = 1000


@dataclass(frozen=True, kw_only=True)
class OfSubsets(InFeatures):
    """The protocol of a kernel distance."""

    subsets: int = option(100, "Subsets of the rows whose distances are averaged", minimum=1)


def fid(model: Generator, protocol: InFeatures, data_root: Root = None) -> Measured:
    """The Fréchet distance of samples from held-out rows, in features."""
    return compare_features(model, protocol, data_root, frechet)


def kid(model: Generator, protocol: OfSubsets, data_root: Root = None) -> Measured:
    """The kernel distance of samples from held-out rows, in features."""
    return compare_features(
        model,
        protocol,
        data_root,
        lambda x, y, random: kernel_distance(x, y, random, protocol.subsets),
    )


def frechet(x: Tensor, y: Tensor, generator: torch.Generator) -> Measured:
    """The Fréchet distance of two sets of features, (N, d) and (n, d), float64.

    Raises InvalidInput for fewer than two rows.
    """
    if min(len(x), len(y)) < 2:
        raise InvalidInput(f"{len(y)} samples have no covariance: expected samples = 2 or more.")
    spread = torch.tensor(
        [_frechet(*(resample(z, generator) for z in (x, y))) for _ in range(_RESAMPLES)]
    )
    return Measured(_frechet(x, y), float(spread.std()), len(y))


def kernel_distance(
    x: Tensor, y: Tensor, generator: torch.Generator, subsets: int = 100
) -> Measured:
    """The unbiased squared maximum mean discrepancy of features, (N, d) and (n, d)."""
    from torchmetrics.image.kid import KernelInceptionDistance

    rows = min(len(x), len(y))
    size = min(_SUBSET, rows // 2)
    if size < 2:
        raise InvalidInput(f"{rows} rows are too few to halve: expected samples = 4 or more.")
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", ".*will save all extracted features")
        metric = KernelInceptionDistance(_AsIs(x.shape[1]), subsets=subsets, subset_size=size)
        metric.update(x, real=True)
        metric.update(y, real=False)
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))  # its stream
        mean, deviation = metric.compute()
    # subsets share rows: as many are independent as the smaller set is made of
    return Measured(float(mean), float(deviation) * (size / rows) ** 0.5, len(y))


class _AsIs(nn.Identity):
    """The feature extractor of what are features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features


def _frechet(x: Tensor, y: Tensor) -> float:
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(_AsIs(x.shape[1]))
    metric.update(x, real=True)
    metric.update(y, real=False)
    return float(metric.compute())
