"""The conformance suite, for every architecture of this family."""

import pytest

from zoo_core.testing import Case, Law, cases, table

CONFIGS = {
    "vae": [
        {"z": 2, "hidden": [16]},
        {"z": [3, 2], "hidden": [[12], [8]], "prior_parts": 3},
        {"z": 2, "hidden": [16, 16], "encoder": "conv", "activation": "tanh"},
        {"z": 2, "hidden": [12], "shape": [1, 2, 3], "levels": 3},
        {"z": 2, "hidden": [12], "likelihood": "gaussian"},
        {"z": 2, "hidden": [6], "encoder": "conv", "likelihood": "gaussian-each"},
        {"z": 2, "hidden": [], "shape": [5], "likelihood": "gaussian-linear"},
    ],
    "iwae": [{"z": 2, "hidden": [16]}],
    "aae": [
        {"z": 2, "hidden": [12, 8], "dropout": 0.5},
        {"z": 2, "hidden": [12], "encoder": "gaussian", "prior": "mixture"},
        {"z": 3, "hidden": [12], "encoder": "universal", "scale": 5.0},
        {"z": 2, "hidden": [12], "prior": "swiss-roll", "classes": 4, "labels": "prior"},
        {"z": 2, "hidden": [12], "classes": 3, "labels": "decoder"},
        {"z": 2, "hidden": [12], "classes": 3},
        {"z": 2, "hidden": [12], "clusters": 3, "prior": "mixture"},
    ],
}


@pytest.mark.parametrize(("law", "case"), table(cases("latent", CONFIGS)))
def test_law(law: Law, case: Case) -> None:
    law(case)
