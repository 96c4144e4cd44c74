"""Rows that are held by columns: a million of them as dicts would take a thousand bytes each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

__all__ = ["Table", "columns_of"]


_SHOWN = 5
"""Rows that a representation has."""


class Table(Sequence[Mapping[str, Any]]):
    """A sequence of rows, of which each becomes a dict when it is used.

    Args:
        columns: by name, of one length; of arrays, rows have plain values.
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @overload
    def __getitem__(self, rows: int) -> Mapping[str, Any]: ...

    @overload
    def __getitem__(self, rows: slice) -> Table: ...

    def __getitem__(self, rows: int | slice) -> Mapping[str, Any] | Table:
        """One row, or some as another table; raises IndexError for a row that there is not."""
        if not isinstance(rows, slice) and not -len(self) <= rows < len(self):
            raise IndexError(f"the table has no row {rows}: it has {len(self):,}")  # ends a loop
        found = {name: values[rows] for name, values in self.columns.items()}
        if isinstance(rows, slice):
            return Table(found)
        return {name: _plain(value) for name, value in found.items()}

    def __repr__(self) -> str:
        """The rows as a list has them: the first few, and how many there are."""
        shown = ", ".join(map(repr, self[:_SHOWN]))
        more = f", … {len(self):,} rows" if len(self) > _SHOWN else ""
        return f"[{shown}{more}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment] # its columns may change


def columns_of(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Sequence[Any]]:
    """Rows of the same cells, by columns."""
    if isinstance(rows, Table):
        return rows.columns
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _plain(value: Any) -> Any:
    """A value of an array as Python's own; every other as it is."""
    return value.item() if hasattr(value, "item") else value
