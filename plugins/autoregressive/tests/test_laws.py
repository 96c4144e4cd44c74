"""The conformance suite, for every architecture of this family."""

import pytest

from zoo_core import plugins
from zoo_core.testing import Case, Law, cases, table

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
    "fvsbn": [{}, {"order": "random", "order_seed": 1}],
    "made": [
        {"hidden": [64]},
        {"hidden": [24, 24], "direct": True, "order": "random", "order_seed": 1},
    ],
    "nade": [
        {"hidden": 12},
        {"hidden": 12, "order": "random", "order_seed": 1},
        {"hidden": 12, "activation": "relu"},
    ],
}

INDEPENDENT = {
    "one_batch_can_be_overfitted": "independent variables cannot tell four inputs apart",
    "earlier_variables_matter": "its variables are independent",
}
SKIPS = {
    "bernoulli": INDEPENDENT,
    "categorical": INDEPENDENT,
    "markov": {"one_batch_can_be_overfitted": "a chain cannot tell four inputs apart"},
    "ar": {"one_batch_can_be_overfitted": "k variables cannot tell four inputs apart"},
    "chow-liu": {"one_batch_can_be_overfitted": "a tree cannot tell four inputs apart"},
}


def test_every_architecture_has_a_config() -> None:
    assert set(CONFIGS) == set(plugins.load("autoregressive").architectures)


@pytest.mark.parametrize(("law", "case"), table(cases("autoregressive", CONFIGS, SKIPS)))
def test_law(law: Law, case: Case) -> None:
    law(case)
