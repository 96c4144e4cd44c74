"""Awkward tables: each is modelled in its own names and units, or a sentence says what it lacks."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import zoo_core
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.training import ladder

N = 60


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def written(head: str, row: Callable[[int], str], n: int = N, encoding: str = "utf-8") -> str:
    text = head + "\n" + "".join(row(i) + "\n" for i in range(n))
    Path("t.csv").write_bytes(text.encode(encoding))
    return "t.csv"


def real(i: int) -> float:
    return (i * 37 % N) / 7 - 4


def columns(data: str, **options: Any) -> dict[str, Column]:
    return {column.name: column for column in load_dataset(data, **options).columns}


def sampled(data: str, **options: Any) -> list[dict[str, str]]:
    """Train, score what is held out, and give five samples as a CSV has them."""
    run = zoo_core.train("mixed-tree", data=data, quiet=True, device="cpu", output="run", **options)
    held_out = load_dataset(f"{data}:test", columns=options.get("columns"))
    assert run.model.log_prob(held_out.floats()).isfinite().all()
    zoo_core.run(run.model, "sample", n=5, seed=0).save("samples.csv")
    with Path("samples.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_column() -> None:
    rows = sampled(written("age", lambda i: f"{real(i):.2f}"))
    assert [*rows[0]] == ["age"]
    model = zoo_core.load("./run")
    age = columns("t.csv")["age"]
    x = torch.linspace(-60, 60, 60_001).unsqueeze(1)
    density = model.log_prob((x - age.mean) / age.std).exp()
    assert torch.trapezoid(density, x[:, 0]).item() == pytest.approx(1, abs=1e-3)


def test_a_ladder_of_one_column_is_left_with_what_it_can_know() -> None:
    data = written("age", lambda i: f"{real(i):.2f}")
    names = ("mixed-independent", "mixed-chain", "mixed-tree")
    rungs = zoo_core.ladder(data, budget=60, only=names, device="cpu")
    assert [rung.name for rung in rungs] == list(names)
    nats = [rung.test.nats.value for rung in rungs if rung.test.nats]
    assert nats == [nats[0]] * 3, "one column depends on none"


def test_a_constant_column_costs_nothing() -> None:
    data = written("a,c", lambda i: f"{real(i):.2f},7")
    assert all(row["c"] == "7" for row in sampled(data))
    both = load_dataset(f"{data}:test")
    alone = zoo_core.train(
        "mixed-tree", data=data, columns={"c": "skip"}, quiet=True, device="cpu", output="alone"
    )
    x = both.floats()
    assert torch.allclose(zoo_core.load("./run").log_prob(x), alone.model.log_prob(x[:, :1]))


def test_two_thousand_columns() -> None:
    """Those that depend on nothing are fitted; a tree too, where its counts can be held."""
    row = ",".join
    data = written(row(f"c{i}" for i in range(2000)), lambda i: row(["0", "1", "b"][i % 3] * 2000))
    names = ("mixed-independent", "mixed-chain")
    rungs = zoo_core.ladder(data, budget=1, only=names, device="cpu")
    assert rungs[0].name == "mixed-independent"
    assert rungs[0].test.parameters == 2 * 2000
    assert rungs[0].run.model.sample(2).shape == (2, 2000)


def test_texts_that_no_two_rows_share_are_left_out_and_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert [*columns(written("t,v", lambda i: f"name{i},{real(i):.2f}"))] == ["v"]
    assert "column t is left out: 60 different texts among 60 rows" in capsys.readouterr().err
    assert [*columns("t.csv", columns={"t": "categorical"})] == ["t", "v"]


def test_ten_thousand_texts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are left out; where they are kept, what is quadratic in them says that it is."""
    data = written("t,v", lambda i: f"name{i % 10_000},{real(i):.2f}", 12_000)
    assert [*columns(data)] == ["v"]
    assert "column t is left out: 10,000 different texts among 12,000" in capsys.readouterr().err
    said: list[str] = []
    monkeypatch.setattr(ladder, "say", said.append)
    rungs = zoo_core.ladder(
        data,
        budget=300,
        only=("mixed-independent", "mixed-tree"),
        columns={"t": "categorical"},
        device="cpu",
    )
    assert [rung.name for rung in rungs] == ["mixed-independent"]
    assert any("mixed-tree is left out: a tree of 2 columns" in line for line in said)
    assert any("skip" in line and "config.structure = independent" in line for line in said)


def test_newlines_semicolons_commas_and_a_byte_order_mark() -> None:
    data = written(
        "name;wert;stadt",
        lambda i: f'"a{i % 3}\nzwei";{real(i):.2f};{("Köln", "Bonn")[i % 2]}'.replace(".", ","),
        encoding="utf-8-sig",
    )
    found = columns(data)
    assert {name: column.kind for name, column in found.items()} == {
        "name": "categorical",
        "wert": "real",
        "stadt": "binary",
    }
    for row in sampled(data):
        assert row["name"] in {"a0\nzwei", "a1\nzwei", "a2\nzwei"}
        assert row["stadt"] in {"Köln", "Bonn"}
        assert -10 < float(row["wert"]) < 10


def test_dates_are_texts() -> None:
    """Those that come again are categories; as numbers they are what the table has of them."""
    data = written("day,year,v", lambda i: f"2024-01-{i % 28 + 1:02},{2000 + i},{real(i):.2f}")
    found = columns(data)
    assert found["day"].kind == "categorical" and len(found["day"].categories) == 28
    assert found["year"].kind == "real" and found["year"].decimals == 0
    assert {row["day"][:8] for row in sampled(data)} == {"2024-01-"}


@pytest.mark.parametrize("mark", ["inf", "-inf", "Infinity"])
def test_infinite_numbers_are_named(mark: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = written("a,v", lambda i: f"{mark if i == 5 else real(i)},{real(i)}")
    assert [*columns(data)] == ["v"]
    said = capsys.readouterr().err
    assert f"column a is left out: it holds '{mark}', which is no finite number below 1e150" in said
    with pytest.raises(InvalidInput, match=f"a is stated to be real, and holds '{mark}'"):
        load_dataset(data, columns={"a": "real"})


def test_missing_cells_alone_leave_no_column() -> None:
    with pytest.raises(InvalidInput, match="no column of the table is left"):
        load_dataset(written("a,b", lambda i: ","))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,x\n2,y\n3,x\n", "3 rows are too few to split .* give 10 or more"),
        ("a,b\n", "holds no rows"),
        ("", "holds no rows"),
        ("a,a,b\n" + "1,2,x\n" * 20, "has two columns 'a'; rename one"),
        ("a,b\n" + "1,2\n" * 20 + "1,2,3\n", "row 21 has 3 cells, and the first line 2"),
        ('a,b\n1,"open\n' + "2,3\n" * 20, "not a readable table: unexpected end of data"),
    ],
    ids=["three rows", "header alone", "empty", "twice", "ragged", "open quote"],
)
def test_what_is_no_table_is_said_to_lack(text: str, says: str) -> None:
    Path("t.csv").write_text(text)
    with pytest.raises(InvalidInput, match=says):
        load_dataset("t.csv")


def test_other_encodings_are_named() -> None:
    data = written("a,b", lambda i: f"{real(i)},München", encoding="latin-1")
    with pytest.raises(InvalidInput, match=r"it is not in UTF-8 \(byte 0xfc\). Save it as UTF-8"):
        load_dataset(data)


@pytest.mark.parametrize("name", ["My Table (1)", "größe_2", "таблица", "v1.2_final"])
def test_files_and_folders_of_any_name_give_runs_that_are_used(
    name: str,
) -> None:
    rows = "".join(f"{i % 7 + i / 9},{'xy'[i % 2]}\n" for i in range(40))
    Path(f"{name}.csv").write_text("a,b\n" + rows)
    for output in (None, f"Runs/{name}"):
        run = zoo_core.train(
            "mixed-tree", data=f"{name}.csv", epochs=1, output=output, device="cpu", quiet=True
        )
        result = CliRunner().invoke(root, ["run", str(run.folder), "-n", "2"])
        assert result.exit_code == 0, result.output


def test_a_table_without_a_header_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Years may be names, and a line of them is taken as a row."""
    data = written("2019,2020", lambda i: f"{i / 7:.3f},{i / 9:.3f}")
    assert load_dataset(data).event_shape == (2,)
    assert "(x0, x1); the first line is a row, not their names" in capsys.readouterr().err
