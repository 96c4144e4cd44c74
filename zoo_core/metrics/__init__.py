"""The figures that a registry may hold, by name, each recomputed by its protocol.

The table is read without importing torch; a metric's module is imported when it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from zoo_core import plugins
from zoo_core.errors import UnknownName, did_you_mean
from zoo_core.hookspecs import Metric
from zoo_core.metrics.measured import Measured

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.metrics.rows import Root

__all__ = ["METRICS", "Measured", "find", "measure"]

_LIKELIHOOD = "zoo_core.metrics.likelihood"
_BOUNDS = "zoo_core.metrics.bounds"
_PARZEN = "zoo_core.metrics.parzen"
_CLASSES = "zoo_core.metrics.classification"
_FRECHET = "zoo_core.metrics.frechet"
_NEIGHBOURS = "zoo_core.metrics.neighbours"
_PIXELS = "zoo_core.metrics.pixels"
_SYNTHETIC = "zoo_core.metrics.synthetic"

_SEEDED = {"seed": 0}
_DRAWN = {"samples": 10_000, "seed": 0}

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("test_nll", f"{_LIKELIHOOD}:nll", "Mean of −log p"),
        Metric(
            "bits_per_dim",
            f"{_LIKELIHOOD}:bits_per_dim",
            "Mean of −log2 p for each variable",
            "bits",
            0.001,
        ),
        # bounds are estimated from draws, which another processor's arithmetic moves further
        Metric(
            "iw_bound",
            f"{_BOUNDS}:iw_bound",
            "Importance-weighted bound of −log p, from k draws of the latents",
            tolerance=0.05,
            protocol={**_SEEDED, "k": 5000},
        ),
        Metric(
            "elbo",
            f"{_BOUNDS}:elbo",
            "Negative evidence lower bound",
            tolerance=0.05,
            protocol=_SEEDED,
        ),
        Metric(
            "prior_fitting",
            f"{_BOUNDS}:prior_fitting",
            "Second term of the ELBO: KL of the posterior to the prior",
            tolerance=0.05,
            protocol=_SEEDED,
        ),
        Metric(
            "active_units",
            f"{_BOUNDS}:active_units",
            "How many latents follow the input",
            "latents",
            1.0,
            _SEEDED,
        ),
        Metric(
            "parzen",
            f"{_PARZEN}:parzen",
            "Log-likelihood under a Parzen window about samples",
            tolerance=0.5,
            protocol=_DRAWN,
        ),
        Metric(
            "parzen_data",
            f"{_PARZEN}:parzen_data",
            "The same about training rows",
            tolerance=0.5,
            protocol=_DRAWN,
        ),
        Metric(
            "parzen_kmeans",
            f"{_PARZEN}:parzen_kmeans",
            "The same about the centres of k-means",
            tolerance=0.5,
            protocol={**_DRAWN, "iterations": 3},
        ),
        Metric(
            "classification_error",
            f"{_CLASSES}:classification_error",
            "Share of rows whose class is not the model's",
            "%",
            0.05,
        ),
        Metric(
            "clustering_error",
            f"{_CLASSES}:clustering_error",
            "Share of rows whose class is not the one that their cluster is named after",
            "%",
            0.05,
        ),
        # samples are held against data, in the features of a net that the protocol names
        Metric(
            "fid",
            f"{_FRECHET}:fid",
            "Fréchet distance of samples from data, in features",
            "distance²",
            0.05,
            _DRAWN,
        ),
        Metric(
            "kid",
            f"{_FRECHET}:kid",
            "Kernel distance of samples from data, in features",
            "MMD²",
            0.002,
            {**_DRAWN, "subsets": 100},
        ),
        Metric(
            "precision",
            f"{_NEIGHBOURS}:precision",
            "Share of samples that lie among the data",
            "share",
            protocol={**_DRAWN, "k": 3},
        ),
        Metric(
            "recall",
            f"{_NEIGHBOURS}:recall",
            "Share of data that lie among the samples",
            "share",
            protocol={**_DRAWN, "k": 3},
        ),
        Metric(
            "density",
            f"{_NEIGHBOURS}:density",
            "How densely samples lie among the data: 1 where as densely as these",
            "ratio",
            0.02,
            {**_DRAWN, "k": 5},
        ),
        Metric(
            "coverage",
            f"{_NEIGHBOURS}:coverage",
            "Share of data that have a sample near them",
            "share",
            protocol={**_DRAWN, "k": 5},
        ),
        Metric(
            "one_nn",
            f"{_NEIGHBOURS}:one_nn",
            "Share of samples and data whose nearest neighbour is of their own kind: 0.5 is best",
            "share",
            protocol=_DRAWN,
        ),
        Metric(
            "sliced_wasserstein",
            f"{_PIXELS}:sliced_wasserstein",
            "Wasserstein distance of samples from data along random directions",
            "distance",
            0.001,
            {**_DRAWN, "directions": 512},
        ),
        Metric(
            "ms_ssim",
            f"{_PIXELS}:ms_ssim",
            "How similar pairs of samples are: above that of data they lack diversity",
            "similarity",
            protocol=_DRAWN,
        ),
        Metric(
            "tstr",
            f"{_SYNTHETIC}:tstr",
            "Share of data that a classifier taught by samples names wrong",
            "%",
            0.5,
            {**_DRAWN, "steps": 500},
        ),
    )
}
"""Ours; families offer more."""


def find(name: str) -> Metric:
    """Find a metric by name, ours or a family's.

    Raises UnknownName for one that there is not.
    """
    if name in METRICS:
        return METRICS[name]
    offers: dict[str, Metric] = plugins.offers(Metric)  # only now: it loads every family
    if name not in offers:
        known = [*METRICS, *offers]
        raise UnknownName(
            f"metric {name!r} is unknown.{did_you_mean(name, known)} There are {', '.join(known)}."
        )
    return offers[name]


def measure(
    name: str, model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Recompute a metric; what the protocol does not say is as the metric's record has it.

    Raises UnknownName for a metric that there is not, InvalidInput for a protocol that it cannot
    follow.
    """
    metric = find(name)
    function = plugins.import_object(metric.path)
    return cast(Measured, function(model, {**metric.protocol, **protocol}, data_root))
