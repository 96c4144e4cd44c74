"""`zoo ladder`: a table and a plot of every model that fits."""

import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo_core.cli import root
from zoo_core.metrics.comparison import Standing
from zoo_core.metrics.measured import Measured
from zoo_core.training.ladder import Rung
from zoo_core.training.run import Run

WORDS = ["ladder", "t.csv", "--budget", "5m", "--device", "cpu"]
WORDS += ["--rung", "mixed-independent", "--rung", "mixed-tree"]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{i % 2},{'xyz'[i % 3]}\n" for i in range(60))
    Path("t.csv").write_text("a,b\n" + rows)
    return "t.csv"


def test_a_ladder(table: str) -> None:
    result = CliRunner().invoke(root, WORDS)
    assert result.exit_code == 0, result.output
    head, first, *_ = result.stdout.splitlines()
    assert head.split() == [
        *("NAME", "PARAMETERS", "VALUES", "LIKELIHOOD", "NATS", "BITS/DIM", "VALIDATION"),
        "SECONDS",
    ]
    assert first.startswith("mixed-independent  3 ")
    assert "use runs/ladder.t/" in result.stderr
    assert Path("runs/ladder.t/ladder.png").is_file()
    again = CliRunner().invoke(root, WORDS)
    assert again.exit_code == 2
    assert "runs/ladder.t already holds a ladder" in again.output


def test_json(table: str) -> None:
    words = [*WORDS, "--json", "-o", "here"]
    document = json.loads(CliRunner().invoke(root, words).stdout)
    tree = next(rung for rung in document["rungs"] if rung["name"] == "mixed-tree")
    assert tree["run"] == "here/mixed-tree.t"
    assert tree["nats"] > 0
    assert tree["settings"]["config.structure"] == "tree"


@pytest.mark.parametrize(
    ("words", "code", "what"),
    [
        (["--budget", "soon"], 2, "expected a time above 0, as 90s, 10m or 1h"),
        (["--budget", "0"], 2, "expected a time above 0"),
        (["--columns", "a"], 2, "expected NAME=KIND, as age=real"),
        (["--columns", "a=reel"], 3, "Did you mean real"),
        (["--columns", "c=real"], 3, "no column 'c'"),
    ],
)
def test_what_cannot_be_climbed(table: str, words: list[str], code: int, what: str) -> None:
    result = CliRunner().invoke(root, ["ladder", table, *words])
    assert result.exit_code == code, result.output
    assert what in result.output


@pytest.mark.parametrize(("error", "says"), [(0.01, ""), (0.3, "; within the standard error of")])
def test_the_last_line_weighs_a_gain_by_the_standard_error(error: float, says: str) -> None:
    command = importlib.import_module("zoo_core.cli.ladder")  # the package has the command's name

    def rung(name: str, parameters: int, nats: float) -> Rung:
        figure = Standing(
            name, parameters, "binary", "exact", Measured(nats, error, 100), None, "", None
        )
        return Rung(name, Run(Path(name), {}), {}, figure, figure, (nats,), 1.0)

    line = command._advice([rung("made", 200, 5.0), rung("tree", 100, 5.2)])
    assert line.startswith("use made: 5.000 nats on validation, 0.200 less than tree for 2.0 times")
    assert line.partition("its parameters")[2].startswith(says) and bool(says) == (";" in line)
