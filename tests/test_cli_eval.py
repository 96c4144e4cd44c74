"""`zoo eval`: figures beside those that a registry states."""

import json
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import nn

from zoo_core import loading, plugins
from zoo_core.cli import root
from zoo_core.metrics import measure, rows
from zoo_core.metrics.measured import Measured
from zoo_core.training.train import train

BARS = {"data": "bars-and-stripes:test"}

Entry = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def publish(
    entry: Entry, write_registry: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., float]:
    """Publish an untrained NADE whose test NLL is off by so much; returns the NLL."""

    def published(off: float = 0.0, metrics: bool = True) -> float:
        config = {"shape": [1, 3, 3], "hidden": 4}
        architecture = plugins.architecture("nade")
        torch.manual_seed(0)
        model = loading.build(plugins.import_class(architecture.path), config)
        metadata = {
            "family": "autoregressive",
            "requires": "zoo-autoregressive",
            "architecture": "nade",
            "config": config,
        }
        folder = tmp_path / "registry"
        folder.mkdir()
        loading.save(model, folder / "nade.safetensors", metadata)
        data = (folder / "nade.safetensors").read_bytes()
        value = measure("test_nll", model, BARS).value
        table = entry(
            name="nade.bars",
            config=config,
            data="bars-and-stripes",
            weights__url="nade.safetensors",
            weights__sha256=sha256(data).hexdigest(),
            weights__bytes=len(data),
        )
        table["metrics"][0] |= {"value": value + off, "protocol": BARS}
        if not metrics:
            del table["metrics"]
        monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(table)))
        return value

    return published


def zoo(*args: str) -> Result:
    return CliRunner().invoke(root, args, prog_name="zoo")


def test_eval_shows_the_measured_beside_the_stated_and_published(
    publish: Callable[..., float],
) -> None:
    value = publish()
    result = zoo("eval", "nade.bars", "--check")
    assert result.exit_code == 0, result.output
    head, row = result.stdout.splitlines()
    columns = "METRIC MEASURED REGISTRY PUBLISHED REAL UNIT ROWS WITHIN"
    assert head.split() == columns.split()
    assert f"{value:.4f} ± " in row
    assert "85.65" in row
    assert row.endswith("yes, to 0.05")


def test_check_fails_beyond_the_tolerance(publish: Callable[..., float]) -> None:
    value = publish(off=0.06)
    result = zoo("eval", "nade", "--check")
    assert result.exit_code == 7
    assert f"error: nade.bars: test_nll is {value:.4f}, but the registry states" in result.stderr
    assert "zoo verify nade.bars" in result.stderr
    assert "no, off by 0.06 > 0.05" in result.stdout


def test_without_check_a_drift_is_only_shown(publish: Callable[..., float]) -> None:
    publish(off=0.06)
    result = zoo("eval", "nade.bars")
    assert result.exit_code == 0
    assert "no, off by 0.06 > 0.05" in result.stdout


def test_json_holds_numbers(publish: Callable[..., float]) -> None:
    value = publish(off=-0.01)
    (row,) = json.loads(zoo("eval", "nade.bars", "--json").stdout)
    assert row["value"] == pytest.approx(value, abs=1e-6)
    assert row["registry"] == pytest.approx(value - 0.01)
    assert row["within"] is True
    assert row["n"] == 16
    assert row["published"] == 85.65
    assert row["protocol"] == BARS


def test_a_value_that_is_no_number_fails_the_check(
    publish: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()
    nothing = Measured(float("nan"), 0.0, 1)

    def no_number(model: nn.Module, protocol: rows.OfRows, root: rows.Root) -> Measured:
        return nothing

    monkeypatch.setattr("zoo_core.metrics.likelihood.nll", no_number)
    assert zoo("eval", "nade.bars", "--check").exit_code == 7


def test_a_figure_without_a_standard_error_stands_alone(
    publish: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish()

    def alone(model: nn.Module, protocol: rows.OfRows, root: rows.Root) -> Measured:
        return Measured(1.25, float("nan"), 16)

    monkeypatch.setattr("zoo_core.metrics.likelihood.nll", alone)
    (line,) = (row for row in zoo("eval", "nade.bars").stdout.splitlines() if "test_nll" in row)
    assert line.split()[1] == "1.2500" and "±" not in line and "nan" not in line


def test_several_seeds_have_a_mean_and_a_deviation(
    publish: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = publish()

    def by_seed(model: nn.Module, protocol: rows.OfBinaryRows, root: rows.Root) -> Measured:
        seed = 3 if protocol.seed is None else protocol.seed
        return Measured(stated + seed - 3, 0.1, 16, real=1.0)

    monkeypatch.setattr("zoo_core.metrics.likelihood.nll", by_seed)
    run = ("eval", "nade.bars", "--seeds", "3", "--json")
    (row,) = json.loads(zoo(*run).stdout)
    assert "standard_error" in row  # the registry's protocol has no seed: one measurement
    registry = Path(os.environ["ZOO_REGISTRY"])
    text = registry.read_text()
    registry.write_text(
        text.replace('"bars-and-stripes:test"', '"bars-and-stripes:test", "seed" = 3')
    )
    result = zoo(*run, "--check")
    table = zoo(*run[:-1]).stdout
    assert f"{stated + 1:.4f} ± 1.0000 by 3 seeds" in table
    assert ", by the first seed" in table
    assert result.exit_code == 0  # the first seed's figure is the registry's, the mean is not
    (row,) = json.loads(result.stdout)
    assert row["value"] == pytest.approx(stated + 1)
    assert (row["standard_deviation"], row["real"], row["seeds"]) == (pytest.approx(1), 1, 3)


def test_an_entry_without_metrics(publish: Callable[..., float]) -> None:
    publish(metrics=False)
    result = zoo("eval", "nade.bars")
    assert result.exit_code == 2
    assert "error: the registry states no metrics of nade.bars: name one" in result.stderr


def test_a_file_is_no_entry(publish: Callable[..., float], tmp_path: Path) -> None:
    publish()
    result = zoo("eval", str(tmp_path / "registry" / "nade.safetensors"))
    assert result.exit_code == 2
    assert "is no entry of a registry, and of no run that has ended" in result.stderr


def test_a_run_is_held_to_its_own_entry(tmp_path: Path) -> None:
    run = str(tmp_path / "run")
    train = ("train", "bernoulli", "--data", "bars-and-stripes", "--epochs", "1", "-q", "-o", run)
    assert zoo(*train).exit_code == 0
    result = zoo("eval", run, "--check")
    assert result.exit_code == 0, result.output
    assert "test_nll" in result.stdout
    shown = zoo("show", run)
    assert shown.exit_code == 0, shown.output
    assert f"zoo run {run} -n 16" in shown.stdout
    path = Path(run, "entry.toml")
    path.write_text(re.sub('sha256 = ".{64}"', f'sha256 = "{"0" * 64}"', path.read_text()))
    result = zoo("eval", run)
    assert result.exit_code == 2
    assert "is of other weights" in result.stderr


def test_figures_of_rows_with_missing_cells_say_that_they_are_by_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what that is; of models that have consistent marginals they are exact."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n" + "".join(f"{i % 3 or ''},{i % 2}\n" for i in range(60)))
    for name in ("mixed-eonade", "mixed-tree"):
        train(name, data="t.csv", epochs=1, quiet=True, output=name, device="cpu")
    runner = CliRunner()
    result = runner.invoke(root, ["eval", "./mixed-eonade", "--metric", "test_nll"])
    assert result.exit_code == 0, result.output
    _, figure, note = result.stdout.splitlines()
    assert " nats, by orders " in figure and "this is no marginal" in note
    document = runner.invoke(root, ["eval", "./mixed-tree", "--metric", "test_nll", "--json"])
    assert json.loads(document.stdout)[0]["likelihood"] == "exact"
