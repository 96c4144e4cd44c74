"""The cells of a table as its file has them: CSV, Parquet or NPY.

Of a CSV the delimiter is the comma, semicolon, tab or bar that divides its first lines alike, else
white space. The first line is a header where none of its cells is a number. Cells that are empty,
or NA, N/A, NaN, null, None or ?, are missing. Where the delimiter is not the comma, numbers may
have a decimal comma.
"""

from __future__ import annotations

import csv
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.errors import InvalidInput
from zoo_core.files import check_regular, open_regular
from zoo_core.text import printable

__all__ = ["SUFFIXES", "Cells", "Values", "read_cells", "texts_of", "variant"]

SUFFIXES = (".csv", ".npy", ".parquet")
"""Of the files that tables are read from."""

Values = NDArray[np.float64] | list[str]
"""A column: numbers, NaN where missing; or texts, empty where missing."""

_DELIMITERS = ",;\t|"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_LOOKED_AT = 20
"""Lines in which the delimiter is looked for."""


@dataclass(frozen=True)
class Cells:
    """A table, by columns."""

    names: tuple[str, ...]
    columns: tuple[Values, ...]

    @property
    def numbered(self) -> bool:
        """Whether the names are x0, x1, … for want of others."""
        return self.names == tuple(_numbers_of(self.columns))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.columns[0])


def variant(data: str) -> str:
    """What a data set gives to the name of an entry; of a table its file without the suffix."""
    name = Path(data.split("[")[0].replace(":", "-").rstrip("/")).name.lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace("_", "-")


def read_cells(path: Path) -> Cells:
    """Read a table; the last few are kept, as each split of one asks for it.

    Raises InvalidInput that names the file for one that cannot be read, or that has no cells.
    """
    stat = path.stat()
    return _read(path.absolute(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=3)
def _read(path: Path, _mtime: int, _size: int) -> Cells:
    try:
        names, columns = _READERS[path.suffix.lower()](path)
    except Exception as error:  # the libraries have as many errors as there are damaged files
        why = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        raise InvalidInput(f"{printable(path)} is not a readable table: {why}") from error
    if not columns or not len(columns[0]):
        raise InvalidInput(f"{printable(path)} holds no rows: expected (rows, variables).")
    names = names or _numbers_of(columns)
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidInput(
            f"{printable(path)} has two columns {printable(min(twice))!r}; rename one."
        )
    return Cells(tuple(names), tuple(columns))


def _numbers_of(columns: Sequence[Values]) -> list[str]:
    """The names of columns that have none."""
    return [f"x{i}" for i in range(len(columns))]


def _read_npy(path: Path) -> tuple[list[str], list[Values]]:
    check_regular(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old writer
        # mapped: its size is held against the file's before any memory is taken
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        held = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"it holds {held}; expected numbers")
    if array.ndim != 2:
        raise ValueError(f"it holds shape {array.shape}; expected (rows, variables)")
    return [], list(np.array(array, np.float64).T)


def _read_parquet(path: Path) -> tuple[list[str], list[Values]]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            "Parquet needs an optional package: pip install 'zoo-core[datasets]'"
        ) from None
    check_regular(path)
    table = parquet.read_table(path)
    return list(table.column_names), [_of_arrow(column) for column in table.columns]


def _of_arrow(column: Any) -> Values:
    cells = ["" if cell is None else str(cell).strip() for cell in column.to_pylist()]
    return _values(["" if cell.lower() in _MISSING else cell for cell in cells], decimal=".")


def _read_csv(path: Path) -> tuple[list[str], list[Values]]:
    with open_regular(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        head = [line for line in islice(text, _LOOKED_AT) if line.strip()]
        delimiter = _delimiter(head)
        rows = _rows(chain(head, text), delimiter)
        first = next(rows, [])
        header = bool(first) and not any(_is_number(cell) for cell in first)
        body = list(rows) if header else [first, *rows]
    width = len(first)
    for number, row in enumerate(body, start=1):
        if len(row) != width:
            raise ValueError(f"row {number} has {len(row)} cells, and the first line {width}")
    decimal = "." if delimiter == "," else ","
    columns = [_values(list(cells), decimal) for cells in zip(*body, strict=True)]
    return (first if header else []), columns


def _rows(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    """The rows of a CSV with their cells stripped, empty where missing."""
    rows: Iterator[list[str]] = (
        csv.reader(lines, delimiter=delimiter, strict=True)
        if delimiter
        else (line.split() for line in lines)
    )
    for row in rows:
        if row:  # an empty line
            yield ["" if cell.strip().lower() in _MISSING else cell.strip() for cell in row]


def _delimiter(head: Sequence[str]) -> str | None:
    """What divides the first lines into the most, and equally many, cells; None: white space."""
    best, cells = None, 1
    for delimiter in _DELIMITERS:
        try:
            widths = {len(row) for row in csv.reader(head[:-1] or head, delimiter=delimiter) if row}
        except csv.Error:
            continue
        if len(widths) == 1 and (width := widths.pop()) > cells:
            best, cells = delimiter, width
    if best is None:  # rows that differ in length are said to, whatever divides them
        best = next((mark for mark in _DELIMITERS if head and mark in head[0]), None)
    return best


def _values(cells: list[str], decimal: str) -> Values:
    """A column as numbers where all its cells are."""
    for mark in dict.fromkeys((".", decimal)):
        try:
            values = np.array([float(c.replace(mark, ".")) if c else math.nan for c in cells])
        except ValueError:
            continue
        if not np.isinf(values).any():
            return values
    return cells


def texts_of(values: NDArray[np.float64]) -> list[str]:
    """Numbers as the texts of categories: 3, not 3.0; empty where missing."""
    distinct, places = np.unique(values, return_inverse=True)
    numbers = distinct.tolist()
    texts = ["" if math.isnan(v) else repr(int(v)) if v == int(v) else repr(v) for v in numbers]
    return [texts[place] for place in places.tolist()]


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


_READERS = {".csv": _read_csv, ".npy": _read_npy, ".parquet": _read_parquet}
