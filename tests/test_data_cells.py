"""The cells of tables, however people write them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from zoo_core import errors
from zoo_core.data.cells import (
    Cells,
    count_rows,
    open_array,
    read_cells,
    read_ranges,
    texts_of,
    types_in,
)

NAN = float("nan")


def read(tmp_path: Path, text: str | bytes) -> Cells:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_cells(path)


def columns(cells: Cells) -> list[list[object]]:
    return [list(values) for values in cells.columns]


@pytest.mark.parametrize(
    ("text", "names", "rows"),
    [
        ("a,b\n1,x\n2,y\n", ("a", "b"), [[1, 2], ["x", "y"]]),
        ("1,x\n2,y\n", ("x0", "x1"), [[1, 2], ["x", "y"]]),  # a header holds no number
        ("a;b\n1,5;x\n2;y\n", ("a", "b"), [[1.5, 2], ["x", "y"]]),  # a decimal comma
        ("a\tb\n1\tx, y\n2\tz\n", ("a", "b"), [[1, 2], ["x, y", "z"]]),
        ("a b\n1 2\n3 4\n", ("a", "b"), [[1, 3], [2, 4]]),
        ('a,b\n1,"x\ny"\n2,"say ""no"""\n', ("a", "b"), [[1, 2], ["x\ny", 'say "no"']]),
        ("\ufeffa,b\r\n1,x\r\n\r\n2,y\r\n", ("a", "b"), [[1, 2], ["x", "y"]]),
        ("a\nx\ny\n", ("a",), [["x", "y"]]),
        ("no\nyes\nno\n", ("x0",), [["no", "yes", "no"]]),  # nor what its column holds
        ("a,b\nb,a\na,c\n", ("a", "b"), [["b", "a"], ["a", "c"]]),
        (",a\n0,5\n1,6\n", ("", "a"), [[0, 1], [5, 6]]),
        ("a,b\n1e3,-2.5\n+3,0\n", ("a", "b"), [[1000, 3], [-2.5, 0]]),
        # texts of which numbers would make others: codes, and more digits than a float64 holds
        ("a,b\n01234,0\n1234,0.5\n", ("a", "b"), [["01234", "1234"], [0, 0.5]]),
        ("a,b\n-07,-0.5\n7,1\n", ("a", "b"), [["-07", "7"], [-0.5, 1]]),
        (
            "a\n9007199254740992\n9007199254740993\n",
            ("a",),
            [["9007199254740992", "9007199254740993"]],
        ),
        ("a\n9007199254740992\n12345678901234567168\n", ("a",), [[2.0**53, 12345678901234567168]]),
    ],
)
def test_a_csv(tmp_path: Path, text: str, names: tuple[str, ...], rows: list[list[object]]) -> None:
    cells = read(tmp_path, text)
    assert cells.names == names
    assert columns(cells) == rows
    assert cells.numbered == (names[0] == "x0")
    assert len(cells) == len(rows[0])


@pytest.mark.parametrize("missing", ["", "NA", "n/a", "NaN", "null", "None", "?", "  "])
def test_what_is_missing(tmp_path: Path, missing: str) -> None:
    number, text = read(tmp_path, f"a,b\n1,x\n{missing},{missing}\n").columns
    assert np.array_equal(np.asarray(number), [1, NAN], equal_nan=True)
    assert text == ["x", ""]


def test_infinity_is_no_number(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2\ninf,3\n").columns[0] == ["1", "inf"]


@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_numbers_beside_an_infinite_one_are_the_same_texts(tmp_path: Path, suffix: str) -> None:
    """Of each file, and of a part of it that has none."""
    path, values = tmp_path / f"x{suffix}", np.array([2.0, 0.5, NAN, np.inf])
    if suffix == ".npy":
        np.save(path, values[:, None])
    else:
        pa = pytest.importorskip("pyarrow")
        pytest.importorskip("pyarrow.parquet").write_table(pa.table({"a": values}), path)
    assert columns(read_cells(path)) == [["2", "0.5", "", "inf"]]
    first = next(read_ranges(path, [range(2)], types_in(path)))
    assert columns(first) == [["2", "0.5"]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a,b\n1,2\n3\n", "not a readable table: row 2 has 1 cells, and the first line 2"),
        ("a,b\n", r"holds no rows: expected \(rows, variables\)"),
        ("", "holds no rows"),
        ("a,a\n1,2\n", "two columns 'a'; rename one"),
        (b"a,b\n\xff\xfe,1\n", "not a readable table"),
    ],
)
def test_a_csv_that_is_none(tmp_path: Path, text: str | bytes, what: str) -> None:
    with pytest.raises(errors.InvalidInput, match=what):
        read(tmp_path, text)


def test_a_parquet_file(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table({"age": [1.5, None], "job": ["clerk", None], "ok": [True, False]})
    parquet.write_table(table, tmp_path / "x.parquet")
    cells = read_cells(tmp_path / "x.parquet")
    assert cells.names == ("age", "job", "ok")
    assert np.array_equal(np.asarray(cells.columns[0]), [1.5, NAN], equal_nan=True)
    assert cells.columns[1:] == (["clerk", ""], ["True", "False"])


@pytest.mark.parametrize(
    ("kept", "what"),
    [
        (-1, "it is cut short or damaged"),
        (90, "it is cut short or damaged"),
        (5, "it does not begin as what numpy.save writes"),
        (0, "it does not begin as what numpy.save writes"),
    ],
)
def test_an_npy_file_that_is_cut_short(tmp_path: Path, kept: int, what: str) -> None:
    np.save(path := tmp_path / "x.npy", np.zeros((4, 3)))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(errors.InvalidInput, match=rf"x\.npy is not a readable table: {what}$"):
        read_cells(path)


def test_an_array_is_no_table(tmp_path: Path) -> None:
    np.save(path := tmp_path / "x.npy", np.ones((4, 1, 2, 2)))
    array = open_array(path)
    assert array is not None and array.shape == (4, 1, 2, 2)
    with pytest.raises(
        errors.InvalidInput, match=r"shape \(4, 1, 2, 2\); expected \(rows, variables\)"
    ):
        read_cells(path)
    np.save(path, np.ones((4, 3)))
    assert open_array(path) is None


def test_numbers_as_the_texts_of_categories() -> None:
    assert texts_of(np.array([3.0, 0.5, NAN, -1.0])) == ["3", "0.5", "", "-1"]


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".parquet"])
def test_ranges_of_rows_are_those_of_the_whole(tmp_path: Path, suffix: str) -> None:
    path, x = tmp_path / f"x{suffix}", np.arange(200).reshape(100, 2)
    if suffix == ".csv":
        np.savetxt(path, x, "%d", ";", header="a;b", comments="")
    elif suffix == ".npy":
        np.save(path, x)
    else:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        parquet.write_table(pa.table({"a": x[:, 0], "b": x[:, 1]}), path, row_group_size=7)
    assert count_rows(path) == len(read_cells(path)) == 100
    with mock.patch("zoo_core.data.cells._BATCH", 3):
        for ranges in (
            [range(100)],
            [range(3, 20), range(20, 21), range(60, 100)],
            [range(97, 200)],
        ):
            found = list(read_ranges(path, ranges))
            assert [cells.start for cells in found] == [rows.start for rows in ranges]
            for rows, cells in zip(ranges, found, strict=True):
                assert np.array_equal(np.stack(cells.columns, 1), x[rows.start : rows.stop])


def test_what_columns_hold_is_decided_by_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,b,c,d\n1,1.50,,2\n3,A1,,2.5\n")
    with mock.patch("zoo_core.data.cells._BATCH", 1):
        assert types_in(path) == (int, str, int, float)
    alone, same = (next(read_ranges(path, [range(1)], each)) for each in ((), types_in(path)))
    assert (np.asarray(alone.columns[1]).tolist(), same.columns[1]) == ([1.5], ["1.50"])
    np.save(tmp_path / "x.npy", np.array([[1, 2], [2**60, 3]]))
    types = types_in(tmp_path / "x.npy")
    assert types == (str, int)
    (row,) = read_ranges(tmp_path / "x.npy", [range(1)], types)
    assert row.columns[0] == ["1"]


def test_a_row_of_another_length_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n5\n")
    with pytest.raises(errors.InvalidInput, match=r"x\.csv is not .*: row 3 has 1 cells, "):
        list(read_ranges(tmp_path / "x.csv", [range(2), range(2, 4)]))


@pytest.mark.parametrize("missing", [False, True])
def test_whole_numbers_that_are_no_float_stay_texts(tmp_path: Path, missing: bool) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    ids = [2**53 + 1, 2**53, 3]
    texts = ["9007199254740993", "9007199254740992", "3"]
    np.save(tmp_path / "x.npy", np.array([ids, [1, 2, 3]]).T)
    assert columns(read_cells(tmp_path / "x.npy")) == [texts, [1, 2, 3]]
    parquet.write_table(pa.table({"a": [*ids, None] if missing else ids}), tmp_path / "x.parquet")
    expected = [*texts, ""] if missing else texts
    assert columns(read_cells(tmp_path / "x.parquet")) == [expected]


def test_texts_of_parquet_stay_texts_and_lists_are_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path, texts = tmp_path / "x.parquet", ["007", "7", " 8", None, "NA"]
    held = {
        "a": texts,
        "b": pa.array(texts).dictionary_encode(),
        "c": pa.array(texts).cast("large_string"),
    }
    parquet.write_table(pa.table(held), path)
    assert columns(read_cells(path)) == [["007", "7", " 8", "", ""]] * 3
    parquet.write_table(pa.table({"a": [1], "tags": [["x", "y"]]}), path)
    with pytest.raises(errors.InvalidInput, match=r"column tags holds list<.*; expected one value"):
        read_cells(path)


def test_rows_by_their_places() -> None:
    cells = Cells(("a", "b"), (np.array([1.0, 2, 3]), ["x", "y", "z"]), start=5)
    assert columns(cells.take([2, 0])) == [[3, 1], ["z", "x"]]
    assert columns(cells.take(range(1, 3))) == [[2, 3], ["y", "z"]]
    assert (cells.take(range(1, 3)).start, len(cells.take([]))) == (6, 0)


def test_numbers_of_parquet_as_they_are(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"a": [1, None, 3], "b": [0.5, None, float("inf")], "c": [True, None, False]}
    parquet.write_table(pa.table(columns), tmp_path / "x.parquet")
    a, b, c = read_cells(tmp_path / "x.parquet").columns
    assert np.array_equal(np.asarray(a), [1, NAN, 3], equal_nan=True)
    assert (b, c) == (["0.5", "", "inf"], ["True", "", "False"])


@pytest.mark.parametrize(
    "cells", [["1_000", "1000"], ["\uff11", "1"], ["1" * 400, "1"], ["9" * 5000, "9"]]
)
def test_texts_that_python_alone_takes_for_numbers_stay_texts(
    tmp_path: Path, cells: list[str]
) -> None:
    assert read(tmp_path, f"a,b\n{cells[0]},x\n{cells[1]},y\n").columns[0] == cells


def test_blanks_belong_to_the_texts_of_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table({"a": [" x", "x", "  "]}), path)
    assert read_cells(path).columns[0] == [" x", "x", ""]


@pytest.mark.parametrize("read", [read_cells, count_rows])
def test_a_line_without_end_is_not_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "sparse.csv"
    path.write_text("1,0\n" * 30)
    os.truncate(path, 2 * 10**9)  # takes no place on the disk
    with pytest.raises(errors.InvalidInput, match="one of its lines has more than 16,777,216 char"):
        read(path)


def test_names_of_many_columns_are_compared_in_no_time(tmp_path: Path) -> None:
    names = [f"a{i}" for i in range(50_000)]
    path = tmp_path / "wide.csv"
    path.write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    start = time.perf_counter()
    assert len(read_cells(path).columns) == len(names)
    assert time.perf_counter() - start < 10  # it took minutes


def test_a_blank_line_in_quotes_belongs_to_its_text_wherever_it_stands(tmp_path: Path) -> None:
    lines = ["a,b", *(f'{i},"x\n\ny"\n\n   ' for i in range(40))]
    cells = read(tmp_path, "\n".join(lines))
    assert columns(cells) == [list(range(40)), ["x\n\ny"] * 40]
    cells = read(tmp_path, "\n   \na\tb\n1\t2\n\t\n")
    assert cells.names == ("a", "b")
    assert np.array_equal(np.stack(cells.columns), [[1, np.nan], [2, np.nan]], equal_nan=True)


def test_a_column_may_be_called_like_a_missing_value(tmp_path: Path) -> None:
    (path := tmp_path / "glass.csv").write_text("RI,Na,None,Al\n1.5,NA,2.5,3.5\n1.6,2.5,null,3\n")
    cells = read_cells(path)
    assert cells.names == ("RI", "Na", "None", "Al")
    assert np.isnan(np.array(cells.columns, float)).tolist()[1:3] == [[True, False], [False, True]]
