import json
import math
import os
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

from zoo_core import errors, loading, plugins
from zoo_core.cli import root
from zoo_core.data import bars_and_stripes_entropy, load_dataset
from zoo_core.hookspecs import Metric
from zoo_core.metrics import complete, function, measure, rows
from zoo_core.metrics.measured import Measured

BARS = {"data": "bars-and-stripes:test"}
OURS = plugins.own(Metric)


class Coins(nn.Module):
    """Independent variables, each 1 with probability 3/4."""

    levels = 2

    def __init__(self, shape: tuple[int, ...] = (1, 3, 3)) -> None:
        super().__init__()
        self.event_shape = shape
        self.p = nn.Parameter(torch.tensor(0.75))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.where(x > 0.5, self.p.log(), (1 - self.p).log()).flatten(1).sum(1)


def test_nll_is_the_mean_over_the_rows_with_its_standard_error() -> None:
    value, error, n, *_ = measure("test_nll", Coins(), BARS)
    # half of the variables are on; k of 9 on: the distribution of bars has E[k] = 4.5
    assert value == pytest.approx(-4.5 * (math.log(0.75) + math.log(0.25)), abs=1e-5)
    assert n == 16
    assert error > 0


def test_the_standard_error_is_that_of_the_mean() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert Measured.of(values)[:3] == pytest.approx((2.5, math.sqrt(5 / 3) / 2, 4))
    assert math.isnan(Measured.of(values[:1]).error)


def test_bits_per_dim_are_nats_by_variable_and_log_two() -> None:
    nats, bits = (measure(name, Coins(), BARS).value for name in ("test_nll", "bits_per_dim"))
    assert bits == pytest.approx(nats / (9 * math.log(2)))


def test_no_model_is_below_the_entropy() -> None:
    assert measure("test_nll", Coins(), BARS).value > bars_and_stripes_entropy(3)


@pytest.fixture
def grey(tmp_path: Path) -> str:
    from PIL import Image

    for split in ("train", "val", "test"):
        (tmp_path / "grey" / split).mkdir(parents=True)
        Image.new("L", (3, 3), 128).save(tmp_path / "grey" / split / "x.png")
    return f"{tmp_path / 'grey'}:test"


def test_grey_levels_are_drawn_once_from_the_seed(grey: str) -> None:
    def nll(seed: int) -> float:
        protocol = {"data": grey, "binarize": "fixed", "seed": seed}
        return measure("test_nll", Coins(), protocol).value

    assert nll(0) == nll(0)
    assert len({nll(seed) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"binarise": "fixed"},
            "the protocol of test_nll has no option 'binarise'. Did you mean binarize",
        ),
        ({"binarize": "dynamic"}, "binarize is 'dynamic'; expected none or fixed"),
        ({"seed": "0"}, "seed is '0'; expected a whole number of at least 0"),
        ({"data": "bars-and-stripes-4:test"}, r"rows of shape \(1, 4, 4\), but the model takes"),
    ],
)
def test_a_protocol_that_cannot_be_followed(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(errors.InvalidInput, match=text):
        measure("test_nll", Coins(), BARS | changes)


def test_a_protocol_s_other_keys_are_said() -> None:
    with pytest.raises(errors.InvalidInput, match=r"It takes data, binarize, size, gray, seed"):
        measure("test_nll", Coins(), BARS | {"m": 1})


@pytest.mark.parametrize("at_once", [1, 5, 16, 500])
def test_each_row_is_given_once_and_in_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", at_once)
    data = load_dataset("bars-and-stripes:test")
    assert torch.equal(rows.each(Coins(), data, lambda x: x), data.floats())


def test_a_protocol_without_data() -> None:
    with pytest.raises(errors.InvalidInput, match="the protocol names no data"):
        measure("test_nll", Coins(), {"seed": 0})


def test_grey_rows_do_not_fit_a_binary_model(grey: str) -> None:
    with pytest.raises(errors.InvalidInput, match="has 256 levels, but the model is binary"):
        measure("test_nll", Coins(), {"data": grey})


def test_a_model_without_density_has_no_likelihood() -> None:
    with pytest.raises(
        errors.InvalidInput, match="test_nll measures a DensityModel, which Linear is not"
    ):
        measure("test_nll", nn.Linear(2, 2), BARS)


def test_an_unknown_metric_gets_near_matches() -> None:
    with pytest.raises(errors.UnknownName, match=r"'tset_nll' is unknown\. Did you mean test"):
        measure("tset_nll", Coins(), BARS)
    assert {"test_nll", "bits_per_dim", "iw_bound", "elbo"} <= set(OURS)


@pytest.mark.parametrize("metric", OURS.values(), ids=list(OURS))
def test_each_metric_is_where_its_record_says(metric: Metric) -> None:
    assert function(metric.name).options
    with pytest.raises(errors.ZooError):  # it asks the model, or the protocol, before all else
        measure(metric.name, nn.Identity(), {})


def test_a_model_is_offered_the_metrics_that_measure_it() -> None:
    with pytest.raises(errors.InvalidInput, match=r"a Bound, .* Of Coins: test_nll, bits_per_dim"):
        measure("elbo", Coins(), BARS)


def test_a_protocol_is_completed_by_its_defaults() -> None:
    assert complete("test_nll", BARS) == BARS | {"binarize": "none"}
    whole = {"data": "x", "binarize": "none", "seed": 0, "samples": 10_000, "k": 5}
    assert complete("density", {}, {"data": "x", "gray": False, "size": None}) == whole
    assert complete("precision", {"k": 2, "seed": 1}, {"seed": 3, "labels": 4})["seed"] == 1
    with pytest.raises(errors.InvalidInput, match="fid has no option 'k'"):
        complete("fid", {"k": 2})


# zoo eval

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
    assert row.endswith("yes")


def test_check_fails_beyond_the_tolerance(publish: Callable[..., float]) -> None:
    value = publish(off=0.06)
    result = zoo("eval", "nade", "--check")
    assert result.exit_code == 7
    assert f"error: nade.bars: test_nll is {value:.4f}, but the registry states" in result.stderr
    assert "zoo verify nade.bars" in result.stderr
    assert "no, off by 0.0600" in result.stdout


def test_without_check_a_drift_is_only_shown(publish: Callable[..., float]) -> None:
    publish(off=0.06)
    result = zoo("eval", "nade.bars")
    assert result.exit_code == 0
    assert "no, off by 0.0600" in result.stdout


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
