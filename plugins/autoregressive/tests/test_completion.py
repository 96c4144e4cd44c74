"""Completion from any known variables: they stay, and the others follow the joint distribution."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.testing import Case, cases
from zoo_core.testing.law import p_value

DRAWS = 4000
CONFIGS: dict[str, list[dict[str, Any]]] = {
    "categorical": [{"shape": [1, 2, 3], "levels": 3}],
    "ar": [{"k": 4, "order": "random", "order_seed": 1}],
    "fvsbn": [{"order": "random", "order_seed": 1}],
    "made": [{"hidden": [24], "order": "random"}, {"hidden": [24, 24], "masks": 3}],
    "nade": [{"hidden": 12}],
    "eonade": [{"hidden": [24], "orders": 2}],
    "attention": [{"blocks": 1, "d": 8}, {"blocks": 1, "d": 8, "levels": 3, "shape": [1, 2, 3]}],
    "pixelcnn": [{"hidden": 4, "layers": 1, "head": 6}],
    "row-lstm": [{"hidden": 4, "layers": 1, "head": 6}],
    "diagonal-bilstm": [{"shape": [3, 1, 2], "levels": 3, "hidden": 6, "layers": 1, "head": 9}],
}
ANY_MASK = (
    "bernoulli",
    "categorical",
    "markov",
    "chow-liu",
    "joint",
    "eonade",
    "mixed-tree",
    "mixed-eonade",
)
"""What needs no order of the known variables."""
CASES = {str(case): case for case in cases("autoregressive", CONFIGS)}


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def masks(model: Any) -> list[Tensor]:
    """Scattered variables, and the first ones of the order where there is one, event_shape."""
    D = torch.Size(model.event_shape).numel()
    known = [torch.rand(D, generator=seeded(seed)) < 0.5 for seed in range(3)]
    if hasattr(model, "order"):
        known += [torch.isin(torch.arange(D), model.order[:d]) for d in (1, D // 2)]
    return [mask.reshape(model.event_shape) for mask in known]


def come_first(known: Tensor, order: Tensor) -> bool:
    in_order = known.flatten()[order].tolist()
    return in_order == sorted(in_order, reverse=True)


def counts(x: Tensor, case: Case) -> Tensor:
    """How often each of the case's states is among x, (K,)."""
    levels, D = int(getattr(case.fresh(), "levels", 2)), x[0].numel()
    places = (x.flatten(1) * (levels - 1)).round().long() * levels ** torch.arange(D)
    return torch.bincount(places.sum(1), minlength=levels**D)


@pytest.mark.parametrize("name", CASES)
def test_known_variables_stay_and_the_others_follow_the_joint(name: str) -> None:
    case = CASES[name]
    model: Any = case.stirred()
    x = model.sample(1, generator=seeded(9)).expand(DRAWS, *model.event_shape)
    states = case.states()
    with torch.no_grad():
        log_p = model.log_prob(states).double()
    completed = 0
    for seed, known in enumerate(masks(model)):
        try:
            drawn = model.complete(x, known, generator=seeded(seed))
        except InvalidInput as error:
            assert "can only complete what comes after the known variables" in str(error)
            assert case.architecture.name not in ANY_MASK
            assert not come_first(known, model.order)
            continue
        completed += 1
        assert torch.equal(drawn[:, known], x[:, known])
        if case.architecture.name in ("eonade", "mixed-eonade"):
            continue  # each draw is in an order of its own: the mixture's joint is not followed
        fits = (states == x[:1]).flatten(1)[:, known.flatten()].all(1)
        wanted = log_p.masked_fill(~fits, -math.inf).softmax(0)
        assert p_value(counts(drawn, case), wanted) > 1e-3
    assert completed >= 2


@pytest.mark.parametrize("name", CASES)
def test_what_unknown_places_hold_does_not_matter(name: str) -> None:
    model: Any = CASES[name].stirred()
    x = model.sample(20, generator=seeded(9))
    for known in masks(model):
        unknown = x.where(known, math.nan)
        try:
            drawn = model.complete(x, known, generator=seeded(0))
        except InvalidInput:
            continue
        assert torch.equal(drawn, model.complete(unknown, known, generator=seeded(0)))


@pytest.mark.parametrize("label", [0, 2, None])
def test_draws_of_a_class_follow_its_joint(label: int | None) -> None:
    config = {"blocks": 1, "d": 8, "classes": 3}
    every = cases("autoregressive", {"attention": [config]})
    (case,) = (case for case in every if case.architecture.name == "attention")
    model: Any = case.stirred()
    states = case.states()
    with torch.no_grad():
        p = model.log_prob(states, label).double().exp()
    drawn = model.sample(DRAWS, generator=seeded(0), label=label)
    assert p_value(counts(drawn, case), p) > 1e-3
    known = torch.arange(9).reshape(1, 3, 3) < 4
    x = drawn[:1].expand(DRAWS, 1, 3, 3)
    completed = model.complete(x, known, generator=seeded(1), label=label)
    assert torch.equal(completed[:, known], x[:, known])
    fits = (states == x[:1]).flatten(1)[:, known.flatten()].all(1)
    assert p_value(counts(completed, case), p * fits / (p * fits).sum()) > 1e-3
