"""The command train."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo_core.cli import root

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
