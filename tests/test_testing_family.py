from collections.abc import Callable
from pathlib import Path

import packaging.specifiers  # noqa: F401 - before the path changes
import pytest

from factories import failures
from zoo_core import plugins
from zoo_core.testing import FAMILY_LAWS, cases

Make = Callable[[str], Path]


@pytest.mark.parametrize("name", ["adversarial", "autoregressive", "features", "latent"])
def test_our_families_keep_the_laws_of_families(name: str) -> None:
    assert failures(name, *FAMILY_LAWS) == {}


def test_a_family_claimed_twice_is_told(
    make_family: Make, install_family: Callable[..., Path]
) -> None:
    make_family("broken")
    install_family("broken", "", distribution="another")
    (told,) = failures("broken", "family_name_is_its_own").values()
    assert "'broken' is claimed by" in told.text
    assert "another 1.0" in told.text


def test_cases_of_all_families_cover_every_architecture() -> None:
    found = {case.architecture.name for case in cases()}
    wanted = {name for loaded in plugins.load_all() for name in loaded.architectures}
    assert found == wanted


def test_a_family_that_does_not_load_is_no_empty_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    family = plugins.installed()["autoregressive"]
    monkeypatch.setattr(plugins, "load", lambda name: plugins.Loaded(family, 0.0, {}, "it broke"))
    with pytest.raises(RuntimeError, match="does not load: it broke"):
        cases("autoregressive")
