import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core import errors, plugins
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
