"""A user's inputs, as a model takes them: its shape, its levels, its device and type."""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from zoo_core.columns import table_columns
from zoo_core.data import Dataset, binarize_dataset, load_rows
from zoo_core.data.binarization import SEED, describe_binarization, levels_of, needs_binarization
from zoo_core.data.cells import Cells
from zoo_core.data.columns import decode
from zoo_core.data.inputs import Some, load_readable
from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput, ZooError
from zoo_core.metrics.likelihood import kind_of, log_prob_of
from zoo_core.precision import weight_of
from zoo_core.protocols import ConditionalDensity
from zoo_core.text import argument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from zoo_core.protocols import Scored
    from zoo_core.tasks.context import Context

__all__ = [
    "Batch",
    "as_floats",
    "beside",
    "column_names",
    "condition",
    "fit_levels",
    "kinds",
    "load_inputs",
    "nats",
    "table_rows",
    "variable_names",
]

P = TypeVar("P")
"""The protocol of a model."""


class _Shaped(Protocol):
    """A model of inputs of one shape."""

    event_shape: tuple[int, ...]


class Batch(NamedTuple):
    """Inputs ready for a model."""

    x: Tensor
    """(B, *event_shape), in [0, 1]."""
    names: tuple[str, ...]
    notes: tuple[str, ...]
    labels: Tensor | None = None
    """Class of each input, (B,), int64, where all have one."""
    classes: tuple[str, ...] = ()
    cells: Cells | None = None
    """Of a table's rows, as they were in their file."""


def load_inputs(
    model: _Shaped, sources: Sequence[object], context: Context, option: str = ""
) -> Batch:
    """Load inputs and fit them to the model.

    Raises InvalidInput when there are none, or when they cannot be fitted.
    """
    if not sources:
        raise InvalidInput(
            f"this task needs inputs: give {option or argument('inputs', flag='--input')} an image "
            "file, a folder, a table, or a data set such as mnist:test[0:16]."
        )
    if context.given is not None:
        some = context.given
    elif columns := table_columns(model):
        some = Some(*load_rows(sources, columns=columns, root=context.data_root))
    else:
        some = load_readable(
            sources,
            shape=tuple(model.event_shape),
            levels=levels_of(model),
            root=context.data_root,
        )
    context.failed.extend(some.failed)
    x, notes = as_floats(model, some.data, some.places)
    return Batch(x, some.names, notes, some.data.labels, some.data.classes, some.data.cells)


def as_floats(
    model: object, data: Dataset, places: Sequence[int] | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """A data set as the model takes it, and what was done to it.

    places: of the rows, as `binarize_dataset` takes them.
    """
    data, notes = (data, ()) if data.columns else fit_levels(model, data, places)
    weight = weight_of(model)
    return data.floats().to(weight.device, weight.dtype), notes


def fit_levels(
    model: object, data: Dataset, places: Sequence[int] | None = None
) -> tuple[Dataset, tuple[str, ...]]:
    """A data set of the model's levels, and what was done to it.

    places: of the rows, as `binarize_dataset` takes them.

    Raises InvalidInput for categories where the model is binary.
    """
    notes: tuple[str, ...] = ()
    if needs_binarization(getattr(model, "levels", None), data):
        if data.levels != 256:
            raise InvalidInput(
                f"{data.name} holds {data.holds}, but the model is binary: "
                "expected variables that are 0 or 1."
            )
        notes = describe_binarization(data)
        data = binarize_dataset(data, SEED, places)
    return data, notes


def nats(model: Scored, x: Tensor, context: Context) -> Tensor:
    """−log p of each input, or a bound that is no less in expectation: (B,), on the CPU.

    x: inputs, (B, *event_shape), in [0, 1].
    """
    import torch

    from zoo_core.metrics.rows import joined

    def parts() -> Iterator[Tensor]:
        done, log_prob = 0, None
        for size, streams in context.streams(model, len(x)):
            log_prob = log_prob or log_prob_of(model, streams)  # which looks at all of a protocol
            yield log_prob(x[done : done + size])
            done += size

    with torch.inference_mode():
        found = -joined(parts(), len(x)).double()
    if wrong := int(found.isnan().sum()):
        raise ZooError(
            f"{context.name} gives NaN as the log-probability of {wrong:,} of {len(x):,} inputs: a "
            "mistake of its family, or weights that went astray in training."
        )
    return found


def condition(model: P, label: int | None, name: str) -> P:
    """The model of p(x | label), which shares its weights with that of p(x); without a label, it.

    Raises InvalidInput for a label that the model does not have.
    """
    if label is None:
        return model
    classes = model.classes if isinstance(model, ConditionalDensity) else 0
    if not classes:
        raise InvalidInput(
            f"{argument('label', label)}: {name} has no p(x | label): it is no density model that "
            "was trained with labels. Leave the label out."
        )
    if not 0 <= label < classes:
        raise InvalidInput(f"{argument('label', label)}: {name} has the labels 0 to {classes - 1}.")
    part = copy(model)
    for method in ("log_prob", "conditionals"):
        if hasattr(model, method):
            setattr(part, method, partial(getattr(model, method), label=label))
    return part


def kinds(model: Scored, x: Tensor) -> list[str]:
    """What the likelihood of each row is, as `kind_of` names it.

    x: inputs, (B, *event_shape), NaN where a cell is missing.
    """
    names = kind_of(model), kind_of(model, missing=True)
    return [names[missing] for missing in x.flatten(1).isnan().any(1).tolist()]


def column_names(model: object, n: int) -> list[str]:
    """The names of a table's columns, where the model knows them; else x0, x1 and so on."""
    return [column.name for column in table_columns(model)] or [f"x{i}" for i in range(n)]


def variable_names(model: _Shaped) -> list[str]:
    """The names of a table's columns, or of an image's pixels, with all their channels."""
    shape = tuple(model.event_shape)
    if len(shape) == 3:
        return [f"y{i} x{j}" for i in range(shape[1]) for j in range(shape[2])]
    return column_names(model, shape[0])


def beside(own: Mapping[str, Any], cells: Mapping[str, Any]) -> dict[str, Any]:
    """A result's own columns before those of a table, which keep their names.

    Its `nats` are called `nats_` where the table has a column `nats`, which is said.
    """
    named = {}
    for name, value in own.items():
        free = name
        while free in cells:
            free += "_"
        if free != name:
            note(f"the table has a column {name}: the result's own is called {free}")
        named[free] = value
    return {**named, **cells}


def table_rows(
    model: object, x: Tensor, given: Cells | None = None, known: Sequence[bool] = ()
) -> list[dict[str, Any]]:
    """Rows of a table, in its own names and units where the model knows them.

    Else they are whole numbers where the variables are categories.

    x: (B, D), in [0, 1], or encoded columns. given, known: as `columns.decode` takes them.
    """
    if columns := table_columns(model):
        return decode(x, columns, given, known)
    names = column_names(model, x.shape[1])
    levels = getattr(model, "levels", None)
    values = (x * (levels - 1)).round().int().tolist() if levels else x.tolist()
    return [dict(zip(names, row, strict=True)) for row in values]
