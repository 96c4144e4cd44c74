"""Exact likelihoods, in nats and bits."""

import math

import pytest
from torch import nn

from toy_models import Coins
from zoo_core import errors
from zoo_core.data import bars_and_stripes_entropy
from zoo_core.metrics import measure
from zoo_core.metrics.likelihood import always_exact, caveats, kind_of

BARS = {"data": "bars-and-stripes:test"}


def test_nll_is_the_mean_over_the_rows_with_its_standard_error() -> None:
    value, error, n, *_ = measure("test_nll", Coins(), BARS)
    # half of the variables are on; k of 9 on: the distribution of bars has E[k] = 4.5
    assert value == pytest.approx(-4.5 * (math.log(0.75) + math.log(0.25)), abs=1e-5)
    assert n == 16
    assert error > 0


def test_bits_per_dim_are_nats_by_variable_and_log_two() -> None:
    nats, bits = (measure(name, Coins(), BARS).value for name in ("test_nll", "bits_per_dim"))
    assert bits == pytest.approx(nats / (9 * math.log(2)))


def test_no_model_is_below_the_entropy() -> None:
    assert measure("test_nll", Coins(), BARS).value > bars_and_stripes_entropy(3)


def test_grey_levels_are_drawn_once_from_the_seed(grey: str) -> None:
    def nll(seed: int) -> float:
        protocol = {"data": grey, "binarize": "fixed", "seed": seed}
        return measure("test_nll", Coins(), protocol).value

    assert nll(0) == nll(0)
    assert len({nll(seed) for seed in range(5)}) > 1


def test_a_model_without_density_has_no_likelihood() -> None:
    with pytest.raises(
        errors.InvalidInput,
        match="test_nll measures a model that gives the exact probability of any in",
    ):
        measure("test_nll", nn.Linear(2, 2), BARS)


def test_what_a_likelihood_is() -> None:
    class ByOrders(Coins):
        marginals_agree = False

    assert [kind_of(ByOrders(), missing) for missing in (False, True)] == ["exact", "by orders"]
    assert [kind_of(Coins(), missing) for missing in (False, True)] == ["exact", "exact"]
    assert kind_of(nn.Linear(2, 2)) == ""
    assert (always_exact(Coins()), always_exact(ByOrders())) == (True, False)
    (said,) = caveats("exact", "by orders", "by orders")
    assert "the missing cells come last and sum to one" in said and "no marginal" in said
    assert caveats("exact", "") == ()
