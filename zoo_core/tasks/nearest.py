"""Are samples copies? Each beside the training rows that are nearest to it.

A model that has memorized its data generates them again: its samples are then nearer to training
rows than held-out rows are. Distances in pixels see an exact copy; a copy that is moved by a pixel
is near in the features of a net only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core.columns import table_columns
from zoo_core.errors import InvalidInput, ZooError
from zoo_core.options import option
from zoo_core.protocols import Generator
from zoo_core.tasks.groups import Samples
from zoo_core.tasks.result import Result
from zoo_core.tasks.sample import draw, of_label
from zoo_core.text import argument, counted, printable

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.data import Dataset
    from zoo_core.metrics.samples import Net
    from zoo_core.tasks.context import Context

__all__ = ["Options", "nearest", "neighbours"]

_BLOCK = 4096
"""Rows whose distances to all samples are held at once."""

_Vectors = Callable[["Dataset"], "Tensor"]
"""Rows as vectors in which distances are measured, (N, d), float64."""


@dataclass(frozen=True, kw_only=True)
class Options(Samples):
    """Of the task `nearest`."""

    inputs: tuple[object, ...] = option(
        (), "Rows to search in place of the training data", flags=("--input", "-i"), metavar="INPUT"
    )
    k: int = option(4, "Nearest rows of each sample", minimum=1)
    features: str = option(
        "",
        "Feature net in whose features rows are compared too, such as features.mnist",
        metavar="ENTRY",
    )


class _Rows(NamedTuple):
    """Rows, their names, and what was done to them."""

    data: Dataset
    names: tuple[str, ...]
    notes: tuple[str, ...]


class _Found(NamedTuple):
    """The training rows that are nearest to each sample, in one space."""

    space: str
    places: Tensor
    """Of the rows, (n, k), int64, the nearest first."""
    distances: Tensor
    """(n, k), float64."""
    held_out: float | None
    """Median distance of held-out rows to theirs."""


def nearest(model: Generator, options: Options, context: Context) -> Result:
    """Sample n times, and show the k rows of the training data that are nearest to each sample."""
    import torch

    from zoo_core.data import Dataset

    k, net = options.k, _net(model, options, context)
    train, held_out = _train(model, options, context), _held_out(model, options, context)
    if k > len(train.data):
        raise InvalidInput(f"{argument('k', k)}: {train.data.name} has {len(train.data)} rows.")
    label = of_label(model, options.label, context.name)
    x = draw(model, options.n, context, temperature=options.temperature, **label).float()
    samples = Dataset("samples", "", x, None)
    spaces: dict[str, _Vectors] = {"pixels" if x.ndim == 4 else "variables": _flat}
    if net:
        spaces[net.name] = net.features
    found = [
        _find_neighbours(space, vectors, samples, train.data, held_out, k)
        for space, vectors in spaces.items()
    ]
    notes = train.notes + ((held_out,) if isinstance(held_out, str) else ())
    result = Result(
        summary=f"{counted(len(x), 'sample')} from {context.name}, each beside "
        f"the nearest of {len(train.data):,} rows of {_source_name(options, context)}",
        figures=tuple(map(_describe, found)),
        notes=notes,
        rows=[row for one in found for row in _table(one, train.names)],
        tensors={"samples": x} | _tensors(found),
    )
    if x.ndim != 4:
        return result
    columns = [x.unsqueeze(1), *(train.data.floats(f.places.flatten()) for f in found)]
    images = torch.cat([part.view(len(x), -1, *x.shape[1:]) for part in columns], 1)
    beside = ", ".join(f"{k} nearest in {one.space}" for one in found)
    return replace(
        result,
        images=images.flatten(0, 1),
        columns=images.shape[1],
        notes=(*notes, f"columns: sample, {beside}"),
        headings=["sample", *(f"nearest in {one.space}" for one in found for _ in range(k))],
    )


def neighbours(x: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances to the k nearest of some rows, and their places, (n, k) each.

    x: (n, d). rows: (N, d), N no less than k.
    """
    import torch

    distances, places = x.new_empty(len(x), 0), torch.empty(len(x), 0, dtype=torch.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        here = torch.arange(start, start + len(block)).expand(len(x), -1)
        distances = torch.cat([distances, torch.cdist(x, block)], 1)
        distances, kept = distances.topk(min(k, distances.shape[1]), largest=False)
        places = torch.cat([places, here], 1).gather(1, kept)
    return distances, places


def _net(model: Generator, options: Options, context: Context) -> Net | None:
    """The requested feature net.

    Raises InvalidInput for one of another shape, and what `feature_net` raises.
    """
    if not options.features:
        return None
    from zoo_core.metrics.samples import feature_net

    net, shape = feature_net(options.features), tuple(model.event_shape)
    takes = tuple(net.model.event_shape)
    if takes != shape:
        raise InvalidInput(f"{net.name} takes {takes}, but {context.name} samples {shape}.")
    return net


def _train(model: Generator, options: Options, context: Context) -> _Rows:
    """The inputs, or the training split of the model's own data.

    Raises InvalidInput where neither is known.
    """
    if not (options.inputs or context.data):
        raise InvalidInput(
            f"{context.name} does not say which data it was trained on: name them, as "
            f"{argument('inputs', 'mnist:train', '--input')}."
        )
    return _rows(model, options.inputs or (f"{context.data}:train",), context)


def _held_out(model: Generator, options: Options, context: Context) -> Dataset | str:
    """As many held-out rows of the model's own data as samples, or why there are none."""
    if options.inputs or not context.data:
        return "no held-out rows stand beside: inputs were given in the training data's place"
    spec = f"{context.data}:test[0:{options.n}]"
    try:
        return _rows(model, (spec,), context).data
    except ZooError as error:
        return f"no held-out rows stand beside: {spec} cannot be used ({error})"


def _rows(model: Generator, sources: tuple[object, ...], context: Context) -> _Rows:
    """Rows in the model's shape, or its columns.

    Raises InvalidInput where they cannot be fitted.
    """
    from zoo_core.data import load_rows
    from zoo_core.data.binarization import levels_of
    from zoo_core.data.inputs import load_readable
    from zoo_core.tasks.inputs import fit_levels

    if columns := table_columns(model):
        return _without_gaps(*load_rows(sources, columns=columns, root=context.data_root))
    shape, levels = tuple(model.event_shape), levels_of(model)
    some = load_readable(sources, shape=shape, levels=levels, root=context.data_root)
    context.failed.extend(some.failed)
    data, notes = fit_levels(model, some.data, some.places)
    return _Rows(data, some.names, notes)


def _without_gaps(data: Dataset, names: tuple[str, ...]) -> _Rows:
    """The rows without a missing cell: others have no distance.

    Raises InvalidInput where there are none.
    """
    kept = (~data.x.isnan().any(1)).nonzero().flatten()
    if len(kept) == len(data):
        return _Rows(data, names, ())
    if not len(kept):
        raise InvalidInput(
            f"{data.name}: a cell is missing in each of {counted(len(data), 'row')}, and a "
            "distance takes all of them. Give rows without gaps."
        )
    left_out = len(data) - len(kept)
    note = f"{printable(data.name)}: left out {left_out:,} of {len(data):,} rows: a cell is missing"
    return _Rows(data[kept], tuple(names[place] for place in kept.tolist()), (note,))


def _flat(rows: Dataset) -> Tensor:
    return rows.floats().flatten(1).double()


def _find_neighbours(
    space: str,
    vectors: _Vectors,
    samples: Dataset,
    train: Dataset,
    held_out: Dataset | str,
    k: int,
) -> _Found:
    rows = vectors(train)
    distances, places = neighbours(vectors(samples), rows, k)
    beside = None if isinstance(held_out, str) else neighbours(vectors(held_out), rows, 1)[0]
    return _Found(space, places, distances, None if beside is None else float(beside.median()))


def _describe(found: _Found) -> str:
    """How far samples are from training rows, and held-out rows beside them."""
    text = f"in {found.space} {float(found.distances[:, 0].median()):.3g} from the nearest"
    return text if found.held_out is None else f"{text} (held-out rows {found.held_out:.3g})"


def _table(found: _Found, names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"sample": i, "space": found.space, "rank": rank, "row": names[place], "distance": distance}
        for i, (places, distances) in enumerate(
            zip(found.places.tolist(), found.distances.tolist(), strict=True)
        )
        for rank, (place, distance) in enumerate(zip(places, distances, strict=True), 1)
    ]


def _tensors(found: list[_Found]) -> dict[str, Tensor]:
    """Places and distances of each space; the second one is that of features."""
    return {
        f"{key}_{kind}": value
        for kind, one in zip(("pixels", "features"), found, strict=False)
        for key, value in (("places", one.places), ("distances", one.distances))
    }


def _source_name(options: Options, context: Context) -> str:
    from zoo_core.data.inputs import source_name

    return ", ".join(map(source_name, options.inputs)) or f"{context.data}:train"
