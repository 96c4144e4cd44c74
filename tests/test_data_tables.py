"""Tables: the ways to write CSV, splits, and files that are none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo_core import errors
from zoo_core.data import load_dataset, load_images, tables
from zoo_core.data.columns import cells_of, guess_columns
from zoo_core.data.streams import open_split, open_stream
from zoo_core.data.tables import read_table


def write_table(folder: Path, **splits: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        (folder / f"{name}.csv").write_text(rows)
    return folder


def test_a_folder_of_tables(tmp_path: Path) -> None:
    write_table(tmp_path / "pairs", train="0,1\n1,1\n", valid="0,0\n", test="1,0\n1,1\n0,1\n")
    train = load_dataset("pairs", root=tmp_path)
    assert train.x.tolist() == [[0, 1], [1, 1]]
    assert train.x.dtype == torch.uint8
    assert (train.levels, train.event_shape) == (2, (2,))
    assert load_dataset("pairs:validation", root=tmp_path).x.tolist() == [[0, 0]]
    assert len(load_dataset("pairs:test", root=tmp_path)) == 3


def test_levels_are_those_of_all_splits(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n", test="3,1\n")
    assert load_dataset("t", root=tmp_path).levels == 4


def test_kinds_are_guessed_once_for_all_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessed = []

    def guess(*arguments: Any) -> Any:
        guessed.append(1)
        return guess_columns(*arguments)

    monkeypatch.setattr(tables, "guess_columns", guess)
    folder = write_table(tmp_path / "t", train="a,b\n0,x\n1,y\n", test="a,b\n0,z\n")
    for split in ("train", "test", "train"):
        columns = load_dataset(f"t:{split}", root=tmp_path).columns
        assert columns[1].categories == ("x", "y", "z")
    assert len(guessed) == 1
    assert load_dataset("t", root=tmp_path, columns={"a": "skip"}).event_shape == (1,)
    (folder / "test.csv").write_text("a,b\n0,more\n")
    assert load_dataset("t", root=tmp_path).columns[1].categories == ("more", "x", "y")


def test_a_table_without_the_split(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n")
    with pytest.raises(errors.InvalidInput, match="has no validation split: expected a file"):
        load_dataset("t:validation", root=tmp_path)


def test_splits_of_different_widths(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="0,1\n", test="0,1,1\n")
    with pytest.raises(errors.InvalidInput, match="train has 2, test has 3"):
        load_dataset("t", root=tmp_path)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("a,b\n0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("0;1\n2;0\n", [[0, 1], [2, 0]]),
        ("0 1\n1 0\n", [[0, 1], [1, 0]]),
        ("\ufeff0,1\n1,0\n", [[0, 1], [1, 0]]),
        ("0.0,1.0\n1.0,0.0\n", [[0, 1], [1, 0]]),
    ],
)
def test_the_ways_in_which_people_write_csv(
    tmp_path: Path, text: str, rows: list[list[int]]
) -> None:
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    assert load_images([tmp_path / "x.csv"], shape=(2,)).data.x.tolist() == rows


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("0,1\n0,-1\n", r"row 2, column 2: -1 is no category"),
        ("0,0.5\n", r"row 1, column 2: 0.5 is no category"),
        ("0,999\n", "whole numbers from 0 to 255"),
        ("0,1\n0\n", "not a readable table"),
        ("0,1\nx,y\n", "row 2, column 1: 'x' is no category"),
        ("0,nan\n", "nan is no category"),
        (",a,b\n0,1,1\n1,0,x\n", "row 2, column 3: 'x' is no category"),
        ("a,b\n", r"expected \(rows, variables\)"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(errors.InvalidInput, match=what):
        read_table(tmp_path / "x.csv")


def test_one_file_is_split_by_a_fixed_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.stack([np.arange(100), np.arange(100)], 1)
    np.save(tmp_path / "x.npy", rows)
    spec = str(tmp_path / "x.npy")
    parts = [load_dataset(spec, split=split).x for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [80, 10, 10]
    assert torch.cat(parts)[:, 0].sort().values.tolist() == list(range(100))
    assert torch.equal(parts[0], load_dataset(spec, split="train").x)
    said = capsys.readouterr().err
    assert said == "x.npy: 100 rows, split 80/10/10 % at random with a fixed seed\n", "once"


def test_a_file_of_too_few_rows(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("0,1\n1,1\n")
    with pytest.raises(errors.InvalidInput, match="2 rows are too few"):
        load_dataset(f"{tmp_path}/x.csv:validation")


def test_a_pickle_in_a_npy_file_is_never_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(errors.InvalidInput, match="table: it holds objects; expected numbers"):
        load_dataset(str(tmp_path / "x.npy"))


def test_a_table_of_mixed_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{age / 2},{'fm'[age % 2]},{age % 3}" for age in range(40, 140)]
    (tmp_path / "people.csv").write_text("age,sex,cars\n" + "\n".join(rows))
    data = load_dataset(str(tmp_path / "people.csv"), split="test")
    assert (data.levels, data.holds, data.event_shape) == (None, "mixed columns", (3,))
    assert [column.kind for column in data.columns] == ["real", "binary", "ordinal"]
    assert data.x.dtype == torch.float32
    assert "1 real column (age); 1 binary column (sex); 1 ordinal column (cars)" in (
        capsys.readouterr().err
    )
    train = load_dataset(str(tmp_path / "people.csv"))
    assert train.columns == data.columns, "of the whole table, whichever split is asked for"
    assert train.x[:, 0].mean().item() == pytest.approx(0, abs=1e-5), "of the training rows"


@pytest.mark.parametrize("first", [0, 100, 200])
def test_row_numbers_are_no_category(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], first: int
) -> None:
    """As pandas writes them: they were said to be left out, and were not."""
    rows = [f"{first + i},{i % 3},{i % 5}" for i in range(100)]
    (tmp_path / f"t{first}.csv").write_text("\n".join([",a,b", *rows, ""]))
    data = load_dataset(f"{tmp_path}/t{first}.csv:test")
    assert (data.levels, data.event_shape) == (5, (2,))
    assert cells_of(data).names == ("a", "b") and len(cells_of(data).columns) == 2
    assert "is left out: it numbers the rows" in capsys.readouterr().err
    whole = load_images([tmp_path / f"t{first}.csv"], shape=(2,)).data
    assert (whole.levels, whole.x.tolist()) == (5, [[i % 3, i % 5] for i in range(100)])
    stream = open_stream(tmp_path / f"t{first}.csv", shape=(2,))
    (some,) = stream.read([range(90, 100)])
    assert (some.data.levels, some.data.x.tolist()) == (5, whole.x[90:].tolist())
    assert open_split(f"{tmp_path}/t{first}.csv:test", shape=(3,)) is None


def test_columns_that_are_stated(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(40).reshape(20, 2) % 5)
    data = load_dataset(str(tmp_path / "x.npy"), columns={"x0": "real", "x1": "skip"})
    assert [(column.name, column.kind) for column in data.columns] == [("x0", "real")]


def test_splits_of_different_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t", train="a,b\n0,1\n", test="a,c\n0,1\n")
    with pytest.raises(errors.InvalidInput, match="differ in the names of their columns"):
        load_dataset("t", root=tmp_path)
    write_table(tmp_path / "u", train="a,b\n0,1\n", test="b,a\n0,1\n")
    assert load_dataset("u:test", root=tmp_path).x.tolist() == [[1, 0]]


def test_a_first_row_that_numbers_the_columns_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i % 2},{i // 2 % 2},1\n" for i in range(20))
    (tmp_path / "numbered.csv").write_text("0,1,2\n" + rows)
    (tmp_path / "plain.csv").write_text("1,1,0\n" + rows)
    load_dataset(f"{tmp_path / 'plain.csv'}:train")
    assert "first line" not in capsys.readouterr().err
    load_dataset(f"{tmp_path / 'numbered.csv'}:train")
    assert "numbered.csv: the first line is 0, 1, 2 and so on" in capsys.readouterr().err
