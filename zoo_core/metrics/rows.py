"""The rows that a protocol names: its keys are checked, its data loaded, a model asked in batches.

Every protocol of rows takes `data`, a data set with its split; `size` and `gray`, as a recipe has
them; and `binarize`, which is `none` unless the metric says otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput, did_you_mean

__all__ = ["BATCH", "Root", "batches", "checked", "each", "load", "over", "seeded"]

Root = str | os.PathLike[str] | None
"""Folder of the data sets."""

BATCH = 500
"""Rows that a model is given at once."""

_KEYS = ("data", "binarize", "size", "gray")


def checked(
    protocol: Mapping[str, Any], keys: Collection[str], what: str, *, binarizes: bool = False
) -> Mapping[str, Any]:
    """Return a protocol that can be followed.

    keys: what it may hold beside that which every protocol of rows may.
    what: whose protocol it is, as the messages begin: `An error rate`.
    binarizes: whether grey levels may become binary.

    Raises InvalidInput for another key, for a protocol without data, and for binary rows where
    there are none.
    """
    known = (*_KEYS, *keys)
    for key in protocol:
        if key not in known:
            raise InvalidInput(
                f"protocol key {key!r} is unknown.{did_you_mean(key, known)} "
                f"{what}'s protocol takes {', '.join(known)}."
            )
    if "data" not in protocol:
        raise InvalidInput("the protocol names no data: expected data = 'mnist:test' or the like.")
    if not binarizes and protocol.get("binarize", "none") != "none":
        raise InvalidInput(f"{what} is of the rows as they are: expected binarize = 'none'.")
    return protocol


def load(
    protocol: Mapping[str, Any], data_root: Root, key: str = "data", split: str | None = None
) -> Dataset:
    """The rows that a key of a protocol names.

    split: of the protocol's data, where the key is not given; the key's own name unless it is said.
    """
    spec = protocol.get(key) or f"{protocol['data'].split(':')[0]}:{split or key}"
    gray = protocol.get("gray", False)
    return load_dataset(spec, root=data_root, size=protocol.get("size"), gray=gray)


def batches(model: nn.Module, rows: Dataset) -> Iterator[Tensor]:
    """Rows as a model takes them, (B, *event_shape), in [0, 1], on its device and in its type.

    Raises InvalidInput when they are of another shape.
    """
    shape = tuple(cast("tuple[int, ...]", model.event_shape))
    if rows.event_shape != shape:
        raise InvalidInput(
            f"{rows.name} has rows of shape {rows.event_shape}, but the model takes {shape}."
        )
    weight = next(model.parameters(), torch.empty(0))
    for start in range(0, len(rows), BATCH):
        yield rows.floats(slice(start, start + BATCH)).to(weight.device, weight.dtype)


def each(model: nn.Module, rows: Dataset, value: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of inputs gives for each row, (N, ...), on the CPU; raises as `batches`."""
    return over(batches(model, rows), value)


@torch.inference_mode()
def over(parts: Iterable[Tensor], value: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of inputs gives for each of theirs, (N, ...), on the CPU.

    parts: inputs in batches, (B, *event_shape) each.
    """
    return torch.cat([value(x).cpu() for x in parts])


def seeded(protocol: Mapping[str, Any], model: nn.Module | None = None) -> torch.Generator:
    """The random stream of a protocol's seed, on the model's device."""
    device = torch.device("cpu")
    if model is not None:
        device = next(model.parameters(), torch.empty(0)).device
    return torch.Generator(device).manual_seed(int(protocol.get("seed", 0)))
