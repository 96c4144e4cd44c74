"""Semi-supervised learning: keep a few of a data set's labels."""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo_core.data.dataset import Dataset
from zoo_core.errors import InvalidInput

__all__ = ["with_labels"]


def with_labels(dataset: Dataset, n: int, seed: int) -> Dataset:
    """The data set with n labels, as many of each class; the others become −1.

    Which rows keep theirs follows from the seed alone. They are chosen on the CPU, so that they
    are the same on every machine.

    Raises InvalidInput when the data set has no labels, or not enough of each class.
    """
    if dataset.labels is None:
        raise InvalidInput(f"labels is {n}, but {dataset.name} has no labels. Leave it out.")
    counts = torch.bincount(dataset.labels)
    each, rest = divmod(n, len(counts))
    if rest or not 0 < each <= int(counts.min()):
        raise InvalidInput(
            f"labels is {n}; expected a multiple of {dataset.name}'s {len(counts)} classes, of up "
            f"to {len(counts) * int(counts.min())}: as many rows of each keep their label."
        )
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    by_class = order[dataset.labels[order].argsort(stable=True)]
    rows = torch.cat([part[:each] for part in by_class.split(counts.tolist())])
    labels = torch.full_like(dataset.labels, -1)
    labels[rows] = dataset.labels[rows]
    return replace(dataset, labels=labels)
