import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factories import FAMILY, FAMILY_OF_EXTRAS
from zoo_core import plugins
from zoo_core.errors import PluginError, UnknownName
from zoo_core.hookspecs import DataSet, Metric, Task
from zoo_core.plugins import loading

Install = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("only_test_families")


def test_a_named_family_is_the_only_one_imported(install_family: Install) -> None:
    install_family("broken", "import nonsense")
    install_family("good", FAMILY.format(name="model"))
    assert plugins.architecture("model", family="good").name == "model"
    assert plugins.architecture("good/model").name == "model"
    family, found = plugins.find("good/model")
    assert (family.name, found.name) == ("good", "model")
    assert "zoo_broken_plugin" not in sys.modules
    assert loading._load_alone.cache_info().currsize == 1


def test_two_families_that_offer_an_architecture_are_both_named(install_family: Install) -> None:
    install_family("one", FAMILY.format(name="model"))
    install_family("two", FAMILY.format(name="model"))
    with pytest.raises(PluginError) as caught:
        plugins.architecture("model")
    assert str(caught.value) == (
        "architecture 'model' is offered by 'one' (zoo-one 1.0) and 'two' (zoo-two 1.0). "
        "Name one: one/model or two/model"
    )
    assert plugins.architecture("two/model").name == "model"


def test_an_unknown_architecture_gets_near_matches(install_family: Install) -> None:
    install_family("good", FAMILY.format(name="model"))
    install_family("broken", "import nonsense")
    with pytest.raises(UnknownName) as caught:
        plugins.architecture("modl")
    assert str(caught.value) == (
        "no installed family offers an architecture 'modl'. Did you mean model? "
        "Not loaded: broken (`zoo plugins` says why). Known: model."
    )
    with pytest.raises(UnknownName) as caught:
        plugins.architecture("good/modl")
    assert str(caught.value) == (
        "family 'good' (zoo-good 1.0) has no architecture 'modl'. Did you mean model? "
        "It has: model."
    )


def test_each_kind_of_record_is_offered_by_name(install_family: Install) -> None:
    install_family("extra", FAMILY_OF_EXTRAS)
    assert plugins.offers(Metric)["mean_value"].path == "m:mean"
    assert plugins.offers(DataSet)["two-moons"].summary == "Two half circles"
    assert plugins.offers(Task)["mean"].random
    assert "median" not in plugins.offers(Task)


def test_a_family_that_fails_in_a_hook_leaves_the_others_their_hooks(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family(
        "broken", FAMILY_OF_EXTRAS.replace("return [Data", "raise OSError('x')\n    [Data")
    )
    install_family("extra", FAMILY_OF_EXTRAS)
    assert list(plugins.offers(Metric))[-1] == "mean_value"
    assert list(plugins.offers(Task))[-1] == "mean"
    assert capsys.readouterr().err.splitlines() == [
        "warning: family 'broken' (zoo-broken 1.0) did not load: OSError: x"
    ]


def test_one_name_offered_by_two_families_names_both(install_family: Install) -> None:
    install_family("extra", FAMILY_OF_EXTRAS)
    install_family("other", FAMILY_OF_EXTRAS)
    with pytest.raises(PluginError, match=r"'mean' is offered by zoo-extra 1.0 and zoo-other 1.0"):
        plugins.offers(Task)
