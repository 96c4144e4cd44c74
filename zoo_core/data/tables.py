"""Tables as data sets: of categories as they are, or of mixed columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.data.cells import (
    SUFFIXES,
    Cells,
    Values,
    map_bytes,
    read_cells,
    read_ranges,
    texts_of,
)
from zoo_core.data.columns import Column, guess_columns, numbers_rows, of_cells
from zoo_core.data.dataset import Dataset
from zoo_core.data.notes import note
from zoo_core.data.splits import SPLITS
from zoo_core.errors import InvalidInput
from zoo_core.text import counted, printable, quoted

__all__ = [
    "categories_of",
    "has_unnamed",
    "in_levels",
    "is_table",
    "joined",
    "load_table",
    "read_categories",
    "read_table",
    "split_cells",
    "split_files",
    "split_places",
    "table_levels",
]

_IN_FOLDERS = (".csv", ".npy")
"""Parquet files in a folder are a Hugging Face data set."""


def is_table(path: Path) -> bool:
    """Whether a path is a table, or a folder with one table for each split."""
    return (
        path.suffix.lower() in SUFFIXES
        if path.is_file()
        else _split_file(path, "train") is not None
    )


def load_table(
    name: str, path: Path, split: str, columns: Mapping[str, str] | None = None
) -> Dataset:
    """One split of a table: a folder's own, or 80/10/10 % of a single file's rows.

    A table of whole numbers from 0 to 255 is one of categories; any other, and one whose columns
    are stated, is of mixed columns. What `guess_columns` leaves out, such as the row numbers that
    pandas writes, counts for neither.

    columns: by the names of columns, what they are, where that is not to be guessed.
    """
    stated = tuple(sorted((columns or {}).items()))
    splits = _encoded(path.absolute(), _state_of(path), stated)
    _check_split(path, split, splits)
    return replace(splits[split], name=name)


def split_cells(path: Path, split: str) -> Cells:
    """The cells of one split of a table, in the order of `load_table`."""
    if path.is_file():
        cells = read_cells(path)
        return cells.take(split_places(path, len(cells))[split].tolist())
    tables = _folder(path)
    _check_split(path, split, tables)
    return tables[split]


def _check_split(path: Path, split: str, splits: Collection[str]) -> None:
    if split not in splits:
        raise InvalidInput(
            f"{printable(path)} has no {split} split: expected a file "
            f"{' or '.join(f'{stem}.csv' for stem in SPLITS[split])} (or .npy)."
        )


def _state_of(path: Path) -> tuple[tuple[Path, int, int], ...]:
    """The files of a table, each with when it was written and its size."""
    files = [path] if path.is_file() else split_files(path).values()
    return tuple((file, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)


@lru_cache(maxsize=2)
def _encoded(path: Path, _state: object, stated: tuple[tuple[str, str], ...]) -> dict[str, Dataset]:
    """All splits of a table, kept, as what its columns are follows from all of them."""
    tables = _folder(path) if path.is_dir() else _shared_out(path)
    whole, training = _together(tables)
    found = guess_columns(whole, training, dict(stated), path.name)
    if _begins_with_numbers(path, tables):
        note(
            f"{printable(path.name)}: the first line is 0, 1, 2 and so on, and is taken as a row. "
            "If these are names, as pandas writes them, leave the line out."
        )
    names = [column.name for column in found]
    kept = _only(whole, names)
    if not stated and all(_wrong(values) is None for values in kept.columns):
        levels = max(2, *(int(values.max()) + 1 for values in _numbers(kept)))
        if levels == 2 or not all(column.kind == "binary" for column in found):
            return {
                split: Dataset(path.name, split, x, levels, columns=found)
                for split, table in tables.items()
                for x in [_categories(_only(table, names))]
            }
    rows = "; the first line is a row, not their names" if _lacks_header(path, whole) else ""
    note(f"{printable(path.name)}: {_describe(found)}{rows}")
    return {split: of_cells(table, found, path.name, split) for split, table in tables.items()}


def read_table(path: Path) -> Tensor:
    """The categories in a file, as `categories_of` has them; raises as it."""
    return categories_of(read_cells(path), str(path))


def categories_of(cells: Cells, where: str) -> Tensor:
    """The categories in a table, (N, D), uint8, without a column that numbers the rows.

    where: what the table is called in messages.

    Raises InvalidInput that names the cell for one that is no whole number from 0 to 255.
    """
    numbered = [numbers_rows(*column) for column in zip(cells.names, cells.columns, strict=True)]
    if any(numbered) and not all(numbered):
        shown = printable(Path(where).name)
        note(f"{shown}: the column without a name is left out: it numbers the rows")
        cells = _only(cells, [name for name in cells.names if name])
        return _check_categories(cells, where, first=2 if numbered[0] else 1)
    return _check_categories(cells, where)


def has_unnamed(path: Path) -> bool:
    """Whether a column of a table has no name, as one that numbers the rows."""
    return "" in next(iter(read_ranges(path, [range(1)]))).names


def read_categories(path: Path, ranges: Sequence[range]) -> Iterator[Tensor]:
    """The categories in some rows of a table at a time, (N, D), uint8; raises as `read_table`.

    ranges: of rows, ascending.
    """
    if map_bytes(path) is None:
        found = read_ranges(path, ranges)
        yield from (_check_categories(cells, str(path)) for cells in found)
        return
    for rows in ranges:  # mapped anew: the pages of a mapping count as memory while it lasts
        mapped = map_bytes(path)
        assert mapped is not None
        yield torch.from_numpy(np.array(mapped[rows.start : rows.stop], np.uint8))


def _check_categories(cells: Cells, where: str, first: int = 1) -> Tensor:
    """The categories in some rows of a table, (N, D), uint8; raises as `categories_of`.

    first: the number of the first column in the file.
    """
    cells = replace(cells, columns=tuple(map(_as_bits, cells.columns)))
    for place, values in enumerate(cells.columns, first):
        if (row := _wrong(values)) is not None:
            held = values[row]
            shown = quoted(held) if isinstance(held, str) else f"{held:g}"
            raise InvalidInput(
                f"{printable(where)}, row {cells.start + row + 1}, column {place}: {shown} is "
                "no category: expected whole numbers from 0 to 255, such as 0 and 1. Models of "
                "mixed columns take others."
            )
    return _categories(cells)


def _categories(cells: Cells) -> Tensor:
    return torch.from_numpy(np.stack(_numbers(cells), 1).astype(np.uint8))


def _only(cells: Cells, names: Sequence[str]) -> Cells:
    """The cells of some of a table's columns: those that were not left out."""
    columns = tuple(cells.columns[cells.names.index(name)] for name in names)
    return replace(cells, names=tuple(names), columns=columns)


def _as_bits(values: Values) -> Values:
    """A column of True and False as 1 and 0; any other as it is."""
    if not isinstance(values, list) or not {text.lower() for text in values} <= {"false", "true"}:
        return values
    return np.array([text.lower() == "true" for text in values], np.float64)


def _wrong(values: Values) -> int | None:
    """The row of the first cell that is no whole number from 0 to 255."""
    if isinstance(values, list):
        return next((row for row, cell in enumerate(values) if not cell.isdecimal()), 0)
    wrong = ~((values >= 0) & (values <= 255) & (values == np.floor(values)))
    return int(wrong.argmax()) if wrong.any() else None


def _numbers(cells: Cells) -> list[NDArray[np.float64]]:
    return [values for values in cells.columns if not isinstance(values, list)]


def _as_in_file(data: Dataset) -> Dataset:
    """A table of two whole numbers a column, which are numbered 0 and 1, with the numbers again."""
    texts = [column.categories for column in data.columns]
    whole = all(text.isdecimal() and int(text) <= 255 for each in texts for text in each)
    if data.levels != 2 or not texts or not whole:
        return data
    columns = [
        torch.tensor([*map(int, each)], dtype=torch.uint8)[x_i.long()] if len(each) > 1 else x_i
        for x_i, each in zip(data.x.T, texts, strict=True)
    ]
    x = torch.stack(columns, 1)
    return replace(data, x=x, levels=max(2, 1 + max(int(t) for each in texts for t in each)))


def in_levels(data: Dataset, shape: tuple[int, ...], wanted: int | None) -> Dataset:
    """Rows of a data set in the levels that a model takes a table's in; others are left alone.

    shape, wanted: as `table_levels` takes them; raises as it.
    """
    if wanted not in (None, 2):
        data = _as_in_file(data)
    if data.levels is None or data.x.ndim != 2 or not (data.columns or len(shape) == 1):
        return data
    name = f"{data.name}:{data.split}"
    return replace(data, levels=table_levels(name, data.levels, shape, wanted))


def table_levels(name: str, levels: int, shape: tuple[int, ...], wanted: int | None) -> int:
    """The levels of a table of whole numbers, as a model takes it.

    They are the model's, whatever the table's greatest number is: of a model of variables 0, 1, …
    are its first categories, also where the table holds nothing but 0 and 1. As images, 0 and 1
    alone are black and white, as those of an array are; more are grey levels of the model, of 256
    where it has fewer. For a binary model of variables, and one of real variables, the levels stay
    the table's. What is assumed is said where the table alone would be read otherwise.

    levels: one more than the table's greatest number, at least 2.
    shape, wanted: the model's shape and its levels; None where these are real, or not known.

    Raises InvalidInput for a number that is none of the categories of a model of more than two.
    """
    top, shown = levels - 1, printable(name, None)
    if len(shape) == 3:
        if top == 1:
            if wanted != 2:
                note(f"{shown}: 0 and 1, and no other number, are taken as black and white")
            return 2
        greys = wanted if wanted is not None and top < wanted else 256
        if levels < greys:
            note(f"{shown}: numbers up to {top} are taken as grey levels from 0 to {greys - 1}")
        return greys
    if wanted is None and top > 1:
        note(f"{shown}: whole numbers are divided by {top}, as the model takes real ones to 1")
    if wanted in (None, 2):
        return levels
    if levels > wanted:
        raise InvalidInput(
            f"{shown} has whole numbers from 0 to {top}, but the model has {wanted} categories: "
            f"expected 0 to {wanted - 1}."
        )
    if top == 1:
        note(f"{shown}: 0 and 1 are taken as the first two of the model's {wanted} categories")
    return wanted


def _lacks_header(path: Path, cells: Cells) -> bool:
    return cells.numbered and (path.is_dir() or path.suffix.lower() == ".csv")


def _begins_with_numbers(path: Path, tables: Mapping[str, Cells]) -> bool:
    """Whether the first row of a file without a header numbers its columns."""
    first = read_cells(path) if path.is_file() else next(iter(tables.values()))
    held = [values[0] for values in first.columns]
    return _lacks_header(path, first) and len(held) > 2 and held == [*range(len(held))]


def _describe(columns: Sequence[Column]) -> str:
    """The columns in words, by kind."""
    kinds: dict[str, list[str]] = {}
    for column in columns:
        kinds.setdefault(column.kind, []).append(printable(column.name))
    return "; ".join(
        f"{counted(len(names), f'{kind} column')} ({', '.join(names[:8])}"
        f"{', …' if len(names) > 8 else ''})"
        for kind, names in kinds.items()
    )


def split_files(path: Path) -> dict[str, Path]:
    """The tables of a folder by their splits."""
    files = {split: _split_file(path, split) for split in SPLITS}
    return {split: file for split, file in files.items() if file is not None}


def _folder(path: Path) -> dict[str, Cells]:
    tables = {split: read_cells(file) for split, file in split_files(path).items()}
    widths = {split: len(table.columns) for split, table in tables.items()}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{split} has {width}" for split, width in widths.items())
        raise InvalidInput(
            f"{printable(path)}: the splits differ in their number of variables: {found}."
        )
    names = next(iter(tables.values())).names
    if any(set(table.names) != set(names) for table in tables.values()):
        raise InvalidInput(f"{printable(path)}: the splits differ in the names of their columns.")
    return {split: _only(table, names) for split, table in tables.items()}


def _split_file(path: Path, split: str) -> Path | None:
    names = (path / f"{stem}{suffix}" for stem in SPLITS[split] for suffix in _IN_FOLDERS)
    return next((name for name in names if name.is_file()), None)


def _shared_out(path: Path) -> dict[str, Cells]:
    """The rows of one file in three splits."""
    cells = read_cells(path)
    places = split_places(path, len(cells))
    return {split: cells.take(part.tolist()) for split, part in places.items()}


def split_places(path: Path, N: int) -> dict[str, NDArray[np.int64]]:
    """The places of each split's rows among the N of one file, in the splits' order.

    Raises InvalidInput for too few.
    """
    if N < 10:
        raise InvalidInput(
            f"{printable(path)}: {N} rows are too few to split 80/10/10 %: give 10 or more, or a "
            "folder with train.csv, valid.csv and test.csv."
        )
    note(f"{printable(path.name)}: {N} rows, split 80/10/10 % at random with a fixed seed")
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0)).numpy()
    held_out = N // 10
    train = N * 8 // 10
    parts = (order[:train], order[train : train + held_out], order[train + held_out :])
    return dict(zip(SPLITS, parts, strict=True))


def _together(tables: Mapping[str, Cells]) -> tuple[Cells, NDArray[np.bool_]]:
    """The rows of all splits, and which of them are trained on, (N,)."""
    parts = list(tables.values())
    columns = [joined([part.columns[i] for part in parts]) for i in range(len(parts[0].columns))]
    training = [np.full(len(table), split == "train") for split, table in tables.items()]
    return Cells(parts[0].names, tuple(columns)), np.concatenate(training)


def joined(parts: Sequence[Values]) -> Values:
    """One column's parts; texts where any of them has some."""
    numbers = [part for part in parts if not isinstance(part, list)]
    if len(numbers) == len(parts):
        return np.concatenate(numbers)
    return [cell for part in parts for cell in (part if isinstance(part, list) else texts_of(part))]
