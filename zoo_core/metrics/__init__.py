"""The figures that a registry may hold, by name, each recomputed by its protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from zoo_core import plugins
from zoo_core.errors import UnknownName, did_you_mean
from zoo_core.metrics.bounds import active_units, elbo, iw_bound, prior_fitting
from zoo_core.metrics.classification import classification_error, clustering_error
from zoo_core.metrics.likelihood import bits_per_dim, nll
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.parzen import parzen, parzen_data, parzen_kmeans
from zoo_core.metrics.rows import Root

__all__ = ["METRICS", "Measured", "Metric", "measure"]

Metric = Callable[[nn.Module, Mapping[str, Any], Root], Measured]
"""Takes the model, the protocol and the folder of data sets."""

METRICS: dict[str, Metric] = {
    "test_nll": nll,
    "bits_per_dim": bits_per_dim,
    "iw_bound": iw_bound,
    "elbo": elbo,
    "prior_fitting": prior_fitting,
    "active_units": active_units,
    "parzen": parzen,
    "parzen_data": parzen_data,
    "parzen_kmeans": parzen_kmeans,
    "classification_error": classification_error,
    "clustering_error": clustering_error,
}


def measure(
    name: str,
    model: nn.Module,
    protocol: Mapping[str, Any],
    data_root: Root = None,
) -> Measured:
    """Recompute a metric.

    Raises UnknownName for a metric that there is not, InvalidInput for a protocol that it cannot
    follow.
    """
    if name in METRICS:
        return METRICS[name](model, protocol, data_root)
    offers = plugins.offers("metrics")  # only now: it loads every family
    if name not in offers:
        known = [*METRICS, *offers]
        raise UnknownName(
            f"metric {name!r} is unknown.{did_you_mean(name, known)} There are {', '.join(known)}."
        )
    metric: Metric = plugins.import_object(offers[name].path)
    return metric(model, protocol, data_root)
