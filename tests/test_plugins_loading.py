from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factories import FAMILY, rewrite_metadata
from zoo_core import plugins
from zoo_core.errors import PluginError
from zoo_core.plugins import loading

Install = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("only_test_families")


def test_loading_gives_the_architectures(install_family: Install) -> None:
    install_family("good", FAMILY.format(name="model"))
    loaded = plugins.load("good")
    assert loaded.error is None
    assert loaded.architectures["model"].tasks == ("sample",)
    assert 0 < loaded.seconds < 1


def test_a_name_that_is_not_ours_is_escaped_in_the_warning(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("\x1b[31mred", "raise ValueError")
    plugins.load_all()
    assert capsys.readouterr().err.startswith("warning: family '\\x1b[31mred' (")


def test_a_family_is_loaded_once(install_family: Install) -> None:
    install_family("good", FAMILY.format(name="model"))
    assert plugins.load("good") is plugins.load("good")


def test_what_a_plugin_prints_goes_to_stderr(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("loud", "print('hello')" + FAMILY.format(name="model"))
    assert plugins.load("loud").error is None
    assert capsys.readouterr() == ("", "hello\n")


BROKEN = [
    ("import nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
    ("raise SystemExit('bye')", "SystemExit: bye"),
    ("1 +", "SyntaxError: invalid syntax"),
    ("raise MemoryError", "MemoryError"),
    (r"raise ValueError('\x1b[31mred\n' * 1000)", r"ValueError: \x1b[31mred \x1b[31mred"),
    (
        "class Own(Exception):\n    def __str__(self): raise self\nraise Own",
        "Own: a value of type Own that cannot be shown",
    ),
    ("", "implements no hook; mark one of zoo_architectures, zoo_datasets, zoo_metrics, zoo_tasks"),
    (
        FAMILY.replace("zoo_architectures", "zoo_architecture"),
        "implements unknown hook 'zoo_architecture'. Did you mean zoo_architectures?",
    ),
    (FAMILY.replace("tures()", "tures(extra)"), "PluginValidationError: Plugin 'broken'"),
    (FAMILY.replace("return", "raise KeyError(1)\n    return"), "KeyError: 1"),
    (
        FAMILY.replace("return [Arch", "return ['x', Arch"),
        "zoo_architectures() gave str 'x'; expected",
    ),
    (
        FAMILY.replace("return [Arch", "[Arch"),
        "zoo_architectures() returned nothing; expected a list of "
        "zoo_core.hookspecs.Architecture records, or no such hook",
    ),
    (
        FAMILY.replace("return [", "return (").replace(",))]", ",)))"),
        "zoo_architectures() gave list [Architecture(name='{name}'",
    ),
    (FAMILY.replace("{name}", "Model"), "name is 'Model'; expected lower case, digits and hyphens"),
    (
        FAMILY.replace("s:O", "s.O"),
        "path is 'collections.OrderedDict'; expected package.module:Class",
    ),
    (FAMILY.replace('("sample",)', '"sample"'), "'{name}': tasks is 'sample'; expected a tuple"),
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
    install_family("twice", FAMILY.format(name="model").rstrip() + " * 2")
    assert plugins.load("twice").error == "describes architecture 'model' twice"


SHADOW = """
from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl
@hookimpl
def zoo_{kind}s():
    return [{record}]
"""


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("metric", 'Metric("test_nll", "some.where:f", "Nats")'),
        ("dataset", 'DataSet("mnist", "some.where:f", "Digits")'),
        ("task", 'Task("sample", "some.where:f", "zoo_core.protocols:Generator", "", (), ())'),
    ],
)
def test_a_family_that_takes_a_name_of_ours_is_refused_alone(
    install_family: Install, kind: str, record: str
) -> None:
    name = record.split('"')[1]
    install_family("shadow", SHADOW.format(kind=kind, record=record))
    install_family("good", FAMILY.format(name="model"))
    assert plugins.load("shadow").error == (
        f"describes {kind} '{name}', and zoo-core has one of this name; give it another"
    )
    assert plugins.architecture("model").name == "model"


def test_a_broken_family_costs_one_line_and_not_the_others(
    install_family: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install_family("broken", "import nonsense")
    install_family("good", FAMILY.format(name="model"))
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
    install_family("slow", "import time; time.sleep(0.1)" + FAMILY.format(name="model"))
    (loaded,) = plugins.load_all()
    assert loaded.error is None
    assert capsys.readouterr().err == ("warning: family 'slow' (zoo-slow 1.0) took 0.1 s to load\n")


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


def test_an_unknown_family_gets_near_matches(install_family: Install) -> None:
    install_family("good", "")
    with pytest.raises(PluginError) as caught:
        plugins.load("god")
    assert str(caught.value) == "family 'god' is not installed. Did you mean good?"


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


def test_one_module_is_one_family(install_family: Install) -> None:
    site = install_family("one", FAMILY.format(name="model"))
    rewrite_metadata(site, "entry_points.txt", "one = ", "two = zoo_one_plugin\none = ")
    errors = [loaded.error for loaded in plugins.load_all()]
    assert errors == [None, "is the same module as family 'one'; uninstall one of them"]


def test_a_family_for_another_core_says_which_versions_fit(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("late", FAMILY.format(name="model"))
    rewrite_metadata(
        site, "METADATA", "\n\n", "\nRequires-Dist: torch\nRequires-Dist: zoo-core<9,>=8\n\n"
    )
    monkeypatch.setattr(loading, "core_version", lambda: "0.1.0")
    assert plugins.load("late").error == (
        "needs zoo-core<9,>=8, and zoo-core 0.1.0 is installed. "
        "Run: pip install 'zoo-core<9,>=8', or install another version of zoo-late"
    )


def test_a_family_that_fits_this_core_loads(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("fits", FAMILY.format(name="model"))
    rewrite_metadata(site, "METADATA", "\n\n", "\nRequires-Dist: zoo-core (>=0.1,<0.2)\n\n")
    monkeypatch.setattr(loading, "core_version", lambda: "0.1.7")
    assert plugins.load("fits").error is None


def test_a_family_for_another_group_is_listed_and_says_what_fits(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("next", FAMILY.format(name="model"))
    rewrite_metadata(site, "entry_points.txt", "families.v1", "families.v2")
    rewrite_metadata(
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


def test_several_threads_load_a_family_once(install_family: Install) -> None:
    slow = "import time; time.sleep(0.2)" + FAMILY.format(name="model")
    install_family("good", slow)
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(plugins.load, ["good"] * 4))
    assert {one.error for one in loaded} == {None} and len(set(map(id, loaded))) == 1


def test_a_family_that_was_interrupted_loads_again(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_family("good", FAMILY.format(name="model"))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loading, "_check_hooks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            plugins.load("good")
    assert plugins.load("good").error is None
