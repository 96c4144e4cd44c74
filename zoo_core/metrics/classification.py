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

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.metrics.measured import Measured
from zoo_core.protocols import Classifier

__all__ = ["classification_error", "clustering_error", "names_of_clusters"]

Root = str | os.PathLike[str] | None

_KEYS = ("data", "matched", "labels", "binarize", "size", "gray")
_BATCH = 500


def classification_error(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Share of rows whose class is not the one that the model gives, in percent."""
    rows, labels = _labelled(protocol, protocol.get("data"), data_root)
    return _share(_classified(model, rows) != labels)


def clustering_error(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Share of rows whose class is not the one that their cluster is named after, in percent."""
    rows, labels = _labelled(protocol, protocol.get("data"), data_root)
    spec = protocol.get("matched") or f"{protocol['data'].split(':')[0]}:validation"
    seen, known = _labelled(protocol, spec, data_root)
    names = names_of_clusters(_classified(model, seen), known, _classifier(model).classes)
    return _share(names[_classified(model, rows)] != labels)


def names_of_clusters(clusters: Tensor, labels: Tensor, count: int) -> Tensor:
    """The most frequent class of each cluster, (count,), int64; −1 for a cluster without rows.

    clusters, labels: of each row, (N,), int64, from 0.
    """
    K = int(labels.max()) + 1
    table = torch.bincount(clusters * K + labels, minlength=count * K).view(count, K)
    return table.argmax(1).masked_fill(table.sum(1) == 0, -1)


def _labelled(
    protocol: Mapping[str, Any], spec: str | None, data_root: Root
) -> tuple[Dataset, Tensor]:
    """The rows of a spec, with their labels."""
    for key in protocol:
        if key not in _KEYS:
            raise InvalidInput(
                f"protocol key {key!r} is unknown.{did_you_mean(key, _KEYS)} "
                f"An error rate's protocol takes {', '.join(_KEYS)}."
            )
    if spec is None:
        raise InvalidInput("the protocol names no data: expected data = 'mnist:test' or the like.")
    if protocol.get("binarize", "none") != "none":
        raise InvalidInput("error rates are of the rows as they are: expected binarize = 'none'.")
    gray = protocol.get("gray", False)
    rows = load_dataset(spec, root=data_root, size=protocol.get("size"), gray=gray)
    if rows.labels is None:
        raise InvalidInput(f"{rows.name} has no labels: there is nothing to hold classes against.")
    return rows, rows.labels


@torch.inference_mode()
def _classified(model: nn.Module, rows: Dataset) -> Tensor:
    """The class of each row, (N,), on the CPU."""
    classifier = _classifier(model)
    if rows.event_shape != tuple(classifier.event_shape):
        raise InvalidInput(
            f"{rows.name} has rows of shape {rows.event_shape}, but the model takes "
            f"{tuple(classifier.event_shape)}."
        )
    weight = next(model.parameters(), torch.empty(0))
    parts = [
        rows.floats(slice(start, start + _BATCH)).to(weight.device, weight.dtype)
        for start in range(0, len(rows), _BATCH)
    ]
    return torch.cat([classifier.classify(part).cpu() for part in parts])


def _classifier(model: nn.Module) -> Classifier:
    if not isinstance(model, Classifier):
        raise InvalidInput(
            f"{type(model).__name__} gives no classes: an error rate cannot be measured."
        )
    return model


def _share(wrong: Tensor) -> Measured:
    return Measured.of(100.0 * wrong)
