"""The cells of a table as its file has them: CSV, Parquet or NPY.

Of a CSV the delimiter is the comma, semicolon, tab or bar that divides its first lines alike, else
white space. The first line is a header where none of its cells is a number, and not all of them
stand in their columns' next rows too. Cells that are empty, or NA, N/A, NaN, null, None or ?, are
missing. Where the delimiter is not the comma, numbers may have a decimal comma.

A column is one of numbers where that loses nothing: texts such as 01234, as codes are written, and
whole numbers that a float64 does not hold stay texts, as do the texts of a Parquet file.

Over 400 lines: three formats are read, whole or in part, by short functions of the same rules.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.columns import EXACT
from zoo_core.errors import InvalidInput
from zoo_core.files import check_regular, open_regular
from zoo_core.text import printable, slug

__all__ = [
    "MIDNIGHT",
    "SUFFIXES",
    "Cells",
    "Values",
    "as_cells",
    "as_values",
    "count_rows",
    "is_plain_number",
    "map_bytes",
    "of_array",
    "of_arrow",
    "open_array",
    "read_cells",
    "read_ranges",
    "texts_of",
    "types_in",
    "variant",
    "written",
]

SUFFIXES = (".csv", ".npy", ".parquet")
"""Of the files that tables are read from."""

Values = NDArray[np.float64] | list[str]
"""A column: numbers, NaN where missing; or texts, empty where missing."""

_Table = tuple[list[str], list[Values]]
"""The names of columns, none where the file has none, and the columns."""

_MAGIC = b"\x93NUMPY"
_DELIMITERS = ",;\t|"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
_CODE = re.compile(r"^[+-]?0[0-9]|_|[^\x00-\x7f]", re.MULTILINE)
"""What a code has in it that float() takes: 01234, 1_000, other digits than ours."""
_LONG = re.compile(r"^[+-]?[0-9]{16,}$", re.MULTILINE)
"""Whole numbers that may be none of float64."""
MIDNIGHT = " 00:00:00"
"""What a day as a timestamp has behind its date."""
_LONGEST = 309
"""Digits of the largest float64."""
_BATCH = 16384
"""Rows of a Parquet file that are decoded at a time, and of any that is looked through."""
_TYPES = (int, float, str)
"""Of columns; of two of them, a column that has both is the second."""
_LOOKED_AT = 20
"""Lines in which the delimiter is looked for."""
_LINE = 2**24
"""Characters of a line."""


@dataclass(frozen=True)
class Cells:
    """A table, by columns."""

    names: tuple[str, ...]
    columns: tuple[Values, ...]
    start: int = 0
    """Rows of the file that come before these."""
    types: tuple[type, ...] = ()
    """What each column holds in the whole file, as `types_in` says; empty where that was not asked
    for."""

    @property
    def numbered(self) -> bool:
        """Whether the names are x0, x1, … in place of others."""
        return self.names == tuple(_numbers_of(self.columns))

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.columns[0])

    def take(self, rows: Sequence[int]) -> Cells:
        """Some rows, by their places; those of a range keep their numbers in the file."""
        columns = [
            [values[row] for row in rows]
            if isinstance(values, list)
            else values[np.array(rows, int)]
            for values in self.columns
        ]
        start = self.start + rows.start if isinstance(rows, range) else 0
        return Cells(self.names, tuple(columns), start, self.types)


def variant(data: str) -> str:
    """What a data set gives to the name of an entry; of a table its file without the suffix."""
    name = Path(data.split("[")[0].replace(":", "-").rstrip("/")).name.lower()
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return slug(name)


def read_cells(path: Path) -> Cells:
    """Read a table; the last few are kept, as each split of one asks for it.

    Raises InvalidInput that names the file for one that cannot be read, or that has no cells.
    """
    stat = path.stat()
    return _read(path.absolute(), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=3)
def _read(path: Path, _mtime: int, _size: int) -> Cells:
    with _naming(path):
        reader = _READERS[path.suffix.lower()]
        names, columns = next(reader(path, [range(sys.maxsize)], frozenset()))
    if not columns or not len(columns[0]):
        raise InvalidInput(f"{printable(path)} holds no rows: expected (rows, variables).")
    return as_cells(str(path), names, columns)


def read_ranges(
    path: Path, ranges: Sequence[range], types: tuple[type, ...] = ()
) -> Iterator[Cells]:
    """Read some rows of a table at a time, so that it need not fit into memory.

    ranges: of rows, ascending; of one that ends behind the last row, those that there are.
    types: of the columns in the whole file, as `types_in` has them; without them, whether a column
        holds numbers is decided for each of the ranges.

    Raises InvalidInput as `read_cells`.
    """
    with _naming(path):
        texts = frozenset(place for place, kind in enumerate(types) if kind is str)
        found = _READERS[path.suffix.lower()](path, ranges, texts)
        for rows, (names, columns) in zip(ranges, found, strict=True):
            yield replace(as_cells(str(path), names, columns, rows.start), types=types)


def types_in(path: Path) -> tuple[type, ...]:
    """What each column of a table holds: str, int or float; int also where no cell is there.

    Some rows at a time are read. Raises InvalidInput as `read_cells`.
    """
    count = count_rows(path)
    ranges = [range(at, min(at + _BATCH, count)) for at in range(0, count, _BATCH)]
    found: list[type] = []
    for cells in read_ranges(path, ranges):
        here = [_type_of(values) for values in cells.columns]
        found = [max(each, key=_TYPES.index) for each in zip(found or here, here, strict=True)]
    return tuple(found)


def _type_of(values: Values) -> type:
    if isinstance(values, list):
        return str
    held = values[~np.isnan(values)]
    return int if ((held == np.floor(held)) & (np.abs(held) <= EXACT)).all() else float


def open_array(path: Path) -> NDArray[Any] | None:
    """What an NPY file holds that is no table, (N, …) of more than two dimensions; None of others.

    It is mapped, so that what is not used is not read. Raises InvalidInput as `read_cells`.
    """
    if path.suffix.lower() != ".npy":
        return None
    with _naming(path):
        array = _map_npy(path)
    return array if array.ndim > 2 else None


def count_rows(path: Path) -> int:
    """The number of rows of a table, without holding them.

    Raises InvalidInput as `read_cells`.
    """
    with _naming(path):
        match path.suffix.lower():
            case ".npy":
                return len(_map_rows(path))
            case ".parquet":
                return int(_open_parquet(path).metadata.num_rows)
        with _open_csv(path) as (rows, _, _):
            return sum(1 for _ in rows)


def map_bytes(path: Path) -> NDArray[Any] | None:
    """The mapped rows of an NPY file of bytes or truth values; None for any other table.

    Raises InvalidInput as `read_cells`.
    """
    if path.suffix.lower() != ".npy":
        return None
    with _naming(path):
        array = _map_rows(path)
    return array if array.dtype in (np.uint8, np.bool_) else None


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in whatever is wrong with it."""
    try:
        yield
    except InvalidInput:
        raise
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{printable(path)} is not a readable table: it is not in UTF-8 (byte "
            f"{error.object[error.start]:#x}). Save it as UTF-8, which spreadsheets call CSV UTF-8."
        ) from error
    except Exception as error:  # the libraries have as many errors as there are damaged files
        why = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        raise InvalidInput(f"{printable(path)} is not a readable table: {why}") from error


def as_cells(where: str, names: list[str], columns: Sequence[Values], start: int = 0) -> Cells:
    """Columns as a table; without names they are called x0, x1 and so on.

    where: what they are of, for messages. start: rows that come before these.

    Raises InvalidInput for two columns of one name.
    """
    names = names or _numbers_of(columns)
    if twice := {name for name, count in Counter(names).items() if count > 1}:
        raise InvalidInput(
            f"{printable(where)} has two columns {printable(min(twice))!r}; rename one."
        )
    return Cells(tuple(names), tuple(columns), start)


def _numbers_of(columns: Sequence[Values]) -> list[str]:
    """The names of columns that have none."""
    return [f"x{i}" for i in range(len(columns))]


def _map_npy(path: Path) -> NDArray[Any]:
    with open_regular(path) as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("it does not begin as what numpy.save writes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an old writer
            # mapped: its size is compared with the file's before any memory is taken
            array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        objects = "Python objects" in str(error)
        why = "it holds objects; expected numbers" if objects else "it is cut short or damaged"
        raise ValueError(why) from error
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"it holds {array.dtype}; expected numbers. A CSV or Parquet file may have columns of "
            "texts and dates beside them"
        )
    return array


def _map_rows(path: Path) -> NDArray[Any]:
    array = _map_npy(path)
    if array.ndim != 2:
        raise ValueError(f"it holds shape {array.shape}; expected (rows, variables)")
    return array


def _read_npy(path: Path, ranges: Sequence[range], texts: Set[int]) -> Iterator[_Table]:
    for rows in ranges:  # mapped anew: the pages of a mapping count as memory while it lasts
        columns = _map_rows(path)[rows.start : rows.stop].T
        yield [], [of_array(column, i in texts) for i, column in enumerate(columns)]


def _open_parquet(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ValueError(
            "Parquet needs an optional package: pip install 'zoo-core[datasets]'"
        ) from None
    check_regular(path)
    return parquet.ParquetFile(path)


def _read_parquet(path: Path, ranges: Sequence[range], texts: Set[int]) -> Iterator[_Table]:
    import pyarrow as pa

    with _open_parquet(path) as file:
        schema, names = file.schema_arrow, list(file.schema_arrow.names)
        held = pa.Table.from_batches([], schema)
        begin, batches = 0, _batches(file, ranges)
        for rows in ranges:
            while begin + len(held) < rows.stop and (following := next(batches, None)):
                first, batch = following
                kept = held.slice(max(0, rows.start - begin))
                begin = first - len(kept) if len(kept) else first
                held = pa.concat_tables([kept, pa.Table.from_batches([batch])])
            found = held.slice(max(0, rows.start - begin), len(rows))
            columns = enumerate(zip(names, found.columns, strict=True))
            yield names, [of_arrow(*each, i in texts) for i, each in columns]


def _batches(file: Any, ranges: Sequence[range]) -> Iterator[tuple[int, Any]]:
    """Batches of the row groups that hold some of the ranges, each with its first row's number."""
    begin = 0
    for group in range(file.num_row_groups):
        end = begin + file.metadata.row_group(group).num_rows
        if any(rows.start < end and rows.stop > begin for rows in ranges):
            at = begin
            for batch in file.iter_batches(_BATCH, row_groups=[group]):
                yield at, batch
                at += len(batch)
        begin = end


def of_array(values: NDArray[Any], as_texts: bool = False) -> Values:
    """A column of numbers; texts if asked for, or where one is infinite or none of float64."""
    whole = values.dtype.kind in "iu"
    if whole and (as_texts or ((values > EXACT) | (values < -EXACT)).any()):
        return [str(value) for value in values.tolist()]
    numbers = np.array(values, np.float64)
    if as_texts or np.isinf(numbers).any():
        return [str(value) if math.isinf(value) else _text_of(value) for value in numbers.tolist()]
    return numbers


def of_arrow(name: str, column: Any, as_texts: bool) -> Values:
    """A column of a Parquet file, or of a table in memory.

    Raises ValueError for one that holds no single values.

    as_texts: whether it is one of texts, whatever these cells are.
    """
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        raise ValueError(
            f"column {printable(name)} holds {column.type}; expected one value in each cell. Leave "
            "the column out of the file, or write its parts as columns."
        )
    if pa.types.is_integer(column.type) and not column.null_count:
        return of_array(column.to_numpy(), as_texts)
    if column.type in (pa.float32(), pa.float64()):
        return of_array(column.to_numpy(), as_texts)
    cells = written(column.to_pylist())
    if pa.types.is_timestamp(column.type):  # a day, as CSV files have it
        cells = [cell.removesuffix(MIDNIGHT) for cell in cells]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return cells if is_text or as_texts else as_values(cells)


def _read_csv(path: Path, ranges: Sequence[range], texts: Set[int]) -> Iterator[_Table]:
    with _open_csv(path) as (rows, names, decimal):
        at, width = 0, len(names)
        for wanted in ranges:
            next(islice(rows, wanted.start - at, wanted.start - at), None)  # passed over
            body = list(islice(rows, len(wanted)))
            for number, row in enumerate(body, start=wanted.start + 1):
                width = width or len(row)
                if len(row) != width:
                    raise ValueError(
                        f"row {number} has {len(row)} cells, and the first line {width}"
                    )
            at = wanted.stop
            columns = map(list, zip(*body, strict=True) if body else [()] * width)
            yield (
                names,
                [c if i in texts else as_values(c, decimal) for i, c in enumerate(columns)],
            )


@contextmanager
def _open_csv(path: Path) -> Iterator[tuple[Iterator[list[str]], list[str], str]]:
    """The rows of a CSV, the names in its header, where it has one, and its decimal mark."""
    with open_regular(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        lines = _lines(text)
        head = list(islice(lines, _LOOKED_AT))
        delimiter = _delimiter([line for line in head if line.strip()])
        rows = _rows(chain(head, lines), delimiter)
        names = next(rows, [])
        first, values = _values_of(names), map(_values_of, rows)
        ahead = list(islice(values, _LOOKED_AT))
        header = _is_header(first, ahead)
        whole = chain(ahead if header or not first else [first, *ahead], values)
        yield whole, names if header else [], "." if delimiter == "," else ","


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a text, none of which is read into memory without end."""
    for line in iter(partial(text.readline, _LINE), ""):
        if len(line) == _LINE and line[-1] != "\n":
            raise ValueError(f"one of its lines has more than {_LINE:,} characters")
        yield line


def _is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a line names columns: it has no number, and does not hold what its columns hold."""
    if not any(first) or any(map(_is_number, first)):
        return False
    named = [i for i, cell in enumerate(first) if cell]
    return not all(any(row[i : i + 1] == [first[i]] for row in rows) for i in named)


def _rows(lines: Iterator[str], delimiter: str | None) -> Iterator[list[str]]:
    """The rows of a CSV with their cells stripped."""
    rows: Iterator[list[str]] = (
        csv.reader(lines, delimiter=delimiter, strict=True)
        if delimiter
        else (line.split() for line in lines)
    )
    for row in rows:
        if row and (len(row) > 1 or not row[0].isspace()):  # no empty line
            yield [cell.strip() for cell in row]


def _values_of(row: Sequence[str]) -> list[str]:
    """A row's cells, empty where missing; in a header Na is a name."""
    return ["" if cell.lower() in _MISSING else cell for cell in row]


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


def written(cells: Iterable[object]) -> list[str]:
    """Cells of any types as texts, empty where missing."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    return ["" if text.strip().lower() in _MISSING else text for text in texts]


def as_values(cells: list[str], decimal: str = ".") -> Values:
    """A column as numbers where all its cells are, and lose nothing by it; else its texts."""
    together = "\n".join(cells)  # searched at once: most columns have neither
    if _CODE.search(together) or (_LONG.search(together) and any(map(_loses, cells))):
        return cells
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
    texts = [_text_of(value) for value in distinct.tolist()]
    return [texts[place] for place in places.tolist()]


def _text_of(value: float) -> str:
    """A finite number as the text of a category; nothing where it is missing."""
    return "" if math.isnan(value) else repr(int(value)) if value == int(value) else repr(value)


def is_plain_number(cell: str) -> bool:
    """Whether a text is a number, and says no more: 01234 has a zero that a number loses."""
    return _is_number(cell) and not _loses(cell)


def _loses(cell: str) -> bool:
    """Whether a text, read as a float64, is another number, or a code that loses its zeros."""
    if _CODE.search(cell):
        return True
    return bool(_LONG.search(cell)) and (len(cell) > _LONGEST or int(cell) != float(cell))


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


_READERS: dict[str, Callable[[Path, Sequence[range], Set[int]], Iterator[_Table]]] = {
    ".csv": _read_csv,
    ".npy": _read_npy,
    ".parquet": _read_parquet,
}
