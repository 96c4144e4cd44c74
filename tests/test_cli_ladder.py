"""`zoo ladder`: a table and a plot of every model that fits."""

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
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
    assert re.split("  +", head) == [
        *("NAME", "PARAMETERS", "VALUES", "LIKELIHOOD", "TEST NATS", "BITS/DIM"),
        *("VALIDATION NATS", "SECONDS"),
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
        (["--budget", "1s"], 2, "t.csv:test names the split test: a ladder is of a whole table"),
    ],
)
def test_what_cannot_be_climbed(table: str, words: list[str], code: int, what: str) -> None:
    data = f"{table}:test" if "names the split" in what else table
    result = CliRunner().invoke(root, ["ladder", data, *words])
    assert result.exit_code == code, result.output
    assert what in result.output


def rung(name: str, parameters: int, *nats: float, note: str = "") -> Rung:
    each = torch.tensor(nats).double()
    measured = Measured.of(each)
    figure = Standing(name, parameters, "binary", "exact", measured, None, note, None, each)
    return Rung(name, Run(Path(name), {}), {}, figure, figure, (measured.value,), 1.0)


COMMAND = importlib.import_module("zoo_core.cli.ladder")  # the package has the command's name


@pytest.mark.parametrize(
    ("nats", "says"),
    [
        (
            (4.9, 5.1),
            "use made: 5.000 nats on validation, 0.200 ± 0.100 less than tree with 2.0 times the "
            "parameters",
        ),
        (
            (5.3, 5.0),
            "use tree: 5.200 nats on validation; made takes 0.050 less with 2.0 times the "
            "parameters, which is within the standard error of the difference, 0.350",
        ),
    ],
)
def test_the_last_line_weighs_a_gain_by_its_standard_error(
    nats: tuple[float, ...], says: str
) -> None:
    """Over the rows of both: the smaller one is used where chance may have made the difference."""
    assert COMMAND._advice([rung("made", 200, *nats), rung("tree", 100, 5.0, 5.4)]) == says


def test_what_is_to_be_said_of_a_likelihood_stands_below_the_table() -> None:
    rungs = [rung("tree", 100, 5.0, 5.4), rung("any-order", 200, 4.0, 5.0, note="by orders")]
    assert COMMAND._table(rungs)[-1] == "any-order: by orders"


def test_a_rung_of_one_seed_has_no_deviation() -> None:
    """Others of a ladder have one; those whose further seeds were stopped do not."""
    of_two = replace(rung("tree", 100, 5.0, 5.4), of_seeds=(5.0, 5.2))
    head, *lines = COMMAND._table([of_two, rung("made", 200, 4.0, 5.0)])
    at = re.split("  +", head).index("SEEDS ±")
    assert [re.split("  +", line)[at] for line in lines] == ["0.141", "-"]
