"""Tables in memory: NumPy's arrays, and what pandas, polars, pyarrow or DuckDB hold.

The latter are read by the stream of Arrow that all of them give, and so as a Parquet file of the
same table is: its texts are categories, and nulls are missing cells.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo_core.data.cells import Cells, as_cells, of_array, of_arrow
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

__all__ = ["frame_cells", "is_frame"]

_STREAM = "__arrow_c_stream__"
_INDEX = "__index_level_"
"""How pandas calls an index without a name, which is no column."""


def is_frame(source: object) -> bool:
    """Whether something is a table in memory: an array of NumPy, or a data frame."""
    return isinstance(source, np.ndarray) or hasattr(source, _STREAM)


def frame_cells(source: object, name: str) -> Cells:
    """The cells of a table in memory; the columns of an array are called x0, x1 and so on.

    name: what messages call it.

    Raises InvalidInput for an array that is no table of numbers, for a frame that Arrow cannot
    hold, for cells of several values, and where pyarrow is missing.
    """
    if isinstance(source, np.ndarray):
        return _of_numpy(source, name)
    try:
        import pyarrow as pa
    except ImportError:
        raise InvalidInput(
            f"{name} is a data frame, and reading it needs an optional package: pip install "
            "'zoo-core[datasets]'"
        ) from None
    try:
        table: Any = pa.table(source)
        names = [each for each in table.column_names if not each.startswith(_INDEX)]
        columns = [of_arrow(each, table.column(each), as_texts=False) for each in names]
    except Exception as error:  # pandas and Arrow have as many errors as there are odd columns
        raise InvalidInput(f"{name} is no readable table: {printable(error)}") from error
    if not columns:
        raise InvalidInput(f"{name} has no columns: expected (rows, variables).")
    return as_cells(name, names, columns)


def _of_numpy(source: Any, name: str) -> Cells:
    if source.ndim != 2 or source.dtype.kind not in "biuf" or not source.shape[1]:
        raise InvalidInput(
            f"{name} is of shape {source.shape} and type {source.dtype}; expected numbers, (rows, "
            "variables). Columns of texts or dates come in a data frame."
        )
    return as_cells(name, [], [of_array(column) for column in source.T])
