from typing import Any

import pytest
from torch import nn

from toy_models import Coins
from zoo_core import errors, plugins
from zoo_core.hookspecs import Metric
from zoo_core.metrics import complete, function, measure

BARS = {"data": "bars-and-stripes:test"}


OURS = plugins.own(Metric)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"binarise": "fixed"},
            "the protocol of test_nll: unknown option 'binarise'. Did you mean binarize",
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
    with pytest.raises(errors.InvalidInput, match=r"Allowed: data, binarize, size, gray, seed"):
        measure("test_nll", Coins(), BARS | {"m": 1})


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
    with pytest.raises(
        errors.InvalidInput, match=r"bounded, which Coins is not. Of Coins: test_nll, bits_per_dim"
    ):
        measure("elbo", Coins(), BARS)


def test_a_protocol_is_completed_by_its_defaults() -> None:
    assert complete("test_nll", BARS) == BARS | {"binarize": "none"}
    whole = {"data": "x", "binarize": "none", "seed": 0, "samples": 10_000, "k": 5}
    assert complete("density", {}, {"data": "x", "gray": False, "size": None}) == whole
    assert complete("precision", {"k": 2, "seed": 1}, {"seed": 3, "labels": 4})["seed"] == 1
    with pytest.raises(errors.InvalidInput, match="fid: unknown option 'k'"):
        complete("fid", {"k": 2})
