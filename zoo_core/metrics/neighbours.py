"""How samples and data cover each other, by nearest neighbours in the features of a net.

A set's manifold is the union of balls about its rows that reach to their k-th nearest neighbour.

    precision   share of samples in the manifold of the data: are they plausible?
    recall      share of data in the manifold of the samples: are they diverse? (Kynkäänniemi et
                al. 2019)
    density     mean number of the data's balls that a sample is in, over k
    coverage    share of the data's balls that hold a sample (Naeem et al. 2020): unlike recall it
                does not grow with outliers among the samples
    one_nn      share of rows, of as many samples as data, whose nearest neighbour is of their own
                kind: a half where the two are alike, 1 where they are apart, and less than a half
                where samples lie on the data (Lopez-Paz & Oquab 2017)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root
from zoo_core.metrics.samples import InFeatures, compare_features
from zoo_core.options import option
from zoo_core.protocols import Generator

__all__ = ["OfBalls", "OfCoverage", "coverage", "density", "one_nn", "precision", "radii", "recall"]

_BLOCK = 1000
"""Rows whose distances to all others are held at once."""

_ByBalls = Callable[[Tensor, Tensor, int], Tensor]
"""Takes data, (N, d), samples, (n, d), and k, and returns values whose mean is the figure."""


@dataclass(frozen=True, kw_only=True)
class OfBalls(InFeatures):
    """The protocol of a metric of balls that reach to the k-th neighbour."""

    k: int = option(3, "Neighbours that a ball reaches to", minimum=1)


@dataclass(frozen=True, kw_only=True)
class OfCoverage(OfBalls):
    """The same with the number of neighbours of Naeem et al. 2020."""

    k: int = option(5, "Neighbours that a ball reaches to", minimum=1)


def precision(model: Generator, protocol: OfBalls, data_root: Root = None) -> Measured:
    """Share of samples within the manifold of the held-out rows."""
    return _by_balls(
        model, protocol, data_root, lambda x, y, k: _balls_about(x, y, k).gt(0).double()
    )


def recall(model: Generator, protocol: OfBalls, data_root: Root = None) -> Measured:
    """Share of held-out rows within the manifold of the samples."""
    return _by_balls(
        model, protocol, data_root, lambda x, y, k: _balls_about(y, x, k).gt(0).double()
    )


def density(model: Generator, protocol: OfCoverage, data_root: Root = None) -> Measured:
    """Mean number of the held-out rows' balls that a sample is in, over k."""
    return _by_balls(model, protocol, data_root, lambda x, y, k: _balls_about(x, y, k) / k)


def coverage(model: Generator, protocol: OfCoverage, data_root: Root = None) -> Measured:
    """Share of the held-out rows' balls that hold a sample."""
    return _by_balls(model, protocol, data_root, _has_neighbour)


def one_nn(model: Generator, protocol: InFeatures, data_root: Root = None) -> Measured:
    """Share of samples and held-out rows whose nearest neighbour is of their own kind."""
    return compare_features(model, protocol, data_root, _own_kind)


def radii(x: Tensor, k: int) -> Tensor:
    """Distance of each row of x, (N, d), to its k-th nearest other row, (N,).

    Raises InvalidInput where there are not as many others.
    """
    if not 0 < k < len(x):
        raise InvalidInput(
            f"k is {k}; expected 1 or more, and fewer than the {len(x)} rows of a set."
        )
    nearest = (block.topk(k + 1, largest=False).values for block in _distances(x, x))
    return torch.cat([distances[:, k] for distances in nearest])  # the row itself is at 0


def _by_balls(model: Generator, protocol: OfBalls, data_root: Root, values: _ByBalls) -> Measured:
    """A figure of as many samples as held-out rows: sets of one size have comparable balls."""
    return compare_features(
        model,
        protocol,
        data_root,
        lambda x, y, random: Measured.of(values(*_as_many(x, y), protocol.k)),
    )


def _as_many(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The first rows of two sets, as many as the smaller one has."""
    n = min(len(x), len(y))
    return x[:n], y[:n]


def _balls_about(x: Tensor, y: Tensor, k: int) -> Tensor:
    """The number of balls about rows of x, (N, d), that each row of y, (n, d), is in: (n,)."""
    reach = radii(x, k)
    return torch.cat([(block <= reach).sum(1) for block in _distances(y, x)])


def _has_neighbour(x: Tensor, y: Tensor, k: int) -> Tensor:
    """Whether the ball about each row of x holds a row of y, (N,), float64."""
    nearest = torch.cat([block.amin(1) for block in _distances(x, y)])
    return (nearest <= radii(x, k)).double()


def _own_kind(x: Tensor, y: Tensor, generator: torch.Generator) -> Measured:
    """Whether the nearest other row of each, of both sets, is of its own set."""
    x, y = _as_many(x, y)
    both, n = torch.cat([x, y]), len(x)
    nearest, start = [], 0
    for block in _distances(both, both):
        rows = torch.arange(len(block))
        block[rows, start + rows] = torch.inf
        nearest.append(block.argmin(1))
        start += len(block)
    own = (torch.cat(nearest) < n) == (torch.arange(2 * n) < n)
    return Measured.of(own.double())._replace(n=n)


def _distances(x: Tensor, y: Tensor) -> Iterator[Tensor]:
    """Distances of blocks of rows of x, (N, d), to all rows of y, (n, d): (≤ _BLOCK, n)."""
    for rows in x.split(_BLOCK):
        yield torch.cdist(rows, y)
