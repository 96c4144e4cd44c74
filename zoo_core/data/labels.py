"""Labels: keep a few of a data set's, for semi-supervised learning; number them as a model does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput
from zoo_core.text import counted, printable

__all__ = ["match_labels", "with_labels"]


def with_labels(dataset: Dataset, n: int, seed: int) -> Dataset:
    """The data set with n labels, as many of each class; the others become −1.

    Which rows keep theirs follows from the seed alone. They are chosen on the CPU, so that they
    are the same on every machine. Rows whose label is missing, −1, are not among them.

    Raises InvalidInput when the data set has no labels, or not enough of each class.
    """
    if dataset.labels is None or not (dataset.labels >= 0).any():
        raise InvalidInput(f"labels is {n}, but {dataset.name} has no labels. Leave it out.")
    if missing := int((dataset.labels < 0).sum()):
        note(f"{printable(dataset.name)}: {counted(missing, 'row')} without a label")
    counts = torch.bincount(dataset.labels[dataset.labels >= 0])
    each, rest = divmod(n, len(counts))
    if rest or not 0 < each <= int(counts.min()):
        raise InvalidInput(
            f"labels is {n}; expected a multiple of {dataset.name}'s {len(counts)} classes, of up "
            f"to {len(counts) * int(counts.min())}: as many rows of each keep their label."
        )
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed))
    order = order[dataset.labels[order] >= 0]
    by_class = order[dataset.labels[order].argsort(stable=True)]
    rows = torch.cat([part[:each] for part in by_class.split(counts.tolist())])
    labels = torch.full_like(dataset.labels, -1)
    labels[rows] = dataset.labels[rows]
    return replace(dataset, labels=labels)


def match_labels(
    labels: Tensor, names: Sequence[str], classes: int, own: Sequence[str] = ()
) -> Tensor | None:
    """Labels as a model numbers its classes, (N,); None where the data have other classes.

    A folder's classes are numbered in the order of their names. Those that are called as the
    model's are these. Else, where there are as many as the model has, they are the same in their
    order; where all are called by digits, as folders 3 and 7, they are those of a model of up to
    ten classes.

    labels: (N,), int64, from 0; −1 where one is missing, which stays so.
    names: the data's classes, where that is known.
    classes: how many the model has.
    own: what they are called, where that is known.
    """
    if not names:
        return labels if not len(labels) or int(labels.max()) < classes else None
    if set(names) <= set(own):
        return _numbered(labels, [own.index(name) for name in names])
    if len(names) == classes:
        return labels
    numbers = [int(name) if name.isdecimal() else classes for name in names]
    # of more than ten the order of the names is another than that of the numbers
    if not max(numbers) < classes <= 10:
        return None
    return _numbered(labels, numbers)


def _numbered(labels: Tensor, numbers: list[int]) -> Tensor:
    """Labels by other numbers; the same where the numbers are."""
    if numbers == list(range(len(numbers))):
        return labels
    return torch.tensor(numbers)[labels.clamp(min=0)].where(labels >= 0, -1)
