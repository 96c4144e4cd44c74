"""Rows by columns are rows."""

import pytest

from zoo_core.output.table import Table, columns_of

ROWS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]


def test_a_table_is_its_rows() -> None:
    table = Table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert table == ROWS and list(table) == ROWS and len(table) == 3
    assert table[-1] == ROWS[-1] and table[1:] == ROWS[1:]
    assert list(Table({})) == []
    with pytest.raises(IndexError, match="the table has no row 3: it has 3"):
        table[3]
    assert repr(table) == repr(ROWS) and repr(Table({})) == "[]"
    assert repr(Table({"a": range(9)})).endswith("{'a': 4}, … 9 rows]")
    assert table != ROWS[:2] and len(Table({})) == 0 and not Table({})


def test_rows_by_columns() -> None:
    table = Table({"a": [1, 2, 3], "b": ["x", "y", "z"]})
    assert columns_of(table) == columns_of(ROWS) == table.columns
    assert columns_of([]) == {}
