"""The conformance suite, for every architecture of this family."""

import pytest

from zoo_core import plugins
from zoo_core.testing import Case, Law, cases, table

CONFIGS = {
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


def test_every_architecture_has_a_config() -> None:
    assert set(CONFIGS) == set(plugins.load("autoregressive").architectures)


@pytest.mark.parametrize(("law", "case"), table(cases("autoregressive", CONFIGS)))
def test_law(law: Law, case: Case) -> None:
    law(case)
