"""Tables in memory: NumPy's arrays, and what pandas, polars, pyarrow or DuckDB hold.

The latter are read by the stream of Arrow that all of them give, and so as a Parquet file of the
same table is: its texts are categories, and nulls are missing cells. Of a pandas frame each column
is read by itself. What Arrow has no type for becomes text, as in a CSV file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo_core.data.cells import Cells, Values, as_cells, as_values, of_array, of_arrow, written
from zoo_core.errors import InvalidInput

__all__ = ["frame_cells", "is_frame", "plain_array"]

_MISSING = ("<NA>", "NaT")
"""How pandas writes what is missing, beside NaN."""


def is_frame(source: object) -> bool:
    """Whether something is a table in memory: an array of NumPy, or a data frame."""
    return isinstance(source, np.ndarray) or hasattr(source, "__arrow_c_stream__")


def frame_cells(source: object, name: str) -> Cells:
    """The cells of a table in memory; columns without names are called x0, x1 and so on.

    Of a pandas frame the levels of the index that have names are columns, too, and whole numbers
    from 0 on, as a file without a header gives them, are no names.

    name: what messages call it.

    Raises InvalidInput for what is no table, two columns of one name, and where pyarrow is missing.
    """
    if isinstance(source, np.ndarray):
        return _of_array(plain_array(source, name), name)
    try:
        import pyarrow as pa
    except ImportError:
        raise InvalidInput(
            f"{name} is a data frame, and reading it needs an optional package: pip install "
            "'zoo-core[datasets]'"
        ) from None
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(source, pandas.DataFrame):
        found = list(_of_pandas(source, pa))
    else:
        try:
            table: Any = pa.table(source)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise InvalidInput(
                f"{name} is a {type(source).__name__}, and no table; expected columns with names, "
                "as frame[['age', 'city']] or frame.iloc[[0]]."
            ) from error
        names = table.schema.names
        found = [(each, _of_column(each, table.column(i))) for i, each in enumerate(names)]
    if not found:
        raise InvalidInput(f"{name} has no columns: expected (rows, variables).")
    given, columns = zip(*found, strict=True)
    numbers = given == tuple(range(len(given)))
    return as_cells(name, [] if numbers else [*map(str, given)], columns)


def plain_array(source: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of NumPy without a mask: what is masked is missing, NaN.

    Raises InvalidInput for an array of anything but numbers.
    """
    array = np.asarray(source)
    if array.dtype.kind not in "biuf":
        raise InvalidInput(
            f"{name} holds {array.dtype}; expected numbers. Columns of texts or dates come in a "
            "data frame."
        )
    if np.ma.is_masked(source):
        array = np.where(np.ma.getmaskarray(source), np.nan, array)
    return array


def _of_array(array: NDArray[Any], name: str) -> Cells:
    if array.ndim != 2 or not array.shape[1]:
        raise InvalidInput(
            f"{name} is of shape {array.shape}; expected (rows, variables). One row is array[None]."
        )
    return as_cells(name, [], [of_array(column) for column in array.T])


def _of_pandas(frame: Any, pa: Any) -> Iterator[tuple[object, Values]]:
    """The columns of a pandas frame, and before them the levels of its index that have names."""
    for level in frame.index.names:
        if level is not None and level not in frame.columns:
            yield level, _of_series(level, frame.index.get_level_values(level), pa)
    for place, each in enumerate(frame.columns):
        yield each, _of_series(each, frame.iloc[:, place], pa)


def _of_series(name: object, series: Any, pa: Any) -> Values:
    try:
        column = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):  # values of several types
        return as_values(written(None if str(cell) in _MISSING else cell for cell in series))
    if isinstance(column.type, pa.ExtensionType):  # a period, which Arrow stores as a number
        return written(series.astype(str).where(~series.isna(), None))
    return _of_column(name, pa.chunked_array([column]) if isinstance(column, pa.Array) else column)


def _of_column(name: object, column: Any) -> Values:
    try:
        return of_arrow(str(name), column, as_texts=False)
    except ValueError:  # lists and the like
        return written(column.to_pylist())
