"""Bounds of a likelihood, their terms, and active latents, of a model whose values are known."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.protocols import ELBO

BARS = {"data": "bars-and-stripes:test"}


class Bounded(nn.Module):
    """Its bound is -7 of one draw and tighter by log k of k; one of its two latents is active."""

    levels = 2
    event_shape = (1, 3, 3)
    latent_dim = 2

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> ELBO:
        return ELBO(-4 * torch.ones(len(x)), 3 * torch.ones(len(x)))

    def log_prob_bound(
        self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        noise = torch.rand(len(x), generator=generator) / 100
        return torch.tensor(float(k)).log() - 7 + noise

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        count = x.flatten(1).sum(1)
        return torch.stack([count, 0.01 * count], 1)


@pytest.mark.parametrize(("name", "value"), [("elbo", 7), ("prior_fitting", 3)])
def test_the_elbo_is_its_reconstruction_less_its_second_term(name: str, value: float) -> None:
    measured = measure(name, Bounded(), BARS)
    assert (measured.value, measured.error, measured.n) == (value, 0, 16)


def test_the_weighted_bound_is_of_k_draws_and_of_the_seed() -> None:
    def bound(**protocol: Any) -> float:
        return measure("iw_bound", Bounded(), BARS | protocol).value

    assert bound(k=1) == pytest.approx(7, abs=0.011)
    assert bound(k=10) == pytest.approx(7 - 2.3026, abs=0.011)
    assert bound(seed=1) == bound(seed=1) != bound(seed=2)


def test_latents_whose_means_vary_are_active() -> None:
    count = load_dataset("bars-and-stripes:test").floats().flatten(1).sum(1)
    assert (0.01 * count).var() < 0.01 < count.var()
    assert measure("active_units", Bounded(), BARS).value == 1


def test_a_model_without_a_bound_is_refused() -> None:
    with pytest.raises(InvalidInput, match="elbo measures a model whose likelihood is bounded"):
        measure("elbo", nn.Linear(2, 2), BARS)
