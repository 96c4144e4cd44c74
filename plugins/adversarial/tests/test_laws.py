"""The conformance suite, for every architecture of this family."""

import pytest

from zoo_core.protocols import Generator
from zoo_core.testing import Case, Law, cases, table

CONFIGS = {
    "gan": [{"z": 4, "hidden": [16]}, {"z": 2, "hidden": [8, 8], "shape": [3, 2, 4]}],
    "dcgan": [
        {"shape": [1, 8, 8], "z": 4, "channels": 4},
        {"shape": [3, 28, 28], "z": 4, "channels": 2, "trunk": True},
        {"shape": [1, 16, 16], "z": 4, "channels": 4, "preset": "compact"},
    ],
    "infogan": [
        {"shape": [1, 8, 8], "z": 4, "clusters": 3, "codes": 1, "channels": 4, "hidden": 8},
        {"shape": [3, 8, 12], "z": 2, "clusters": 4, "codes": 0, "channels": 4, "hidden": 8},
        {"shape": [1, 16, 16], "z": 2, "channels": 4, "preset": "compact"},
        {"shape": [3, 16, 16], "z": 2, "clusters": 3, "channels": 4, "preset": "dcgan"},
    ],
    "progan": [{"shape": [1, 8, 8], "z": 4, "channels": [6, 4]}],
}


@pytest.mark.parametrize(("law", "case"), table(cases("adversarial", CONFIGS)))
def test_law(law: Law, case: Case) -> None:
    law(case)


@pytest.mark.parametrize("case", cases("adversarial", CONFIGS), ids=str)
def test_no_samples_are_an_empty_batch(case: Case) -> None:
    model = case.fresh()
    if isinstance(model, Generator):
        assert model.sample(0).shape == (0, *model.event_shape)
