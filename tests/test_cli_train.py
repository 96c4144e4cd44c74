"""The command train."""

import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from zoo_core.cli import root
from zoo_core.training.recipe import read

Zoo = Callable[..., Result]

BARS = "bars-and-stripes-4"


def test_training_a_feature_net_ends_with_a_command_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["config.heads=[2]", "config.channels=[4,4,4,8]", "config.stem=4"]
    options = [word for setting in small for word in ("--set", setting)]
    trained = CliRunner().invoke(
        root, ["train", "features", "--data", BARS, "--epochs", "1", "-o", "run", "-q", *options]
    )
    assert trained.exit_code == 0, trained.output
    said = trained.stderr.partition("Try it: zoo ")[2]
    assert said.strip() == f"run ./run --input '{BARS}:test[0:16]'"
    again = CliRunner().invoke(root, shlex.split(said))
    assert again.exit_code == 0, again.output


def test_training_ends_with_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trained = CliRunner().invoke(root, ["train", "bernoulli", "--data", BARS, "-q", "-o", "run"])
    assert trained.exit_code == 0, trained.output
    head, row = trained.stdout.splitlines()
    assert head.split() == ["METRIC", "MEASURED", "UNIT"]
    name, nats, unit = row.split()
    assert (name, unit) == ("test_nll", "nats")
    assert float(nats) == pytest.approx(16 * 0.693, abs=0.05), "bars are coin flips, one by one"
    assert f"value = {nats}" in Path("run/entry.toml").read_text()


def test_columns_are_stated_as_for_the_ladder(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "".join(f"{i % 3},{i}\n" for i in range(30)))
    result = zoo("train", "mixed-tree", "--data", str(table), "--columns", "a=categorical,b=skip")
    assert result.exit_code == 0, result.stderr
    columns = read(Path("runs/mixed-tree.t/recipe.toml")).config["columns"]
    assert [(column["name"], column["kind"]) for column in columns] == [("a", "categorical")]
    result = zoo("train", "mixed-tree", "--data", str(table), "--columns", "a")
    assert result.exit_code == 2
    assert "--columns a: expected NAME=KIND, as age=real." in result.stderr


def test_a_training_that_is_refused_leaves_its_folder_free(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "t.csv"
    table.write_text("a,b\n" + "".join(f"{i % 3 or ''},{i % 2}\n" for i in range(60)))
    words = ["train", "mixed-fvsbn", "--data", str(table), "--epochs", "1"]
    (mine := Path("runs/mixed-fvsbn.t/samples/mine.png")).parent.mkdir(parents=True)
    mine.touch()
    result = zoo(*words)
    assert result.exit_code == 2
    assert "cannot sum out: put columns with missing cells last" in result.stderr
    assert zoo(*words, "--set", "config.order=[1, 0]").exit_code == 0
    assert mine.exists()  # only what the refused training wrote was removed


def test_training_counts_parameters_as_its_entry_does(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = zoo("train", "fvsbn", "--data", "bars-and-stripes", "--epochs", "1")
    assert "fvsbn.bars-and-stripes: 45 parameters, about" in result.stderr  # half of W is 0
    entry = tomllib.loads(Path("runs/fvsbn.bars-and-stripes/entry.toml").read_text())
    assert entry["entry"][0]["weights"]["parameters"] == 45
