"""What a table's models are for, of those by the chain rule: odd cells, odd rows, missing cells."""

import csv
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import zoo_core
from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.tasks.result import Result

HEAD = ["city", "member", "rooms", "age", "spend"]
SETTINGS: dict[str, Any] = {
    "epochs": 40,
    "optimizer.opt": "adamw",
    "optimizer.lr": 0.01,
    "config.components": 3,
    "device": "cpu",
    "quiet": True,
    "seed": 0,
}
MODELS = {
    "mixed-made": {"config.hidden": [64]},
    "mixed-nade": {"config.hidden": 64},
}


def rows(n: int) -> list[list[str]]:
    """A city has its number of rooms; members spend 50 more; age is on its own."""
    random.seed(0)
    made = []
    for _ in range(n):
        city, member = random.randrange(3), random.random() < 0.5
        spend = 10 * (city + 1) + 50 * member + random.gauss(0, 1)
        made.append(
            [
                ("Aarhus", "Bergen", "Cork")[city],
                ("no", "yes")[member],
                str(city + 1),
                f"{random.gauss(40, 10):.1f}",
                f"{spend:.2f}",
            ]
        )
    return made


def written(name: str, table: list[list[str]]) -> str:
    with Path(name).open("w", newline="") as file:
        csv.writer(file).writerows([HEAD, *table])
    return name


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table = rows(800)
        for row in table[::10]:
            row[-1] = ""
        settings = SETTINGS | {"data": written("t.csv", table)} | MODELS[request.param]
        return zoo_core.train(request.param, **settings, output=folder / "run").model


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(model: Any, task: str, table: list[list[str]], **options: Any) -> Result:
    return zoo_core.run(model, task, seed=0, inputs=(written("rows.csv", table),), **options)


def test_explain_gives_the_nats_of_each_cell(model: Any) -> None:
    table = [*rows(20), ["Cork", "no", "1", "40.0", ""]]
    result = run(model, "explain", table)
    scores = run(model, "score", table).rows
    for score in scores:
        own = [row for row in result.rows if row["input"] == score["input"]]
        assert {row["variable"] for row in own} == set(HEAD)
        assert sum(row["nats"] for row in own) == pytest.approx(score["nats"], abs=1e-4)
    last = [row for row in result.rows if row["input"] == "rows.csv[20]"]
    assert last[0]["variable"] == "rooms", "Cork has three"
    assert last[0]["nats"] > 4
    assert last[1]["variable"] == "age" and last[1]["nats"] < 4, "the entropy is 3.72 nats"
    assert last[-1] == {"input": "rows.csv[20]", "variable": "spend", "nats": 0.0}, "it is missing"


def test_detect_puts_odd_rows_first(model: Any) -> None:
    odd = [["Cork", "no", "1", "40.0", "30"], ["Aarhus", "yes", "1", "41.0", "10.0"]]
    odd += [["Bergen", "no", "2", "140.0", "20.0"], ["Bergen", "yes", "2", "38.0", ""]]
    result = run(model, "detect", [*rows(40), *odd])
    found = [row["input"] for row in result.rows]
    assert set(found[:3]) == {f"rows.csv[{i}]" for i in (40, 41, 42)}
    assert found[-1] == "rows.csv[43]", "of two reals one is summed out"


@pytest.mark.parametrize("samples", [1, 30])
def test_complete_imputes(model: Any, samples: int) -> None:
    table = [["Cork", "yes", "3", "40.0", ""], ["Aarhus", "no", "1", "40.0", "12.0"]]
    result = run(model, "complete", table, samples=samples)
    assert "1 missing cells imputed" in result.figures
    assert len(result.rows) == 2 * samples
    assert [key for key in result.rows[0] if key != "input"] == HEAD
    whole = [row for row in result.rows if row["input"] == "rows.csv[1]"]
    assert all(row["spend"] == 12.0 and row["city"] == "Aarhus" for row in whole)
    spends = [row["spend"] for row in result.rows if row["input"] == "rows.csv[0]"]
    assert sorted(spends)[samples // 2] == pytest.approx(80, abs=8)
    assert len(set(spends)) > 0.8 * samples, "each is a sample of its own, of two decimals"


def test_rows_without_missing_cells_are_given_back(model: Any) -> None:
    """Imputing batch after batch changes no cell that is there; what is asked for is sampled."""
    table = rows(12)
    result = run(model, "complete", table, samples=1)
    assert [[str(row[name]) for name in HEAD[:3]] for row in result.rows] == [r[:3] for r in table]
    assert [row["spend"] for row in result.rows] == [float(row[4]) for row in table]
    assert result.figures[0].startswith("no cell is missing; keep='top' samples the second half")
    sampled = run(model, "complete", table, samples=1, keep="top").rows
    assert [row["city"] for row in sampled] == [row[0] for row in table]
    assert [row["spend"] for row in sampled] != [float(row[4]) for row in table]


def test_what_cannot_be_summed_out_is_said(model: Any) -> None:
    with pytest.raises(InvalidInput, match=r"1 of the 2 rows .* cannot sum out.* mixed-tree and"):
        run(model, "complete", [*rows(1), ["Cork", "", "3", "40.0", "30.0"]])


def test_pandas_reads_what_each_task_makes_of_a_table_with_missing_cells() -> None:
    """From the table to samples, scores, cells, ranks and imputed rows, in its names and units."""
    pandas = pytest.importorskip("pandas")
    table = rows(400)
    for place, row in enumerate(table):
        row[place % 5] = "" if place % 4 == 0 else row[place % 5]

    def call(*words: str) -> Any:
        result = CliRunner().invoke(root, ["run", "./run", *words, "--device", "cpu"])
        assert result.exit_code == 0, result.output
        return pandas.read_csv(words[-1])

    data = written("t.csv", table)
    zoo_core.train("mixed-tree", data=data, output="run", device="cpu", quiet=True)
    given = pandas.read_csv(data)

    samples = call("-n", "200", "-o", "samples.csv")
    assert [*samples.columns] == HEAD
    assert samples.notna().to_numpy().all() and len(samples) == 200
    assert set(samples.city) == {"Aarhus", "Bergen", "Cork"} and set(samples.rooms) == {1, 2, 3}
    assert samples.age.median() == pytest.approx(40, abs=4)

    scores = call("--task", "score", "--input", data, "-o", "scores.csv")
    pandas.testing.assert_frame_equal(scores[HEAD], given, check_dtype=False)
    assert scores.nats.between(-5, 40).all()

    cells = call("--task", "explain", "--input", data, "-o", "cells.csv")
    assert set(cells.variable) == set(HEAD)
    sums = cells.groupby("input", sort=False).nats.sum()
    assert sums.to_numpy() == pytest.approx(scores.nats.to_numpy(), abs=1e-3)
    gaps = given.isna().sum().sum()
    assert gaps == 100 and (cells.nats == 0).sum() == gaps, "a missing cell costs nothing"

    odd = ["Cork", "no", "1", "140.0", ""]
    ranks = call(
        "--task", "detect", "--input", written("odd.csv", [*table, odd]), "-o", "ranks.csv"
    )
    assert ranks.input[0] == "odd.csv[400]"
    assert ranks.nats.is_monotonic_decreasing

    whole = call("--task", "complete", "--samples", "3", "--input", data, "-o", "whole.csv")
    assert len(whole) == 3 * len(given) and whole[HEAD].notna().to_numpy().all()
    again = pandas.concat([given] * 3, ignore_index=True)
    known = whole[HEAD].where(again.notna())
    pandas.testing.assert_frame_equal(known, again, check_dtype=False)


def test_given_cells_come_back_as_they_stand_in_their_file(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    given = [(f"{2**53 + i}", f"0{i % 3}", f"{10**9 + i}.125" if i % 4 else "") for i in range(60)]
    table.write_text("id,code,x\n" + "".join(f"{','.join(row)}\n" for row in given))
    run = zoo_core.train("mixed-tree", data=table, epochs=1, output=tmp_path / "run", quiet=True)
    for task in ("score", "complete"):
        rows = zoo_core.run(
            run.folder,
            task,
            inputs=[f"{table}[3:7]"],
            **({"samples": 1} if task == "complete" else {}),
        ).rows
        cells = [(row["id"], row["code"]) for row in rows]
        assert cells == [row[:2] for row in given[3:7]]
        assert [row["x"] for row in rows][0::2] == [10**9 + 3.125, 10**9 + 5.125]
        assert (rows[1]["x"] is None) == (task == "score")


def test_columns_of_a_table_keep_their_names_beside_those_of_results(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("input,nats\n" + "".join(f"{'ab'[i % 2]},{i % 3}\n" for i in range(60)))
    run = zoo_core.train("mixed-tree", data=table, epochs=1, output=tmp_path / "run", quiet=True)
    rows = zoo_core.run(run.folder, "score", inputs=[str(table)]).rows
    assert list(rows[0]) == ["input_", "input", "nats", "nats_", "bits_per_dim"]
    assert [row["input"] for row in rows[:4]] == ["a", "b", "a", "b"]
    assert {row["nats"] for row in rows} == {0, 1, 2}
    completed = zoo_core.run(run.folder, "complete", inputs=[str(table)]).rows
    assert list(completed[0]) == ["input_", "input", "nats"]
