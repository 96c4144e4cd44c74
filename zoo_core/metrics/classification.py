"""Classification errors, in percent.

`classification_error` is of a model that was trained with labels. `clustering_error` is of one
that found clusters without: each is given the class that most of its rows of another split have,
and is wrong about every row of another class. (Makhzani et al. 2015 give a cluster the class of the
one row that is surest of it; the most frequent class depends less on chance.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import OfRows, Root, each, load
from zoo_core.options import option
from zoo_core.protocols import Classifier

__all__ = [
    "OfClasses",
    "OfClusters",
    "classification_error",
    "clustering_error",
    "labels_of",
    "names_of_clusters",
]


@dataclass(frozen=True, kw_only=True)
class OfClasses(OfRows):
    """The protocol of an error rate."""

    labels: int | None = option(
        None, "Number of labels that the model was trained with, where few; not used to measure"
    )


@dataclass(frozen=True, kw_only=True)
class OfClusters(OfClasses):
    """The protocol of clusters' error rate."""

    matched: str = option(
        "", "Rows that give each cluster its class; the validation split by default"
    )


def classification_error(
    model: Classifier, protocol: OfClasses, data_root: Root = None
) -> Measured:
    """Share of rows that the model misclassifies, in percent."""
    rows = load(protocol, data_root)
    labels = labels_of(rows)
    return _share(each(model, rows, model.classify) != labels)


def clustering_error(model: Classifier, protocol: OfClusters, data_root: Root = None) -> Measured:
    """Share of rows whose class is not that of their cluster, in percent."""
    rows, seen = (
        load(protocol, data_root),
        load(protocol, data_root, protocol.matched, "validation"),
    )
    labels, known = labels_of(rows), labels_of(seen)
    names = names_of_clusters(each(model, seen, model.classify), known, model.classes)
    return _share(names[each(model, rows, model.classify)] != labels)


def names_of_clusters(clusters: Tensor, labels: Tensor, count: int) -> Tensor:
    """The most frequent class of each cluster, (count,), int64; −1 for a cluster without rows.

    clusters, labels: of each row, (N,), int64, from 0.
    """
    K = int(labels.max()) + 1
    table = torch.bincount(clusters * K + labels, minlength=count * K).view(count, K)
    return table.argmax(1).masked_fill(table.sum(1) == 0, -1)


def labels_of(rows: Dataset) -> Tensor:
    """The class of each row, (N,), int64.

    Raises InvalidInput for rows without labels.
    """
    if rows.labels is None:
        raise InvalidInput(f"{rows.name} has no labels: there are no classes to compare against.")
    return rows.labels


def _share(wrong: Tensor) -> Measured:
    return Measured.of(100.0 * wrong)
