"""The conformance suite: one table of cases and laws, for every plugin to run.

A family's tests need no more than

    @pytest.mark.parametrize(("law", "case"), table(cases("autoregressive", CONFIGS)))
    def test_law(law: Law, case: Case) -> None:
        law(case)
"""

from zoo_core.testing import laws, weights  # they register themselves in LAWS
from zoo_core.testing.case import SHAPE, Case, cases
from zoo_core.testing.law import LAWS, Law, LawBroken, applies, p_value, table

__all__ = [
    "LAWS",
    "SHAPE",
    "Case",
    "Law",
    "LawBroken",
    "applies",
    "cases",
    "laws",
    "p_value",
    "table",
    "weights",
]
