"""The rows that a protocol names, and a model's values for them in batches.

The protocol of a metric is a frozen dataclass, whose fields say what it may hold, their defaults
and their bounds. Those of metrics that are about rows of a data set begin here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo_core.columns import table_columns
from zoo_core.data import Dataset, binarize_dataset, load_dataset
from zoo_core.data.binarization import binarize_parts, levels_of, needs_binarization
from zoo_core.data.columns import fit_columns
from zoo_core.data.resolve import parse_spec, size_and_gray
from zoo_core.data.streams import open_split
from zoo_core.data.tables import in_levels
from zoo_core.errors import InvalidInput
from zoo_core.options import option
from zoo_core.precision import weight_of

__all__ = [
    "BATCH",
    "OfBinaryRows",
    "OfRows",
    "Root",
    "Shaped",
    "batches",
    "each",
    "joined",
    "load",
    "load_binarized",
    "over",
    "parts",
    "resample",
    "seeded",
    "settings_of",
]

Root = str | os.PathLike[str] | None
"""Folder of the data sets."""

BATCH = 500
"""Rows that a model is given at once."""

_PART = 32 * BATCH
"""Rows of a table that are read at a time."""


@dataclass(frozen=True, kw_only=True)
class OfRows:
    """The protocol of a metric of rows as they are."""

    data: str = option("", "Held-out rows: a data set with its split, such as mnist:test")
    binarize: str = option("none", "Binarization of grey levels: none", choices=("none",))
    size: int | None = option(
        None, "Height and width that images are resized to", unit="pixels", minimum=1
    )
    gray: bool = option(False, "Convert images to grey")


@dataclass(frozen=True, kw_only=True)
class OfBinaryRows(OfRows):
    """The protocol of a metric that also measures models of binary variables."""

    binarize: str = option(
        "none",
        "Binarization of grey levels: fixed samples each pixel once, by the seed",
        choices=("none", "fixed"),
    )
    seed: int | None = option(None, "Seed of every random number; 0 by default", minimum=0)


class Shaped(Protocol):
    """A model that says which shape its inputs have, as every protocol of models does."""

    event_shape: tuple[int, ...]


def settings_of(model: object) -> dict[str, Any]:
    """The binarization, size and colours of the rows that a model takes, as a protocol has them."""
    size, gray = size_and_gray(getattr(model, "event_shape", ()))
    binarize = "fixed" if needs_binarization(levels_of(model)) else "none"
    return {"binarize": binarize, "size": size, "gray": gray}


def load(
    protocol: OfRows, data_root: Root, spec: str | None = None, split: str | None = None
) -> Dataset:
    """The held-out rows of a protocol, or rows of another spec in the same size and colours.

    split: of the protocol's data, where the spec is empty.

    Raises InvalidInput for a protocol without data.
    """
    if not protocol.data:
        raise InvalidInput("the protocol names no data: expected data = 'mnist:test' or the like.")
    if not spec:
        spec = f"{parse_spec(protocol.data, data_root).name}:{split}" if split else protocol.data
    return load_dataset(spec, root=data_root, size=protocol.size, gray=protocol.gray)


def load_binarized(
    protocol: OfBinaryRows, data_root: Root, spec: str | None = None, split: str | None = None
) -> Dataset:
    """The same rows as `load` gives, binarized where the protocol says so."""
    rows = load(protocol, data_root, spec, split)
    return binarize_dataset(rows, protocol.seed or 0) if protocol.binarize == "fixed" else rows


def parts(
    model: Shaped,
    protocol: OfBinaryRows,
    data_root: Root,
    load_whole: Callable[[OfBinaryRows, Root], Dataset] = load_binarized,
) -> Iterator[Dataset]:
    """The held-out rows of a protocol, in order: of a table some at a time, else all as one part.

    load_whole: gives these.
    """
    columns = table_columns(model)
    stream = None
    if protocol.data:
        shape = tuple(model.event_shape)
        stream = open_split(protocol.data, shape=shape, columns=columns, root=data_root)
    if stream is None or not stream.rows:  # or there is something wrong with them
        yield load_whole(protocol, data_root)
        return
    ranges = [range(i, min(i + _PART, stream.rows)) for i in range(0, stream.rows, _PART)]
    read, seed = stream.read(ranges), protocol.seed or 0
    if protocol.binarize == "none":
        yield from (some.data for some in read)
        return
    for some in binarize_parts(read, ranges, seed):
        yield binarize_dataset(some.data, seed)  # raises for what is not grey


def batches(model: Shaped, rows: Dataset) -> Iterator[Tensor]:
    """Rows as a model takes them, (B, *event_shape), in [0, 1], on its device and in its type.

    Categories of a table are the model's own, whatever the greatest number in it is.

    Raises InvalidInput when they are of another shape, or are none of the model's categories.
    """
    shape = tuple(model.event_shape)
    rows = in_levels(fit_columns(model, rows), shape, levels_of(model))
    if rows.event_shape != shape:
        raise InvalidInput(
            f"{rows.name} has rows of shape {rows.event_shape}, but the model takes {shape}."
        )
    weight = weight_of(model)
    for start in range(0, len(rows), BATCH):
        yield rows.floats(slice(start, start + BATCH)).to(weight.device, weight.dtype)


def each(model: Shaped, rows: Dataset, value: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of inputs gives for each row, (N, ...), on the CPU; raises as `batches`."""
    return over(batches(model, rows), value, len(rows))


@torch.inference_mode()
def over(inputs: Iterable[Tensor], value: Callable[[Tensor], Tensor], n: int) -> Tensor:
    """What a function of inputs gives for each of theirs, (n, ...), on the CPU.

    inputs: in batches, (B, *event_shape) each, of n rows in all.
    """
    return joined(map(value, inputs), n)


def joined(parts: Iterable[Tensor], n: int) -> Tensor:
    """Parts one after another, (n, ...), on the CPU: what `torch.cat` gives of them.

    Each is let go before the next is made. Parts that are kept lie in the memory that a batch's
    large tensors had, which then serves no other batch: each takes new memory, slowly.

    parts: (B, ...) each, alike but for B, of n rows in all; at least one.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = part.new_empty(n, *part.shape[1:], device="cpu")
        end = done + len(part)
        whole[done:end].view_as(part).copy_(part)
        done = end
        del part
    assert whole is not None and done == n, f"{done} rows of {n}"
    return whole


def resample(x: Tensor, generator: torch.Generator) -> Tensor:
    """As many rows as x has, sampled from them with replacement: a bootstrap sample."""
    return x[torch.randint(len(x), (len(x),), generator=generator)]


def seeded(seed: int | None, model: object = None) -> torch.Generator:
    """The random stream of a protocol's seed, on a model's device."""
    return torch.Generator(weight_of(model).device).manual_seed(seed or 0)
