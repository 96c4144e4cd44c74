"""The conformance suite, for every architecture of this family."""

import pytest
import torch

from zoo_core import plugins
from zoo_core.protocols import Generator
from zoo_core.testing import Case, Law, cases, table

COLUMNS = [0, 3, 6, 1, 4, 7, 2, 5, 8]
"""The order of the suite's 3x3 images, column by column."""

CONFIGS = {
    "bernoulli": [{}],
    "categorical": [{"shape": [1, 2, 3], "levels": 3}],
    "markov": [{}, {"order": "random", "order_seed": 1}],
    "ar": [
        {"k": 2},
        {"k": 8, "order": "random", "order_seed": 1},
        {"k": 3, "tied": True},
    ],
    "chow-liu": [{}],
    "joint": [{"alpha": 0.01}],
    "fvsbn": [{}, {"order": "random", "order_seed": 1}, {"order": COLUMNS}],
    "made": [
        {"hidden": [64]},
        {"hidden": [24, 24], "direct": True, "order": "random", "order_seed": 1},
        {"hidden": [64], "masks": 3},
        {"hidden": [48, 48], "direct": True, "masks": 2, "order": "random", "order_seed": 1},
    ],
    "attention": [
        {"blocks": 2, "d": 8, "activation": "gelu"},
        {"blocks": 1, "d": 12, "h": 3, "classes": 3, "order": "random", "order_seed": 1},
        {"blocks": 1, "d": 16, "shape": [6], "levels": 3, "positions": "sinusoidal"},
        {"blocks": 1, "d": 16, "activation": "gelu", "window": 4},
        {"blocks": 1, "d": 8, "h": 2, "classes": 3, "labels": "every"},
    ],
    "eonade": [
        {"hidden": [64], "orders": 1},
        {"hidden": [64], "orders": 3, "order_seed": 1},
        {"hidden": [64, 32], "orders": 2},
    ],
    "mixed-tree": [{}, {"structure": "chain"}],
    "hidden-tree": [{"states": 6}, {"states": 3}],
    "mixed-ar": [{"k": 2}, {"k": 8, "order": "random", "order_seed": 1}],
    "mixed-fvsbn": [{}, {"order": "random", "order_seed": 1}],
    "mixed-nade": [{"hidden": 12}, {"hidden": 12, "activation": "relu", "order": "random"}],
    "mixed-attention": [
        {"blocks": 2, "d": 8},
        {"blocks": 1, "d": 12, "h": 3, "order": "random", "order_seed": 1},
    ],
    "mixed-made": [
        {"hidden": [64]},
        {"hidden": [48, 48], "order": "random", "order_seed": 1},
    ],
    "mixed-eonade": [{"hidden": [64], "orders": 1}, {"hidden": [64, 32], "orders": 3}],
    "nade": [
        {"hidden": 12},
        {"hidden": 12, "order": "random", "order_seed": 1},
        {"hidden": 12, "activation": "relu"},
        {"hidden": 12, "order": COLUMNS},
    ],
    "pixelcnn": [
        {"hidden": 4, "layers": 1, "head": 6},
        {"shape": [1, 2, 3], "levels": 4, "hidden": 4, "layers": 1, "head": 6},
        {"shape": [3, 2, 2], "hidden": 9, "layers": 1, "head": 18},
        {"shape": [3, 1, 2], "levels": 4, "hidden": 6, "layers": 1, "head": 18},
    ],
    "row-lstm": [
        {"hidden": 4, "layers": 1, "head": 6},
        {"shape": [1, 2, 3], "levels": 4, "hidden": 4, "layers": 1, "head": 6},
        {"shape": [3, 2, 2], "hidden": 9, "layers": 1, "head": 18},
        {"shape": [3, 1, 2], "levels": 4, "hidden": 6, "layers": 1, "head": 18},
    ],
    "diagonal-bilstm": [
        {"hidden": 4, "layers": 1, "head": 6},
        {"shape": [1, 2, 3], "levels": 4, "hidden": 6, "layers": 1, "head": 12},
        {"shape": [3, 2, 2], "hidden": 9, "layers": 1, "head": 18},
        {"shape": [3, 2, 1], "levels": 4, "hidden": 6, "layers": 1, "head": 24},
    ],
}

INDEPENDENT = {
    "one_batch_can_be_overfitted": "independent variables cannot tell four inputs apart",
    "earlier_variables_matter": "its variables are independent",
    "training_makes_progress": "bars and stripes, taken one pixel at a time, are coin flips",
}
SKIPS = {
    "bernoulli": INDEPENDENT,
    "categorical": INDEPENDENT,
    "markov": {"one_batch_can_be_overfitted": "a chain cannot tell four inputs apart"},
    "ar": {"one_batch_can_be_overfitted": "k variables cannot tell four inputs apart"},
    "mixed-ar": {"one_batch_can_be_overfitted": "k columns cannot tell four inputs apart"},
    "eonade": {"completion_of_any_mask_is_exact_or_refused": "it draws in random orders"},
    "mixed-eonade": {"completion_of_any_mask_is_exact_or_refused": "it draws in random orders"},
    "hidden-tree": {"one_batch_can_be_overfitted": "four rows pay for no edge of the tree"},
    "mixed-tree": {"one_batch_can_be_overfitted": "a tree cannot tell four inputs apart"},
    "chow-liu": {"one_batch_can_be_overfitted": "a tree cannot tell four inputs apart"},
}

RATES = {"eonade": 0.01, "mixed-eonade": 0.01}


def test_every_architecture_has_a_config() -> None:
    assert set(CONFIGS) == set(plugins.load("autoregressive").architectures)


@pytest.mark.parametrize(("law", "case"), table(cases("autoregressive", CONFIGS, SKIPS, RATES)))
def test_law(law: Law, case: Case) -> None:
    law(case)


@pytest.mark.parametrize("case", cases("autoregressive", CONFIGS, SKIPS), ids=str)
def test_no_inputs_have_no_nats(case: Case) -> None:
    model = case.fresh()
    nothing = torch.zeros(0, *model.event_shape)
    for method in ("log_prob", "conditionals"):
        if hasattr(model, method):
            assert len(getattr(model, method)(nothing)) == 0


@pytest.mark.parametrize("case", cases("autoregressive", CONFIGS, SKIPS), ids=str)
def test_no_samples_are_an_empty_batch(case: Case) -> None:
    model = case.fresh()
    if isinstance(model, Generator):
        assert model.sample(0).shape == (0, *model.event_shape)
