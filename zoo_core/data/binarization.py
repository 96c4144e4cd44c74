"""Whether grey levels become 0 and 1, and how: each is sampled, with itself as probability.

A recipe and a metric's protocol may state it, as `binarize`; else `needs_binarization` decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo_core import draws
from zoo_core.data.dataset import Dataset
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

if TYPE_CHECKING:
    from zoo_core.data.streams import Some

__all__ = [
    "SEED",
    "binarize",
    "binarize_dataset",
    "binarize_parts",
    "describe_binarization",
    "levels_of",
    "needs_binarization",
]

SEED = 0
"""Seed by which a user's inputs are binarized; that of the registry's protocols."""
_SKIPPED = 2**22
"""Random numbers that are passed over at a time."""


def levels_of(model: object) -> int | None:
    """The number of values of a model's variables; None where a table's columns encode them."""
    return None if getattr(model, "columns", ()) else getattr(model, "levels", None)


def needs_binarization(levels: int | None, dataset: Dataset | None = None) -> bool:
    """Whether rows are binarized where nothing states it: for a binary model, unless they are so.

    levels: the number of values of the model's variables.
    """
    return levels == 2 and (dataset is None or dataset.levels != 2)


def binarize(x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Sample each value from Bernoulli(x), in {0, 1}.

    x: means, any shape, in [0, 1].
    """
    u = draws.rand(*x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return (u < x).to(x.dtype)


def binarize_dataset(dataset: Dataset, seed: int) -> Dataset:
    """Sample each pixel of a data set from Bernoulli(grey / 255), once, by a seed.

    This is done on the CPU, row after row, so that the result is the same on every machine.

    Raises InvalidInput for data that are not grey levels.
    """
    if dataset.levels == 2:
        return dataset
    if dataset.levels != 256:
        raise InvalidInput(
            f"{dataset.name} holds {dataset.holds}: only grey levels can be binarized."
        )
    return _binarize_rows(dataset, torch.Generator().manual_seed(seed))


def binarize_parts(
    parts: Iterable[Some], ranges: Sequence[range], seed: int = SEED
) -> Iterator[Some]:
    """Binarize some rows of a data set as if all were in memory, by a seed.

    ranges: the places of each part's rows among all inputs, ascending.
    """
    generator, at = torch.Generator().manual_seed(seed), 0
    how = _once(seed)
    for part, rows in zip(parts, ranges, strict=True):
        if part.data.levels != 256:
            yield part
            continue
        for text in describe_binarization(part.data, how):
            note(text)
        D = math.prod(part.data.event_shape)
        while at < rows.start * D:
            at += torch.rand(min(_SKIPPED, rows.start * D - at), generator=generator).numel()
        yield part._replace(data=_binarize_rows(part.data, generator))
        at += part.data.x.numel()


def _once(seed: int) -> str:
    return f"once, by seed {seed} and each one's place among the inputs (the model is binary)"


def describe_binarization(dataset: Dataset, how: str = _once(SEED)) -> tuple[str, ...]:
    """Return the note that says how a data set is binarized; none where all is black or white."""
    if dataset.levels != 256 or not ((dataset.x > 0) & (dataset.x < 255)).any():
        return ()
    return (f"{printable(dataset.name)}: grey levels are binarized {how}",)


def _binarize_rows(dataset: Dataset, generator: torch.Generator) -> Dataset:
    """Sample each pixel of grey levels, by the next random numbers of a stream, row after row."""
    x = torch.empty_like(dataset.x)
    for start in range(0, len(dataset), 1000):
        rows = slice(start, start + 1000)
        x[rows] = binarize(dataset.floats(rows), generator).to(torch.uint8)
    return replace(dataset, x=x, levels=2)
