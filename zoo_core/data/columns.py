"""Columns of a table: what each one is, guessed from its cells or stated, and how rows are encoded.

A model of mixed columns takes rows (B, D), float32: of a binary, categorical or ordinal column the
number of its category, from 0; of a real one its value less the mean, over the standard deviation,
of the training rows. A missing cell is NaN. Its config holds the columns with names and categories,
so that its results speak in those of the table.

Over 400 lines: what is encoded is decoded here too, by the same record of a column.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.columns import EXACT, KINDS, Column, table_columns
from zoo_core.data.cells import MIDNIGHT, Cells, Values, is_plain_number, texts_of
from zoo_core.data.notes import list_names, note
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean
from zoo_core.text import argument, counted, printable, quoted

if TYPE_CHECKING:
    from zoo_core.data.dataset import Dataset

__all__ = [
    "KINDS",
    "Column",
    "cell_types",
    "cells_of",
    "decode",
    "encode",
    "fit_columns",
    "guess_columns",
    "in_columns",
    "kept_columns",
    "numbers_rows",
    "of_cells",
]

SKIP = "skip"
"""What a column that is left out is stated to be."""

_FEW, _MANY, _BINS = 20, 1000, 32
"""Whole numbers of at most so many values are categories; texts of more are left out; and the most
intervals that a real column's training values are divided into."""
_BITS = ("0", "1")
"""Categories of a binary column that holds its own numbers."""
_TRUTHS = ("false", "true")
_FLOAT32 = torch.finfo(torch.float32).max
_WRITTEN_NUMBER = re.compile(r"[^\w.,+-]{0,3} ?[+-]?\d[\d.,']*(e[+-]?\d+)? ?[^\d\s.,]{0,4}", re.I)
"""A text that a reader takes for a number: $1,234.50, 55 %, 12 cm."""
_LARGEST = 1e150
"""Size of a number that has a finite square, as a standard deviation takes."""


def guess_columns(
    cells: Cells, training: NDArray[np.bool_], stated: Mapping[str, str], where: str
) -> tuple[Column, ...]:
    """Guess what each column of a table is, and print it once.

    A column is binary where it has two values, real where it has numbers of which some are not
    whole or that are more than 20, ordinal where it has fewer whole numbers, and else categorical.
    Row numbers without a name, columns without any value or with infinite numbers, and texts of
    more than 1,000 values, or of more than 20 that no two rows share, are left out.

    cells: the whole table, of all splits: a category need not occur in training.
    training: which rows are trained on, (N,): means and quantiles are theirs.
    stated: by the names of columns, what they are: one of KINDS, or `skip`.
    where: the table's name, for what is said.

    Raises UnknownName for a name or a kind that there is not, InvalidInput for a column that
    cannot be what is stated, or where no column is left.
    """
    for name, kind in stated.items():
        if name not in cells.names:
            raise UnknownName(
                f"columns: the table has no column {quoted(name)}.{did_you_mean(name, cells.names)}"
                f" It has {', '.join(map(printable, cells.names[:20]))}."
            )
        if kind not in (*KINDS, SKIP):
            raise UnknownName(
                f"columns: {printable(name)} = {quoted(kind)}; expected {', '.join(KINDS)} or "
                f"{SKIP}.{did_you_mean(str(kind), (*KINDS, SKIP))}"
            )
    columns = []
    for name, values in zip(cells.names, cells.columns, strict=True):
        kind, why = (stated[name], "") if name in stated else _kind(name, values)
        called = f"column {printable(name)}" if name else "the column without a name"
        begin = f"{printable(where)}: {called}"
        if name not in stated and (odd := _describe_texts(name, values)):
            note(f"{begin} {odd}")
        if kind != SKIP:
            columns.append(_column(name, kind, values, training))
            if kind == "real" and (merged := _describe_merged(values, columns[-1])):
                note(f"{begin}: {merged}")
        elif why:
            note(f"{begin} is left out: {why}")
    if not columns:
        raise InvalidInput("no column of the table is left: all are skipped.")
    return tuple(columns)


def encode(cells: Cells, columns: Sequence[Column], where: str) -> Tensor:
    """Rows of a table as models of these columns take them, (N, D), float32, NaN where missing.

    where: the table's name, for messages.

    Raises InvalidInput for a column that the table lacks and for a cell that its column cannot be.
    """
    places = {name: place for place, name in enumerate(cells.names)}
    if missing := [column.name for column in columns if column.name not in places]:
        # a table without a header is taken by place
        if not (cells.numbered and len(cells.names) == len(columns)):
            raise InvalidInput(_describe_missing(cells, missing, columns, where))
        places = {column.name: place for place, column in enumerate(columns)}
    encoded = [_encode(cells.columns[places[c.name]], c, where, cells.start) for c in columns]
    return torch.from_numpy(np.stack(encoded, 1)).float()


def _describe_missing(
    cells: Cells, missing: Sequence[str], columns: Sequence[Column], where: str
) -> str:
    """What a table has in the place of a model's columns, and what the model takes."""
    known = list_names([column.name for column in columns])
    if cells.numbered:
        return (
            f"{printable(where)} has {counted(len(cells.names), 'column')} without names, and the "
            f"model takes {len(columns)}: {known}."
        )
    return (
        f"{printable(where)} has no column {list_names(missing)}; its columns are "
        f"{list_names(cells.names)}. The model takes {known}."
    )


def decode(
    x: Tensor,
    columns: Sequence[Column],
    given: Cells | None = None,
    known: Sequence[bool] = (),
) -> list[dict[str, Any]]:
    """Rows in the names and units of their table, None where a cell is missing.

    x: encoded rows, (N, D).
    given: the cells that they were read from, which are given back as they were, also those of
        columns that a model does not have.
    known: which columns' cells are given back, (D,); by default all.
    """
    values: dict[str, list[Any]] = {} if given is None else _given(given, columns)
    for i, (column, x_i) in enumerate(zip(columns, x.double().unbind(1), strict=True)):
        decoded = _decode(column, x_i)
        kept = values.get(column.name) if not known or known[i] else None
        if kept:
            decoded = [d if k is None else k for d, k in zip(decoded, kept, strict=True)]
        values[column.name] = decoded
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def cell_types(cells: Cells | None, columns: Sequence[Column]) -> dict[str, type]:
    """The types of the cells that `decode` gives, by columns; none where those are not known.

    They are those of the whole file that the cells are some rows of: str, int or float.

    columns: a model's.
    """
    if cells is None or not cells.types:
        return {}
    known, names = _by_name(cells, columns)
    found = dict(zip(names, cells.types, strict=True))
    for name, column in known.items():
        if column.kind == "real":
            found[name] = int if not column.decimals and found[name] is int else float
        else:
            found[name] = int if column.holds_numbers else str
    return found


def _by_name(cells: Cells, columns: Sequence[Column]) -> tuple[dict[str, Column], list[str]]:
    """A model's columns by their names, and the names of a table's."""
    known = {column.name: column for column in columns}
    names = list(cells.names)
    if not known.keys() <= set(names):  # a table without a header is taken by place
        names = list(known)
    return known, names


def _given(cells: Cells, columns: Sequence[Column]) -> dict[str, list[Any]]:
    """The cells of a table by columns, None where one is missing; numbers as `_decode` has them."""
    known, names = _by_name(cells, columns)
    found: dict[str, list[Any]] = {}
    for name, values in zip(names, cells.columns, strict=True):
        column = known.get(name)
        if isinstance(values, list) and column is not None and column.kind == "real":
            values = _floats(values)
        if isinstance(values, list):
            found[name] = [text or None for text in values]
        elif column is not None and column.kind != "real" and not column.holds_numbers:
            found[name] = [text or None for text in texts_of(values)]
        else:
            whole = column is None or column.holds_numbers or not column.decimals
            found[name] = [
                None if math.isnan(v) else int(v) if whole and _is_whole(v) else v
                for v in values.tolist()
            ]
    return found


def _is_whole(value: float) -> bool:
    return value.is_integer() and abs(value) <= EXACT


def fit_columns(model: object, data: Dataset) -> Dataset:
    """A data set in the columns of a model, where it has some; raises as `in_columns`."""
    columns = table_columns(model)
    return in_columns(data, columns) if columns else data


def kept_columns(data: Dataset) -> tuple[Column, ...]:
    """The columns by which a model of binary variables takes other tables than this one.

    None where their names and categories say no more than their places and numbers do.
    """
    if data.levels != 2:
        return ()
    kept = [
        dataclasses.replace(c, kind="binary", categories=texts, required=True)
        for c in data.columns
        for texts in [c.categories if len(c.categories) == 2 else _BITS]
    ]
    plain = all(c.name == f"x{i}" and c.categories == _BITS for i, c in enumerate(kept))
    return () if plain else tuple(kept)


def in_columns(data: Dataset, columns: Sequence[Column]) -> Dataset:
    """A table with its rows encoded as models of these columns take them.

    Raises InvalidInput as `encode`, and for data that are no table.
    """
    if data.levels in (None, 2) and data.columns == tuple(columns):
        return data
    if columns and kept_columns(data) == tuple(columns):
        return dataclasses.replace(data, columns=tuple(columns))
    if data.x.ndim != 2:
        raise InvalidInput(f"{data.name} holds images, and the model takes a table's columns.")
    return of_cells(cells_of(data), columns, data.name, data.split)


def of_cells(
    cells: Cells, columns: Sequence[Column], name: str, split: str, *, keep: bool = False
) -> Dataset:
    """A table's rows as a data set, binary where all columns are and no cell is missing.

    keep: whether it has the cells, too, to be given back.
    """
    from zoo_core.data.dataset import Dataset

    where = name if split == "input" else f"{name}:{split}"  # whose rows are not those of the file
    x, kept = encode(cells, columns, where), cells if keep else None
    binary = all(len(column.categories) == 2 for column in columns) and not x.isnan().any()
    if binary:
        return Dataset(name, split, x.to(torch.uint8), 2, columns=tuple(columns), cells=kept)
    return Dataset(name, split, x, None, columns=tuple(columns), cells=kept)


def cells_of(data: Dataset) -> Cells:
    """The cells that a data set's rows were read from."""
    names = [column.name for column in data.columns] or [f"x{i}" for i in range(data.x.shape[1])]
    x = data.x.double().numpy()
    if data.levels not in (None, 2) or not data.columns:  # whole numbers as they are in the file
        return Cells(tuple(names), tuple(x.T))
    values: list[Values] = []
    for column, x_i in zip(data.columns, x.T, strict=True):
        texts = column.categories
        if column.kind == "real":
            values.append(_real_values(x_i, column))
        elif len(texts) == 1 and data.levels == 2:  # a constant among binary ones, as in the file
            values.append(x_i)
        else:
            values.append(["" if math.isnan(v) else texts[round(v)] for v in x_i.tolist()])
    return Cells(tuple(names), tuple(values))


def _real_values(x: NDArray[np.float64], column: Column) -> NDArray[np.float64]:
    """The values of a real column, with its decimals where float32 kept the value that has them.

    x: encoded values, (N,), read from float32.
    """
    values = x * column.std + column.mean
    error = 2.0**-24 * np.abs(x) * column.std + 2.0**-50 * (np.abs(values) + abs(column.mean))
    with np.errstate(over="ignore", invalid="ignore"):  # of a value of hundreds of decimals
        rounded = values.round(column.decimals)
        return np.where(np.abs(rounded - values) <= error, rounded, values)


def numbers_rows(name: str, values: Values) -> bool:
    """Whether a column holds the numbers of a table's rows, which pandas writes without a name."""
    if name or isinstance(values, list) or not len(values):
        return False
    return np.array_equal(np.sort(values), np.arange(len(values)) + values.min())


def _kind(name: str, values: Values) -> tuple[str, str]:
    """What a column is, and why it is left out."""
    if (row := _infinite(values)) is not None:
        return SKIP, (
            f"it holds {quoted(str(values[row]))}, which is no finite number below 1e150; "
            "an empty cell is a missing one"
        )
    if isinstance(values, list):
        found, there = len(set(values) - {""}), len(values) - values.count("")
        if found > _MANY or (found > _FEW and found == there):
            return SKIP, (
                f"{found:,} different texts among {len(values):,} rows, such as "
                f"{quoted(next(filter(None, values)))}; "
                f"{argument('columns', {name: 'categorical'})} keeps it"
            )
        if not found:
            return SKIP, "it is empty"
        return "binary" if found == 2 else "categorical", ""
    held = values[~np.isnan(values)]
    distinct = np.unique(held)
    if not len(held):
        return SKIP, "it is empty"
    if numbers_rows(name, values):
        return SKIP, "it numbers the rows"
    if len(distinct) <= 2:
        return "binary" if len(distinct) == 2 else "categorical", ""
    whole = bool((held == np.floor(held)).all())
    return "ordinal" if whole and len(distinct) <= _FEW else "real", ""


def _describe_texts(name: str, values: Values) -> str:
    """What to say of texts that could be numbers, or seem to be; nothing of others."""
    if not isinstance(values, list):
        return ""
    if code := _code(values):
        return (
            f"holds texts such as {quoted(code)}, which numbers would not keep; "
            f"{argument('columns', {name: 'real'})} takes them as numbers"
        )
    found = dict.fromkeys(filter(None, values))
    numbers = sum(1 for text in found if _is_number(text) or _WRITTEN_NUMBER.fullmatch(text))
    if len(found) <= _FEW or numbers < len(found) / 2:
        return ""
    other = next(text for text in found if not _is_number(text))
    return (
        f"holds texts such as {quoted(other)}: if they are to be numbers, write them without "
        "signs, units and thousands separators, and leave cells empty where one is missing"
    )


def _describe_merged(values: Values, column: Column) -> str:
    """What to say where a model cannot tell most values apart; nothing of others."""
    distinct = np.unique(_floats(values) if isinstance(values, list) else values)
    distinct = distinct[~np.isnan(distinct)]
    with np.errstate(over="ignore"):  # infinite ones are alike, too
        kept = len(np.unique(((distinct - column.mean) / column.std).astype(np.float32)))
    if kept >= len(distinct) / 2:
        return ""
    furthest = distinct[np.abs(distinct - column.mean).argmax()]
    return (
        f"its values have a standard deviation of {column.std:g}, for which {len(distinct):,} "
        f"different ones are {kept:,} to a model (float32). Is {furthest:g} one of them?"
    )


def _code(values: Values) -> str:
    """A text of a column whose texts are all numbers, that numbers would not keep; else empty."""
    if not isinstance(values, list) or not all(_is_number(text) for text in values if text):
        return ""
    return next((text for text in values if text and not is_plain_number(text)), "")


def _infinite(values: Values) -> int | None:
    """The place of the first number without a finite square, where all are numbers; else None."""
    if isinstance(values, list):
        try:
            values = np.array([float(cell.replace(",", ".")) if cell else 0.0 for cell in values])
        except ValueError:
            return None
    wrong = np.abs(values) > _LARGEST
    return int(wrong.argmax()) if wrong.any() else None


def _column(name: str, kind: str, values: Values, training: NDArray[np.bool_]) -> Column:
    if kind != "real":
        found = set(values if isinstance(values, list) else texts_of(np.unique(values))) - {""}
        if kind == "binary" and len(found) > 2:
            raise InvalidInput(
                f"column {printable(name)} is stated to be binary, and has {len(found)} values."
            )
        numbers = all(map(_is_number, found))
        texts = sorted(found, key=lambda text: (float(text), text)) if numbers else sorted(found)
        column = Column(name, kind, tuple(texts))
        as_texts = isinstance(values, list) and column.holds_numbers  # of Parquet, as its types say
        return dataclasses.replace(column, texts=True) if as_texts else column
    if isinstance(values, list):
        if text := next((text for text in values if text and not _is_number(text)), ""):
            raise InvalidInput(
                f"column {printable(name)} is stated to be real, and holds {quoted(text)}."
            )
        values = _floats(values)
    if (row := _infinite(values)) is not None:
        raise InvalidInput(
            f"column {printable(name)} is stated to be real, and holds {values[row]}; expected "
            "finite numbers below 1e150, or empty cells where they are missing."
        )
    held = values[training & ~np.isnan(values)]
    if not len(held):
        raise InvalidInput(
            f"column {printable(name)} has no value in the training rows. Leave it out: "
            f"{argument('columns', {name: SKIP})}."
        )
    mean, spread = float(held.mean()), float(held.std())
    if not spread and held.min() < held.max():
        raise InvalidInput(
            f"column {printable(name)} is real, and its values, such as {held.max():g}, differ by "
            "less than has a square. Give them in another unit, or leave the column out: "
            f"{argument('columns', {name: SKIP})}."
        )
    bins = int(np.clip(round(2 * len(held) ** (1 / 3)), 2, _BINS))
    knots = np.unique(np.quantile(held, np.linspace(0, 1, bins + 1)))
    decimals = _decimals(held, spread or abs(mean) or 1.0)
    return Column(name, kind, (), mean, spread or 1.0, tuple(knots.tolist()), decimals)


def _decimals(values: NDArray[np.float64], scale: float) -> int:
    """How many decimals the values have, at most 6, or those that keep four digits of a scale."""
    most = min(300, max(6, 3 - math.floor(math.log10(scale))))
    return next((d for d in range(most) if np.array_equal(values.round(d), values)), most)


def _encode(values: Values, column: Column, where: str, start: int) -> NDArray[np.float64]:
    if column.kind == "real":
        if isinstance(values, list):
            values = _numbers(values, column, where, start)
        encoded = (values - column.mean) / column.std
        if (far := np.abs(encoded) > _FLOAT32).any():
            row = int(far.argmax())
            raise InvalidInput(
                f"{printable(where)}, row {start + row + 1}, column {printable(column.name)}: "
                f"{values[row]:g} is too far from the training rows, whose mean is "
                f"{column.mean:g} and standard deviation {column.std:g}. An empty cell is missing."
            )
        return encoded
    texts = values if isinstance(values, list) else texts_of(values)
    numbers = {text: float(number) for number, text in enumerate(column.categories)}
    if not isinstance(values, list):  # those of other rows may have made this a column of texts
        held = [text for text in column.categories if _is_number(text) and is_plain_number(text)]
        for text, alone in zip(held, texts_of(np.array(held, np.float64)), strict=True):
            numbers.setdefault(alone, numbers[text])
    numbers = {text.removesuffix(MIDNIGHT): number for text, number in numbers.items()} | numbers
    words = {text.lower(): number for text, number in numbers.items()}
    for bit, word in zip(_BITS, _TRUTHS, strict=True):  # CSV, R and pandas write them differently
        number = numbers[bit] if column.categories == _BITS else words.get(word)
        if number is not None:
            as_bit = (bit,) if words.keys() == set(_TRUTHS) else ()
            numbers = dict.fromkeys((word, word.title(), word.upper(), *as_bit), number) | numbers
    if column.required and "" in texts:
        raise InvalidInput(
            f"{printable(where)}, row {start + texts.index('') + 1}, column "
            f"{printable(column.name)} is empty, and the model takes no missing cells. Fill it in, "
            "or use a model that does, such as a mixed-tree."
        )
    numbers[""] = math.nan
    for text in set(texts).difference(numbers):
        numbers[text] = numbers.get(text.removesuffix(MIDNIGHT), -1.0)
    encoded = np.array([numbers[text] for text in texts])
    if (encoded < 0).any():
        row = int((encoded < 0).argmax())
        raise InvalidInput(
            f"{printable(where)}, row {start + row + 1}, column {printable(column.name)}: "
            f"{quoted(texts[row])} is none of its {len(column.categories)} categories: "
            f"{', '.join(map(printable, column.categories[:10]))}"
            f"{', …' if len(column.categories) > 10 else ''}."
        )
    return encoded


def _decode(column: Column, x: Tensor) -> list[Any]:
    if column.kind == "real":
        values = (x * column.std + column.mean).tolist()
        digits = column.decimals or None  # whole numbers without a point
        return [None if math.isnan(v) else round(v, digits) for v in values]
    kept = [int(text) if column.holds_numbers else text for text in column.categories]
    return [None if math.isnan(v) else kept[round(v)] for v in x.tolist()]


def _numbers(texts: Sequence[str], column: Column, where: str, start: int) -> NDArray[np.float64]:
    for row, text in enumerate(texts, start=start):
        if text and not _is_number(text):
            raise InvalidInput(
                f"{printable(where)}, row {row + 1}, column {printable(column.name)}: "
                f"{quoted(text)} is no number."
            )
    return _floats(texts)


def _floats(texts: Sequence[str]) -> NDArray[np.float64]:
    return np.array([float(text) if text else math.nan for text in texts])


def _is_number(text: str) -> bool:
    if "_" in text or not text.isascii():  # 1_0 and other digits than ours, which float() takes
        return False
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
