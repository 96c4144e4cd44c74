"""The conformance suite: one table of cases and laws, for every plugin to run.

A family's tests need no more than this, which the pytest plugin of `zoo-core[testing]` fills in:

    @pytest.mark.zoo_family("my-family")
    def test_law(law: Law, case: Case) -> None:
        law(case)

With several configs an architecture, `table(cases("my-family", CONFIGS))` gives the parameters.
Outside of pytest, `zoo plugin check` does the same.
"""

# each registers its laws in LAWS
from zoo_core.testing import exports, given, laws, learning, weights
from zoo_core.testing.case import SHAPE, Case, cases
from zoo_core.testing.check import Verdict, check
from zoo_core.testing.family import FAMILY_LAWS
from zoo_core.testing.law import LAWS, Law, LawBroken, LawSkipped, applies, expect, p_value, table

__all__ = [
    "FAMILY_LAWS",
    "LAWS",
    "SHAPE",
    "Case",
    "Law",
    "LawBroken",
    "LawSkipped",
    "Verdict",
    "applies",
    "cases",
    "check",
    "expect",
    "exports",
    "given",
    "laws",
    "learning",
    "p_value",
    "table",
    "weights",
]
