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
from zoo_core.columns import table_columns
from zoo_core.data.dataset import Dataset
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

if TYPE_CHECKING:
    from zoo_core.data.inputs import Some

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
_AT_ONCE = 1000
"""Rows that are binarized at a time."""


def levels_of(model: object) -> int | None:
    """The number of values of a model's variables; None where a table's columns encode them."""
    return None if table_columns(model) else getattr(model, "levels", None)


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


def binarize_dataset(dataset: Dataset, seed: int, places: Sequence[int] | None = None) -> Dataset:
    """Sample each pixel of a data set from Bernoulli(grey / 255), once, by a seed.

    This is done on the CPU, row after row, so that the result is the same on every machine.

    places: of the rows among all of their source, ascending, where some of these could not be read:
        a row has the random numbers of its place. None where all are there.

    Raises InvalidInput for data that are not grey levels.
    """
    if dataset.levels == 2:
        return dataset
    if dataset.levels != 256:
        raise InvalidInput(
            f"{dataset.name} holds {dataset.holds}: only grey levels can be binarized."
        )
    generator = torch.Generator().manual_seed(seed)
    return _binarize_rows(dataset, generator, range(len(dataset)) if places is None else places)


def binarize_parts(
    parts: Iterable[Some], ranges: Sequence[range], seed: int = SEED
) -> Iterator[Some]:
    """Binarize some rows of a data set as if all were in memory, by a seed.

    ranges: the places of each part's rows among all inputs, ascending; those that could not be read
        keep theirs.
    """
    generator, at = torch.Generator().manual_seed(seed), 0
    how = _once(seed)
    for part, rows in zip(parts, ranges, strict=True):
        if part.data.levels != 256:
            yield part
            continue
        for text in describe_binarization(part.data, how):
            note(text)
        kept = range(len(part.data)) if part.places is None else part.places
        places = [rows.start + place for place in kept]
        yield part._replace(data=_binarize_rows(part.data, generator, places, at))
        at = places[-1] + 1 if places else at


def _once(seed: int) -> str:
    return f"once, by seed {seed} and each one's place among the inputs (the model is binary)"


def describe_binarization(dataset: Dataset, how: str = _once(SEED)) -> tuple[str, ...]:
    """Return the note that says how a data set is binarized; none where all is black or white."""
    if dataset.levels != 256 or not ((dataset.x > 0) & (dataset.x < 255)).any():
        return ()
    return (f"{printable(dataset.name)}: grey levels are binarized {how}",)


def _binarize_rows(
    dataset: Dataset, generator: torch.Generator, places: Sequence[int], at: int = 0
) -> Dataset:
    """Sample each pixel of grey levels, by the random numbers of its row's place in a stream.

    places: of the rows, (N,), ascending. at: the place whose numbers are the stream's next ones.
    """
    x, D = torch.empty_like(dataset.x), math.prod(dataset.event_shape)
    for rows in _runs(places):
        _pass_over(generator, (places[rows.start] - at) * D)
        x[rows] = binarize(dataset.floats(rows), generator).to(torch.uint8)
        at = places[rows.stop - 1] + 1
    return replace(dataset, x=x, levels=2)


def _runs(places: Sequence[int]) -> Iterator[slice]:
    """The rows that lie side by side, at most so many at a time."""
    start = 0
    for i in range(1, len(places) + 1):
        if i == len(places) or i - start == _AT_ONCE or places[i] != places[i - 1] + 1:
            yield slice(start, i)
            start = i


def _pass_over(generator: torch.Generator, count: int) -> None:
    """Pass over so many random numbers of a stream."""
    while count > 0:
        count -= torch.rand(min(_SKIPPED, count), generator=generator).numel()
