import functools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import packaging.requirements  # before site-packages leaves the path
import packaging.utils  # noqa: F401 - the same
import pytest

from zoo_core import plugins
from zoo_core.errors import PluginError, UnknownName
from zoo_core.hookspecs import DataSet, Metric, Task
from zoo_core.plugins import discovery, loading

Install = Callable[..., Path]

GOOD = """
from zoo_core.hookspecs import Architecture, hookimpl

@hookimpl
def zoo_architectures():
    return [Architecture("{name}", "collections:OrderedDict", "A model", ("sample",))]
"""


@pytest.fixture(autouse=True)
def _only_test_families(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Find the families of this test alone, and forget them afterwards."""
    plain = [folder for folder in sys.path if not _has_family(folder)]
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *plain])
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        if name.endswith("_plugin"):
            del sys.modules[name]
    plugins.forget()


@functools.cache
def _has_family(folder: str) -> bool:
    return any("zoo_autoregressive" in path.name for path in Path(folder).glob("*.dist-info"))


def test_a_family_is_found_without_importing_it(install_family: Install) -> None:
    install_family("good", "raise SystemExit('imported')")
    family = plugins.installed()["good"]
    assert (family.distribution, family.version) == ("zoo-good", "1.0")
    assert family.module == "zoo_good_plugin"


def test_finding_agrees_with_the_standard_library(install_family: Install) -> None:
    from importlib.metadata import entry_points

    install_family("b", GOOD.format(name="b"))
    install_family("a", GOOD.format(name="a"), version="2.0rc1")
    theirs = {
        (point.name, point.value, point.dist.name, point.dist.version)
        for point in entry_points(group="zoo.families.v1")
        if point.dist is not None
    }
    ours = {(f.name, f.module, f.distribution, f.version) for f in plugins.installed().values()}
    assert ours == theirs
    assert len(ours) == 2


def test_a_distribution_earlier_on_the_path_hides_a_later_one(
    install_family: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("good", GOOD.format(name="good"))
    later = tmp_path / "later"
    later.mkdir()
    (later / "Zoo.Good-9.dist-info").mkdir()
    for name in ("METADATA", "entry_points.txt"):
        text = (site / "zoo_good-1.0.dist-info" / name).read_text()
        (later / "Zoo.Good-9.dist-info" / name).write_text(text.replace("zoo-good", "Zoo.Good"))
    monkeypatch.setattr(sys, "path", [*sys.path, str(later)])
    assert plugins.installed()["good"].rivals == ()
    assert plugins.installed()["good"].version == "1.0"


@pytest.mark.parametrize(
    ("given", "expected"), [("", set()), ("a", {"a"}), ("a, b", {"a", "b"}), ("c", set())]
)
def test_the_environment_limits_families(
    install_family: Install, monkeypatch: pytest.MonkeyPatch, given: str, expected: set[str]
) -> None:
    install_family("a", "")
    install_family("b", "")
    monkeypatch.setenv("ZOO_PLUGINS", given)
    assert set(plugins.installed()) == expected


def test_loading_gives_the_architectures(install_family: Install) -> None:
    install_family("good", GOOD.format(name="model"))
    loaded = plugins.load("good")
    assert loaded.error is None
    assert loaded.architectures["model"].tasks == ("sample",)
    assert 0 < loaded.seconds < 1


def test_each_entry_points_file_is_read_once(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_family("good", "")
    read: list[Path] = []
    text_of = discovery._read

    def noted(path: Path) -> str:
        read.append(path)
        return text_of(path)

    monkeypatch.setattr(discovery, "_read", noted)
    assert "good" in plugins.installed()
    assert plugins.commands() == plugins.commands()
    points = [path for path in read if path.name == "entry_points.txt"]
    assert points
    assert len(points) == len(set(points))


def test_a_family_is_loaded_once(install_family: Install) -> None:
    install_family("good", GOOD.format(name="model"))
    assert plugins.load("good") is plugins.load("good")


def test_what_a_plugin_prints_goes_to_stderr(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("loud", "print('hello')" + GOOD.format(name="model"))
    assert plugins.load("loud").error is None
    assert capsys.readouterr() == ("", "hello\n")


RECORD = 'Architecture("model", "collections:OrderedDict", "A model", ("sample",))'

BROKEN = [
    ("import nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
    ("raise SystemExit('bye')", "SystemExit: bye"),
    ("1 +", "SyntaxError: invalid syntax"),
    ("", "implements no hook; mark one of zoo_architectures, zoo_datasets, zoo_metrics, zoo_tasks"),
    (
        GOOD.replace("zoo_architectures", "zoo_architecture"),
        "implements unknown hook 'zoo_architecture'. Did you mean zoo_architectures?",
    ),
    (GOOD.replace("tures()", "tures(extra)"), "PluginValidationError: Plugin 'broken'"),
    (GOOD.replace("return", "raise KeyError(1)\n    return"), "KeyError: 1"),
    (
        GOOD.replace("return [Arch", "return ['x', Arch"),
        "zoo_architectures() gave str 'x'; expected",
    ),
    (GOOD.replace("{name}", "Model"), "name is 'Model'; expected lower case, digits and hyphens"),
    (
        GOOD.replace("s:O", "s.O"),
        "path is 'collections.OrderedDict'; expected package.module:Class",
    ),
    (GOOD.replace('("sample",)', '"sample"'), "'{name}': tasks is 'sample'; expected a tuple"),
]


@pytest.mark.parametrize(("source", "text"), BROKEN)
def test_what_is_wrong_with_a_family_is_said(
    install_family: Install, source: str, text: str
) -> None:
    install_family("broken", source.replace("{name}", "model"))
    loaded = plugins.load("broken")
    assert loaded.error is not None
    assert text.replace("{name}", "model") in loaded.error
    assert loaded.architectures == {}
    with pytest.raises(PluginError) as caught:
        plugins.architecture("model", family="broken")
    assert str(caught.value) == f"family 'broken' (zoo-broken 1.0) did not load: {loaded.error}"


def test_an_architecture_described_twice_is_an_error(install_family: Install) -> None:
    install_family("twice", GOOD.format(name="model").rstrip() + " * 2")
    assert plugins.load("twice").error == "describes architecture 'model' twice"


def test_a_broken_family_costs_one_line_and_not_the_others(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("broken", "import nonsense")
    install_family("good", GOOD.format(name="model"))
    assert plugins.architecture("model").name == "model"
    assert plugins.architecture("model").name == "model"
    assert capsys.readouterr().err == (
        "warning: family 'broken' (zoo-broken 1.0) did not load: "
        "ModuleNotFoundError: No module named 'nonsense'\n"
    )


def test_a_slow_family_costs_one_line(
    install_family: Install,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loading, "SLOW", 0.05)
    install_family("slow", "import time; time.sleep(0.1)" + GOOD.format(name="model"))
    (loaded,) = plugins.load_all()
    assert loaded.error is None
    assert capsys.readouterr().err == ("warning: family 'slow' (zoo-slow 1.0) took 0.1 s to load\n")


def test_a_named_family_is_the_only_one_imported(install_family: Install) -> None:
    install_family("broken", "import nonsense")
    install_family("good", GOOD.format(name="model"))
    assert plugins.architecture("model", family="good").name == "model"
    assert plugins.architecture("good/model").name == "model"
    family, found = plugins.find("good/model")
    assert (family.name, found.name) == ("good", "model")
    assert "zoo_broken_plugin" not in sys.modules
    assert loading._load.cache_info().currsize == 1


def test_a_debugged_failure_shows_its_traceback(
    install_family: Install,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    install_family("broken", "import nonsense")
    assert plugins.load("broken").error
    assert "Traceback" in capsys.readouterr().err


def test_two_distributions_that_claim_a_family_are_both_named(install_family: Install) -> None:
    install_family("same", "raise SystemExit", distribution="zoo-one")
    install_family("same", "raise SystemExit", distribution="zoo-two")
    assert (
        plugins.load("same").error
        == "claimed by zoo-one 1.0 and zoo-two 1.0; uninstall all but one"
    )


def test_two_families_that_offer_an_architecture_are_both_named(install_family: Install) -> None:
    install_family("one", GOOD.format(name="model"))
    install_family("two", GOOD.format(name="model"))
    with pytest.raises(PluginError) as caught:
        plugins.architecture("model")
    assert str(caught.value) == (
        "architecture 'model' is offered by 'one' (zoo-one 1.0) and 'two' (zoo-two 1.0). "
        "Name one: one/model or two/model"
    )
    assert plugins.architecture("two/model").name == "model"


def test_an_unknown_architecture_gets_near_matches(install_family: Install) -> None:
    install_family("good", GOOD.format(name="model"))
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


def test_an_unknown_family_gets_near_matches(install_family: Install) -> None:
    install_family("good", "")
    with pytest.raises(PluginError) as caught:
        plugins.load("god")
    assert str(caught.value) == "family 'god' is not installed. Did you mean good?"


def test_a_requirement_that_fits_gives_the_family(install_family: Install) -> None:
    install_family("good", "", version="1.4")
    assert plugins.require("good", "Zoo_Good>=1,<2").version == "1.4"


@pytest.mark.parametrize(
    ("family", "requirement", "text"),
    [
        ("latent", "zoo-latent>=1", "family 'latent' is not installed. Install it: pip install "),
        ("good", "zoo-good>=2", "zoo-good 1.0 is installed, and 'zoo-good>=2' is needed. Run: pip"),
        (
            "good",
            "zoo-best>=1",
            "family 'good' comes from zoo-good 1.0 here, and 'zoo-best>=1' is ",
        ),
        ("good", "zoo good", "'zoo good' is not a distribution with a version range"),
    ],
)
def test_a_requirement_that_does_not_fit_says_what_to_do(
    install_family: Install, family: str, requirement: str, text: str
) -> None:
    install_family("good", "")
    with pytest.raises(PluginError) as caught:
        plugins.require(family, requirement)
    assert text in str(caught.value)


def test_a_family_that_the_environment_leaves_out_is_named(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_family("good", "")
    monkeypatch.setenv("ZOO_PLUGINS", "other")
    with pytest.raises(PluginError) as caught:
        plugins.require("good", "zoo-good>=1")
    assert str(caught.value) == (
        "family 'good' is installed, but ZOO_PLUGINS='other' leaves it out. "
        "Add it there, or unset the variable."
    )


def test_a_class_is_imported_by_name() -> None:
    assert plugins.import_class("collections:OrderedDict").__name__ == "OrderedDict"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nonsense:A", "cannot import nonsense:A: ModuleNotFoundError: No module named 'nonsense'"),
        ("collections:Nope", "cannot import collections:Nope: AttributeError"),
        ("os:getcwd", "os:getcwd is a builtin_function_or_method; expected a class"),
    ],
)
def test_a_class_that_cannot_be_imported_is_named(path: str, text: str) -> None:
    with pytest.raises(PluginError) as caught:
        plugins.import_class(path)
    assert text in str(caught.value)


# What a family offers beside architectures


EXTRAS = """
from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl

@hookimpl
def zoo_metrics():
    return [Metric("mean_value", "m:mean", "The mean")]

@hookimpl
def zoo_datasets():
    return [DataSet("two-moons", "m:moons", "Two half circles")]

@hookimpl
def zoo_tasks():
    return [Task("mean", "m:run", "m:Proto", "Mean", (".png",), (".csv",), random=True)]
"""


def test_each_kind_of_record_is_offered_by_name(install_family: Install) -> None:
    install_family("extra", EXTRAS)
    assert plugins.offers(Metric)["mean_value"].path == "m:mean"
    assert plugins.offers(DataSet)["two-moons"].summary == "Two half circles"
    assert plugins.offers(Task)["mean"].random
    assert "median" not in plugins.offers(Task)


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
        (("[Metric", "[1, Metric"), "zoo_metrics() gave int 1; expected zoo_core.hookspecs.Metric"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(
    install_family: Install, change: tuple[str, str], text: str
) -> None:
    install_family("extra", EXTRAS.replace(*change))
    assert text in str(plugins.load("extra").error)


def test_a_wrong_record_is_refused_on_its_authors_line(install_family: Install) -> None:
    with pytest.raises(PluginError, match=r"^dataset's name is 'Two'; expected lower case"):
        DataSet("Two", "m:moons", "Two half circles")
    site = install_family("extra", EXTRAS.replace("two-moons", "Two"))
    line = EXTRAS.splitlines().index(
        '    return [DataSet("two-moons", "m:moons", "Two half circles")]'
    )
    place = f"{site / 'zoo_extra_plugin.py'}, line {line + 1}"
    assert str(plugins.load("extra").error).endswith(f"hyphens and underscores ({place})")


def test_a_family_that_fails_in_a_hook_leaves_the_others_their_hooks(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("broken", EXTRAS.replace("return [Data", "raise OSError('x')\n    [Data"))
    install_family("extra", EXTRAS)
    assert list(plugins.offers(Metric))[-1] == "mean_value"
    assert list(plugins.offers(Task))[-1] == "mean"
    assert capsys.readouterr().err.splitlines() == [
        "warning: family 'broken' (zoo-broken 1.0) did not load: OSError: x"
    ]


def test_one_module_is_one_family(install_family: Install) -> None:
    site = install_family("one", GOOD.format(name="model"))
    rewrite(site, "entry_points.txt", "one = ", "two = zoo_one_plugin\none = ")
    errors = [loaded.error for loaded in plugins.load_all()]
    assert errors == [None, "is the same module as family 'one'; uninstall one of them"]


def test_one_name_offered_by_two_families_names_both(install_family: Install) -> None:
    install_family("extra", EXTRAS)
    install_family("other", EXTRAS)
    with pytest.raises(PluginError, match=r"'mean' is offered by zoo-extra 1.0 and zoo-other 1.0"):
        plugins.offers(Task)


def rewrite(site: Path, name: str, old: str, new: str) -> None:
    path = next(site.glob("*.dist-info")) / name
    path.write_text(path.read_text().replace(old, new))


def test_a_family_for_another_core_says_which_versions_fit(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("late", GOOD.format(name="model"))
    rewrite(site, "METADATA", "\n\n", "\nRequires-Dist: torch\nRequires-Dist: zoo-core<9,>=8\n\n")
    monkeypatch.setattr(loading, "core_version", lambda: "0.1.0")
    assert plugins.load("late").error == (
        "needs zoo-core<9,>=8, and zoo-core 0.1.0 is installed. "
        "Run: pip install 'zoo-core<9,>=8', or install another version of zoo-late"
    )


def test_a_family_that_fits_this_core_loads(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("fits", GOOD.format(name="model"))
    rewrite(site, "METADATA", "\n\n", "\nRequires-Dist: zoo-core (>=0.1,<0.2)\n\n")
    monkeypatch.setattr(loading, "core_version", lambda: "0.1.7")
    assert plugins.load("fits").error is None


def test_a_family_for_another_group_is_listed_and_says_what_fits(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("next", GOOD.format(name="model"))
    rewrite(site, "entry_points.txt", "families.v1", "families.v2")
    rewrite(
        site,
        "METADATA",
        "\n\n",
        "\nRequires-Dist: zoo-core[x]; extra == 'x'\nRequires-Dist: zoo-core>=2\n\n",
    )
    monkeypatch.setattr(loading, "core_version", lambda: "0.1.0")
    error = plugins.load("next").error
    assert error is not None
    assert (
        "written for the group zoo.families.v2, and zoo-core 0.1.0 reads zoo.families.v1" in error
    )
    assert "pip install 'zoo-core>=2'" in error


def test_a_registry_in_a_familys_package_is_found_without_importing_it(
    install_family: Install,
) -> None:
    site = install_family("shipped", "")
    (site / "zoo_shipped").mkdir()
    (site / "zoo_shipped" / "__init__.py").write_text("raise RuntimeError")
    (site / "zoo_shipped" / "registry.toml").write_text("schema = 1")
    rewrite(site, "entry_points.txt", "zoo_shipped_plugin", "zoo_shipped.plugin")
    assert plugins.registries() == [site / "zoo_shipped" / "registry.toml"]


def test_commands_are_read_from_metadata(install_family: Install) -> None:
    site = install_family("talks", "")
    path = next(site.glob("*.dist-info")) / "entry_points.txt"
    path.write_text(path.read_text() + "[zoo.commands.v1]\nhello = zoo_talks.cli:hello\n")
    assert plugins.commands()["hello"] == ("zoo_talks.cli:hello", "zoo-talks")
