"""Classification errors, in percent.

`classification_error` is of a model that was trained with labels. `clustering_error` is of one
that found clusters without: each is given the class that most of its rows of another split have,
and is wrong about every row of another class. (Makhzani et al. 2015 give a cluster the class of the
one row that is surest of it; the most frequent class depends less on chance.)
`requested_label` is of a model that samples by label: how often a net sees the label in the sample.
`class_ratio` is of any that samples: how much more of the most frequent class than of the least a
net sees.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core import loading
from zoo_core.data import Dataset
from zoo_core.data.labels import match_labels
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import (
    BATCH,
    OfBinaryRows,
    OfRows,
    Root,
    each,
    load,
    load_binarized,
    seeded,
)
from zoo_core.metrics.samples import InFeatures, Net, feature_net, features_option, samples_of
from zoo_core.options import option
from zoo_core.protocols import Classifier, Conditional, Generator

__all__ = [
    "OfClasses",
    "OfClusters",
    "OfRequests",
    "class_ratio",
    "classification_error",
    "clustering_error",
    "labels_of",
    "names_of_clusters",
    "requested_label",
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


@dataclass(frozen=True, kw_only=True)
class OfRequests(OfBinaryRows):
    """The protocol of samples by label; the rows, with theirs, stand beside the samples."""

    samples: int = option(1000, "Number of samples, as many of each label", minimum=1)
    seed: int = option(0, "Seed of the samples and of binarization", minimum=0)
    guidance: float | None = option(None, "How strongly samples are led towards the label")
    features: str = features_option()


def classification_error(
    model: Classifier, protocol: OfClasses, data_root: Root = None
) -> Measured:
    """Share of rows that the model misclassifies, in percent, of those that have a label."""
    rows = load(protocol, data_root)
    own = loading.class_names(model)
    labels = match_labels(labels_of(rows), rows.classes, model.classes, own)
    if labels is None:
        raise InvalidInput(
            f"{rows.name} has other classes than the {', '.join(own) or model.classes} of the model"
            f"{': ' * bool(rows.classes)}{', '.join(rows.classes)}. There is no error to measure."
        )
    return _share((each(model, rows, model.classify) != labels)[labels >= 0])


def clustering_error(model: Classifier, protocol: OfClusters, data_root: Root = None) -> Measured:
    """Share of rows whose class is not that of their cluster, in percent, of those with a label."""
    rows, seen = (
        load(protocol, data_root),
        load(protocol, data_root, protocol.matched, "validation"),
    )
    labels, known = labels_of(rows), labels_of(seen)
    names = names_of_clusters(each(model, seen, model.classify), known, model.classes)
    return _share((names[each(model, rows, model.classify)] != labels)[labels >= 0])


def requested_label(model: Conditional, protocol: OfRequests, data_root: Root = None) -> Measured:
    """Share of samples that a feature net gives the label that they were sampled by, in percent.

    Beside it, the share of held-out rows that the net gives their label.

    Raises InvalidInput for a model without labels, or one without guidance where there is some,
    and for a net that does not classify.
    """
    name = type(model).__name__
    if not model.classes:
        raise InvalidInput(f"{name} was trained without labels: none can be requested.")
    guided = {} if protocol.guidance is None else {"guidance": protocol.guidance}
    if guided and "guidance" not in inspect.signature(model.sample).parameters:
        raise InvalidInput(f"guidance is {protocol.guidance:g}, but {name} samples without.")
    net, judge = _judge(protocol.features)
    labels, random = torch.arange(protocol.samples) % model.classes, seeded(protocol.seed, model)
    with torch.inference_mode():
        parts = [
            model.sample(len(some), generator=random, label=some, **guided).float().cpu()
            for some in labels.split(BATCH)
        ]
    rows = load_binarized(protocol, data_root)
    real = _share(each(judge, rows, judge.classify) == labels_of(rows))
    seen = each(judge, Dataset("samples", "", torch.cat(parts), None), judge.classify)
    return net.sign(_share(seen == labels)._replace(real=real.value))


def class_ratio(model: Generator, protocol: InFeatures, data_root: Root = None) -> Measured:
    """How many samples of the most frequent class there are for each of the least frequent.

    Beside it, the same of held-out rows. Infinite where a class is never seen.

    Raises InvalidInput for a net that does not classify.
    """
    net, judge = _judge(protocol.features)
    sets = Dataset("samples", "", samples_of(model, protocol), None), load(protocol, data_root)
    samples, rows = (_ratio(each(judge, one, judge.classify), judge.classes) for one in sets)
    return net.sign(samples._replace(real=rows.value))


def _ratio(seen: Tensor, classes: int) -> Measured:
    """The greatest count of a class over the least, with the error of two Poisson counts.

    seen: the class of each of n, (n,), int64.
    """
    counts = torch.bincount(seen, minlength=classes).double()
    most, least = float(counts.max()), float(counts.min())
    if not least:
        return Measured(math.inf, math.nan, len(seen))
    return Measured(most / least, most / least * math.sqrt(1 / most + 1 / least), len(seen))


def _judge(named: str) -> tuple[Net, Classifier]:
    """A feature net that names classes; raises InvalidInput for another."""
    net = feature_net(named)
    if not isinstance(net.model, Classifier):
        raise InvalidInput(f"{net.name} gives features and no classes: expected a classifier.")
    return net, net.model


def names_of_clusters(clusters: Tensor, labels: Tensor, count: int) -> Tensor:
    """The most frequent class of each cluster, (count,), int64; −1 for a cluster without rows.

    clusters, labels: of each row, (N,), int64, from 0; a label of −1 is missing.
    """
    clusters, labels = clusters[labels >= 0], labels[labels >= 0]
    K = int(labels.max()) + 1
    table = torch.bincount(clusters * K + labels, minlength=count * K).view(count, K)
    return table.argmax(1).masked_fill(table.sum(1) == 0, -1)


def labels_of(rows: Dataset) -> Tensor:
    """The class of each row, (N,), int64; −1 where it is missing.

    Raises InvalidInput for rows without labels.
    """
    if rows.labels is None or not (rows.labels >= 0).any():
        raise InvalidInput(f"{rows.name} has no labels: there are no classes to compare against.")
    return rows.labels


def _share(rows: Tensor) -> Measured:
    return Measured.of(100.0 * rows)
