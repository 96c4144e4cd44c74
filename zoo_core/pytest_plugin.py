"""The conformance suite as a pytest plugin, the part of `zoo-core[testing]` that pytest loads.

    @pytest.mark.zoo_family("my-family")
    def test_law(law, case):
        law(case)

Every pytest run in an environment with zoo-core imports this module: the suite, and torch with it,
is imported only for a test that is so marked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["pytest_configure", "pytest_generate_tests"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line(
        "markers", "zoo_family(name): run as (law, case) for every law of zoo's conformance suite"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a marked test its laws and cases; a family that does not load meets its own laws."""
    mark = metafunc.definition.get_closest_marker("zoo_family")
    if mark is None:
        return
    import pytest

    from zoo_core import plugins
    from zoo_core.testing import FAMILY_LAWS, cases, table

    (name,) = mark.args
    loaded = plugins.load(name)
    rows = [
        pytest.param(law, loaded.family, id=f"{law.name}-{name}") for law in FAMILY_LAWS.values()
    ]
    if not loaded.error:
        rows += table(cases(name))
    metafunc.parametrize(("law", "case"), rows)
