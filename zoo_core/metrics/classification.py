"""How often a model names the wrong class, in percent.

`classification_error` is of a model that was taught the classes. `clustering_error` is of one that
found clusters by itself: each is given the class that most of its rows of another split have, and
is wrong about every row of another class. (Makhzani et al. 2015 give a cluster the class of the one
row that is surest of it; the most frequent class depends less on chance.)

The protocol: `data`, the rows that are counted; for clusters also `matched`, those by which they
are named, the validation split where it is not given. `labels` says how many labels taught the
model, where they were few; the figure is measured without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, checked, each, load
from zoo_core.protocols import Classifier

__all__ = ["classification_error", "clustering_error", "names_of_clusters"]


def classification_error(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Share of rows whose class is not the one that the model gives, in percent."""
    rows, labels = _labelled(protocol, data_root)
    return _share(each(model, rows, _classifier(model).classify) != labels)


def clustering_error(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Share of rows whose class is not the one that their cluster is named after, in percent."""
    rows, labels = _labelled(protocol, data_root)
    seen, known = _labelled(protocol, data_root, "matched", "validation")
    classifier = _classifier(model)
    clusters = each(model, seen, classifier.classify)
    names = names_of_clusters(clusters, known, classifier.classes)
    return _share(names[each(model, rows, classifier.classify)] != labels)


def names_of_clusters(clusters: Tensor, labels: Tensor, count: int) -> Tensor:
    """The most frequent class of each cluster, (count,), int64; −1 for a cluster without rows.

    clusters, labels: of each row, (N,), int64, from 0.
    """
    K = int(labels.max()) + 1
    table = torch.bincount(clusters * K + labels, minlength=count * K).view(count, K)
    return table.argmax(1).masked_fill(table.sum(1) == 0, -1)


def _labelled(
    protocol: Mapping[str, Any], data_root: Root, key: str = "data", split: str | None = None
) -> tuple[Dataset, Tensor]:
    """The rows of a key, with their labels."""
    rows = load(checked(protocol, ("matched", "labels"), "An error rate"), data_root, key, split)
    if rows.labels is None:
        raise InvalidInput(f"{rows.name} has no labels: there is nothing to hold classes against.")
    return rows, rows.labels


def _classifier(model: nn.Module) -> Classifier:
    if not isinstance(model, Classifier):
        raise InvalidInput(
            f"{type(model).__name__} gives no classes: an error rate cannot be measured."
        )
    return model


def _share(wrong: Tensor) -> Measured:
    return Measured.of(100.0 * wrong)
