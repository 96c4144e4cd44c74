from collections.abc import Callable
from pathlib import Path

import pytest

from factories import FAMILY_OF_EXTRAS
from zoo_core import plugins
from zoo_core.errors import PluginError
from zoo_core.hookspecs import DataSet

Install = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("only_test_families")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            ("mean_value", "mean-value"),
            "metric's name is 'mean-value'; expected lower case, digits",
        ),
        (
            ("m:moons", "moons"),
            "dataset 'two-moons': path is 'moons'; expected package.module:function",
        ),
        (
            ('"The mean"', '"The mean", protocol=3'),
            "metric 'mean_value': protocol is 3; expected a table",
        ),
        (("m:Proto", "Proto"), "task 'mean': protocol is 'Proto'; expected package.module:Class"),
        (('(".png",)', '".png"'), "task 'mean': for_images is '.png'; expected a tuple of names"),
        (("random=True", "settings={}"), "task 'mean': options and settings are no longer fields"),
        (("random=True", "options=('n',)"), "make m:run a function (model, options, context)"),
        (
            ("[Metric", "[1, Metric"),
            "zoo_metrics() gave int 1; expected a list of zoo_core.hookspecs.Metric",
        ),
    ],
)
def test_what_is_wrong_with_a_record_is_said(
    install_family: Install, change: tuple[str, str], text: str
) -> None:
    install_family("extra", FAMILY_OF_EXTRAS.replace(*change))
    assert text in str(plugins.load("extra").error)


def test_a_wrong_record_is_refused_on_its_authors_line(install_family: Install) -> None:
    with pytest.raises(PluginError, match=r"^dataset's name is 'Two'; expected lower case"):
        DataSet("Two", "m:moons", "Two half circles")
    site = install_family("extra", FAMILY_OF_EXTRAS.replace("two-moons", "Two"))
    line = FAMILY_OF_EXTRAS.splitlines().index(
        '    return [DataSet("two-moons", "m:moons", "Two half circles")]'
    )
    place = f"{site / 'zoo_extra_plugin.py'}, line {line + 1}"
    assert str(plugins.load("extra").error).endswith(f"hyphens and underscores. ({place})")
