"""Columns of tables: guessed, stated, encoded and decoded."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo_core import errors
from zoo_core.data import load_dataset
from zoo_core.data.cells import Cells, Values
from zoo_core.data.columns import (
    Column,
    cell_types,
    cells_of,
    decode,
    encode,
    guess_columns,
    in_columns,
    of_cells,
)

NAN = float("nan")
JOB = Column("job", "categorical", ("clerk", "nurse"))
AGE = Column("age", "real", mean=40.0, std=10.0, knots=(20.0, 40.0, 60.0), decimals=1)


def guess(values: Values, name: str = "c", **stated: str) -> Column:
    cells = Cells((name,), (values,))
    return guess_columns(cells, np.ones(len(cells), dtype=bool), stated, "t.csv")[0]


@pytest.mark.parametrize(
    ("values", "kind", "categories"),
    [
        (np.array([0.0, 1, 1, NAN]), "binary", ("0", "1")),
        (np.array([10.0, 2, 2]), "binary", ("2", "10")),
        (["no", "yes", ""], "binary", ("no", "yes")),
        (np.array([3.0, 1, 2, 10]), "ordinal", ("1", "2", "3", "10")),
        (["b", "a", "c"], "categorical", ("a", "b", "c")),
        (np.array([5.0, 5]), "categorical", ("5",)),
        (["01", "2", "1", ""], "categorical", ("01", "1", "2")),
        (["007", "7"], "binary", ("007", "7")),
        (np.array([0.5, 1, 2]), "real", ()),
        (np.arange(50.0), "real", ()),
    ],
)
def test_what_a_column_is(values: Values, kind: str, categories: tuple[str, ...]) -> None:
    column = guess(values)
    assert (column.kind, column.categories) == (kind, categories)


def test_a_real_column_is_described_by_its_training_rows() -> None:
    cells = Cells(("a",), (np.array([0.25, 1.5, 2.25, 100.0]),))
    column = guess_columns(cells, np.array([True, True, True, False]), {}, "t.csv")[0]
    assert (column.mean, column.decimals) == (pytest.approx(4 / 3), 2)
    assert (column.knots[0], column.knots[-1]) == (0.25, 2.25)


def test_what_is_left_out_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    N = 1001
    cells = Cells(
        ("", "id", "nothing", "x"),
        (np.arange(N) + 5.0, [f"u{i}" for i in range(N)], [""] * N, np.arange(N) % 2.0),
    )
    assert [
        column.name for column in guess_columns(cells, np.ones(N, dtype=bool), {}, "t.csv")
    ] == ["x"]
    said = capsys.readouterr().err
    assert "it numbers the rows" in said
    assert "column id is left out: 1,001 different texts among 1,001 rows" in said
    assert "column nothing is left out: it is empty" in said


def test_what_is_stated_comes_before_what_is_guessed() -> None:
    assert guess(np.array([1.0, 2, 3]), c="real").kind == "real"
    assert guess(np.array([0.5, 2, 3]), c="categorical").categories == ("0.5", "2", "3")


@pytest.mark.parametrize(
    ("stated", "error", "what"),
    [
        ({"d": "real"}, errors.UnknownName, "no column 'd'. It has c"),
        ({"c": "reel"}, errors.UnknownName, "Did you mean real"),
        ({"c": "real"}, errors.InvalidInput, "stated to be real, and holds 'x'"),
        ({"c": 3}, errors.UnknownName, "columns: c = 3; expected binary, categorical"),
        ({"c": "skip"}, errors.InvalidInput, "no column of the table is left"),
        ({"c": "binary"}, errors.InvalidInput, "stated to be binary, and has 3 values"),
    ],
)
def test_what_cannot_be_stated(stated: dict[str, Any], error: type[Exception], what: str) -> None:
    cells = Cells(("c",), (["x", "y", "z"],))
    with pytest.raises(error, match=what):
        guess_columns(cells, np.ones(3, dtype=bool), stated, "t.csv")


def test_codes_are_said_to_be_texts_and_may_be_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    codes: Values = ["01", "2", "1", ""]
    guess(codes, name="zip")
    assert capsys.readouterr().err == (
        "t.csv: column zip holds texts such as '01', which numbers would not keep; "
        "columns={'zip': 'real'} takes them as numbers\n"
    )
    column = guess(codes, c="real")
    assert (column.kind, column.mean) == ("real", pytest.approx(4 / 3))
    assert not capsys.readouterr().err
    # rows without a code are numbers when they are read alone, and no code is one of them
    zip_code = Column("c", "categorical", ("007", "1.50", "7"))
    assert encode(Cells(("c",), (np.array([7.0, 1.5]),)), [zip_code], "x").tolist() == [[2], [1]]
    with pytest.raises(errors.InvalidInput, match="'7' is none of its 1 categories: 007"):
        encode(Cells(("c",), (np.array([7.0]),)), [Column("c", "categorical", ("007",))], "x")


def test_truth_values_are_the_same_however_they_are_written() -> None:
    for categories in (("false", "true"), ("False", "True"), ("FALSE", "TRUE")):
        column = Column("c", "binary", categories)
        for texts in (["true", "false"], ["True", "False"], ["TRUE", "FALSE"]):
            assert encode(Cells(("c",), (texts,)), [column], "x").tolist() == [[1], [0]]
    bits, truths = (Column("c", "binary", pair) for pair in (("0", "1"), ("False", "True")))
    for cells in (["True", "False"], ["true", "false"], np.array([1.0, 0.0])):
        for column in (bits, truths):
            assert encode(Cells(("c",), (cells,)), [column], "x").tolist() == [[1], [0]]
    told_apart = Column("c", "binary", ("True", "true"))
    assert encode(Cells(("c",), (["true", "True"],)), [told_apart], "x").tolist() == [[1], [0]]


def test_a_day_is_the_same_with_its_midnight() -> None:
    days = [Column("c", "categorical", ("2024-01-03 00:00:00", "2024-01-03 10:00:00"))]
    cells = Cells(("c",), (["2024-01-03", "2024-01-03 10:00:00", "2024-01-03 00:00:00"],))
    assert encode(cells, days, "x").tolist() == [[0], [1], [0]]
    days = [Column("c", "categorical", ("2024-01-03", "2024-01-03 10:00:00"))]
    assert encode(cells, days, "x").tolist() == [[0], [1], [0]]


def test_categories_that_are_whole_numbers_stay_numbers() -> None:
    x = torch.tensor([[1.0, 0.0, 1.0]])
    columns = [
        Column("a", "binary", ("1", "2"), required=True),
        Column("b", "binary", ("01", "2"), required=True),
        Column("c", "binary", ("0", "1")),
    ]
    assert decode(x, columns) == [{"a": 2, "b": "01", "c": 1}]
    cells = Cells(("a",), (np.array([2.0, 1.0]),), types=(int,))
    given = decode(torch.tensor([[1.0], [0.0]]), columns[:1], cells)
    assert given == [{"a": 2}, {"a": 1}]
    assert cell_types(cells, columns[:1]) == {"a": int}


def test_cells_are_given_back_as_they_were() -> None:
    cells = Cells(
        ("id", "job", "age", "n"),
        (
            np.array([8.0, 0.5, NAN]),
            ["nurse", "", "clerk"],
            np.array([1e9 + 0.125, NAN, 40]),
            ["", "b", "a"],
        ),
    )
    x = encode(cells, [AGE, JOB], "x")
    given = decode(x, [AGE, JOB], cells)
    assert given[0] == {"id": 8, "job": "nurse", "age": 1e9 + 0.125, "n": None}
    assert given[1] == {"id": 0.5, "job": None, "age": None, "n": "b"}
    assert [type(row["id"]) for row in given] == [int, float, type(None)]
    filled = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    imputed = decode(filled, [AGE, JOB], cells)
    assert [row["age"] for row in imputed] == [1e9 + 0.125, 50, 40]
    assert [row["job"] for row in imputed] == ["nurse", "nurse", "clerk"]
    replaced = decode(filled, [AGE, JOB], cells, known=[False, True])
    assert [row["age"] for row in replaced] == [40, 50, 60]
    assert [row["job"] for row in replaced] == ["nurse", "nurse", "clerk"]
    alone = Cells(("x0", "x1"), cells.columns[2:0:-1])  # without a header
    assert decode(x, [AGE, JOB], alone)[0] == {"age": 1e9 + 0.125, "job": "nurse"}


def test_texts_of_a_real_column_are_given_back_as_numbers() -> None:
    """Also beside one that is filled in, so that all are of one type."""
    cells = Cells(("age", "job"), (["0123", "", "7.5"], ["nurse"] * 3))
    x = encode(cells, [AGE, JOB], "x").nan_to_num(0)
    rows = decode(x, [AGE, JOB], cells)
    assert [row["age"] for row in rows] == [123, decode(x, [AGE, JOB])[1]["age"], 7.5]


def test_rows_go_to_numbers_and_back() -> None:
    cells = Cells(("age", "job"), (np.array([45.5, NAN]), ["", "nurse"]))
    x = encode(cells, [JOB, AGE], "t")  # by name, in the model's order
    assert torch.equal(x[0].isnan(), torch.tensor([True, False]))
    assert x[0, 1].item() == pytest.approx(0.55)
    assert x[1, 0] == 1
    assert decode(x, [JOB, AGE]) == [{"job": None, "age": 45.5}, {"job": "nurse", "age": None}]


def test_a_table_without_a_header_is_taken_by_place() -> None:
    cells = Cells(("x0", "x1"), (["nurse"], np.array([50.0])))
    assert encode(cells, [JOB, AGE], "t").tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        (
            Cells(("job",), (["clerk"],)),
            r"t has no column age; its columns are job\. The model takes job, age",
        ),
        (
            Cells(("x0",), (np.array([1.0]),)),
            "t has 1 column without names, and the model takes 2: job, age",
        ),
        (
            Cells(("job", "age"), (["clerk"], np.array([1e41]))),
            r"t, row 1, column age: 1e\+41 is too far from the training rows, whose mean is 40",
        ),
        (
            Cells(("job", "age"), (["clerk", "cook"], np.array([1.0, 2.0]))),
            "t, row 2, column job: 'cook' is none of its 2 categories: clerk, nurse",
        ),
        (
            Cells(("job", "age"), (["clerk"], ["old"])),
            "t, row 1, column age: 'old' is no number",
        ),
    ],
)
def test_rows_that_do_not_fit(cells: Cells, what: str) -> None:
    with pytest.raises(errors.InvalidInput, match=what):
        encode(cells, [JOB, AGE], "t")


@pytest.mark.parametrize(
    "table",
    [
        {"name": "a"},
        {"name": "a", "kind": "complex"},
        {"name": "a", "kind": "real", "std": 0.0},
        {"name": "a", "kind": "real", "mean": NAN},
        {"name": "a", "kind": "real", "knots": [1.0, 1.0]},
        {"name": "a", "kind": "binary"},
        {"name": "a", "kind": "binary", "categories": ["x", "x"]},
        {"name": "a", "kind": "real", "colour": 1},
    ],
)
def test_a_config_that_holds_no_column(table: dict[str, object]) -> None:
    with pytest.raises(errors.InvalidInput, match="is no column; expected name, kind, categories"):
        Column.of(table)


@pytest.mark.parametrize("column", [JOB, AGE])
def test_a_column_comes_back_from_its_config(column: Column) -> None:
    assert Column.of(column.table()) == column


def test_another_table_in_a_models_columns(tmp_path: Path) -> None:
    rows = "".join(f"{age},{'nurse' if age % 2 else 'clerk'}\n" for age in range(20, 120))
    (tmp_path / "t.csv").write_text("age,job\n" + rows)
    data = load_dataset(f"{tmp_path / 't.csv'}:train")
    encoded = in_columns(data, [JOB, AGE])
    assert encoded.columns == (JOB, AGE)
    assert decode(encoded.x, [JOB, AGE]) == [
        {"job": row["job"], "age": row["age"]} for row in decode(data.x, data.columns)
    ]
    assert in_columns(encoded, [JOB, AGE]) is encoded


def test_a_table_of_whole_numbers_in_columns(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.tile([[0, 3], [1, 5]], (10, 1)))
    data = load_dataset(f"{tmp_path / 't.npy'}:train")
    assert data.levels == 2, "3 and 5 are two values as well"
    columns = [Column("a", "binary", ("0", "1")), Column("b", "binary", ("3", "5"))]
    assert set(map(tuple, in_columns(data, columns).x.tolist())) == {(0, 0), (1, 1)}


def test_whole_numbers_that_are_guessed_real_are_the_categories_of_a_model(tmp_path: Path) -> None:
    """They come back from float32 as they were: 46.999999996931656 is no category, 47 is."""
    ages = [20 + i % 55 for i in range(110)]
    (tmp_path / "t.csv").write_text("age,v\n" + "".join(f"{age},{age / 8}\n" for age in ages))
    data = load_dataset(f"{tmp_path / 't.csv'}:train")
    assert [column.kind for column in data.columns] == ["real", "real"]
    model = [Column("age", "ordinal", tuple(map(str, range(20, 75))))]
    found = [row["age"] for row in decode(in_columns(data, model).x, model)]
    assert found == [row["age"] for row in decode(data.x, data.columns)]


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1.0, 1e9])
def test_real_values_come_back_as_near_as_float32_has_them(scale: float) -> None:
    """Also those with more digits than a column's decimals, which are not rounded."""
    values = np.random.default_rng(0).normal(size=100) * scale
    column = guess_columns(Cells(("a",), (values,)), np.ones(100, bool), {"a": "real"}, "t")[0]
    data = of_cells(Cells(("a",), (values,)), [column], "t", "test")
    (found,) = cells_of(data).columns
    np.testing.assert_allclose(np.asarray(found), values, rtol=0, atol=4 * 2.0**-24 * column.std)


def test_texts_of_digits_come_back_as_texts() -> None:
    """Only a file with types has such texts, as the codes of a place."""
    codes: Values = ["10115", "20095", "10115", ""]
    columns = guess_columns(Cells(("zip",), (codes,)), np.ones(4, bool), {}, "t")
    assert columns == (Column("zip", "binary", ("10115", "20095"), texts=True),)
    assert Column.of(columns[0].table()) == columns[0]
    assert decode(torch.tensor([[1.0], [NAN]]), columns) == [{"zip": "20095"}, {"zip": None}]
    numbers = Cells(("zip",), (np.array([20095.0, NAN]),), types=(int,))
    x = encode(numbers, columns, "t")
    assert decode(x, columns, numbers) == [{"zip": "20095"}, {"zip": None}]
    assert cell_types(numbers, columns) == {"zip": str}


@pytest.mark.parametrize("text", ["1_0", "\u0661"])
def test_what_only_float_takes_for_a_number_is_none(text: str) -> None:
    with pytest.raises(errors.InvalidInput, match="is stated to be real, and holds"):
        guess(["1", text], c="real")
    with pytest.raises(errors.InvalidInput, match="is no number"):
        encode(Cells(("age",), ([text],)), [AGE], "t")


def test_yes_and_no_are_a_binary_table() -> None:
    columns = [Column("a", "binary", ("no", "yes"))]
    data = of_cells(Cells(("a",), (["yes", "no"],)), columns, "t", "train")
    assert (data.levels, data.x.dtype, data.x.tolist()) == (2, torch.uint8, [[1], [0]])
    missing = of_cells(Cells(("a",), (["yes", ""],)), columns, "t", "train")
    assert missing.levels is None


def test_numbers_without_a_finite_square_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    values = np.array([1e300, 1.5, 2.5])
    with pytest.raises(errors.InvalidInput, match="all are skipped"):
        guess(values)
    assert "it holds '1e+300', which is no finite number below 1e150" in capsys.readouterr().err
    with pytest.raises(errors.InvalidInput, match=r"holds 1e\+300; expected finite numbers below"):
        guess(values, c="real")


def test_differences_without_a_square_are_refused() -> None:
    """They had a standard deviation of 0, and so passed for a constant."""
    with pytest.raises(errors.InvalidInput, match=r"such as 2e-300, differ by less than has a squ"):
        guess(np.array([1e-300, 2e-300, -1e-300, 1.5e-300]), c="real")
    assert guess(np.array([1.5, 1.5, 1.5]), c="real").std == 1.0


def test_numbers_that_are_written_otherwise_are_said_to_be_texts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With signs, units and separators, or with words beside them; few of them are categories."""
    for i, sample in enumerate(("{}.5%", "${},000.00", "{} cm", "n/k {}")):
        texts = [sample.format(k) for k in range(30)] + [f"{k}" for k in range(30, 60)] * (i == 3)
        guess(texts * 2, f"c{i}")
    guess([f"2020-01-{k:02}" for k in range(1, 31)] * 2, "dates")
    guess(["10%", "20%", "30%"] * 20, "few")
    said = capsys.readouterr().err
    for i, text in enumerate(("0.5%", "$0,000.00", "0 cm", "n/k 0")):
        assert f"t.csv: column c{i} holds texts such as '{text}': if they are to be numbers" in said
    assert "dates holds" not in said and "few holds" not in said


def test_values_that_a_model_cannot_tell_apart_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    """As float32 they are one, where one of them is far from the others."""
    values = np.append(np.linspace(-2, 2, 99), 1e9)
    guess(values, "far")
    guess(values[:-1], "near")
    said = capsys.readouterr().err
    assert "t.csv: column far: its values have a standard deviation of 9.9" in said
    assert "Is 1e+09 one of them?" in said and "near" not in said


@pytest.mark.parametrize("scale", [1e-12, 1e-150, 1e-3, 1.0, 1e9])
def test_values_keep_their_digits_whatever_their_scale(scale: float) -> None:
    values = np.random.default_rng(0).normal(size=100) * scale
    column = guess(values, "a")
    x = encode(Cells(("a",), (values,)), (column,), "t.csv")
    found = np.array([row["a"] for row in decode(x, (column,))])
    np.testing.assert_allclose(found, values, atol=2e-3 * scale, rtol=0)
