import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factories import FAMILY, rewrite_metadata
from zoo_core import plugins
from zoo_core.errors import PluginError
from zoo_core.plugins import discovery

Install = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("only_test_families")


def test_a_family_is_found_without_importing_it(install_family: Install) -> None:
    install_family("good", "raise SystemExit('imported')")
    family = plugins.installed()["good"]
    assert (family.distribution, family.version) == ("zoo-good", "1.0")
    assert family.module == "zoo_good_plugin"


def test_finding_agrees_with_the_standard_library(install_family: Install) -> None:
    from importlib.metadata import entry_points

    install_family("b", FAMILY.format(name="b"))
    install_family("a", FAMILY.format(name="a"), version="2.0rc1")
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
    site = install_family("good", FAMILY.format(name="good"))
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


def test_each_entry_points_file_is_read_once(
    install_family: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_family("good", "")
    read: list[Path] = []
    text_of = discovery._read

    def noted(path: Path, *unreadable: dict[str, str]) -> str:
        read.append(path)
        return text_of(path, *unreadable)

    monkeypatch.setattr(discovery, "_read", noted)
    assert "good" in plugins.installed()
    assert plugins.commands() == plugins.commands()
    points = [path for path in read if path.name == "entry_points.txt"]
    assert points
    assert len(points) == len(set(points))


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


def test_a_registry_in_a_familys_package_is_found_without_importing_it(
    install_family: Install,
) -> None:
    site = install_family("shipped", "")
    (site / "zoo_shipped").mkdir()
    (site / "zoo_shipped" / "__init__.py").write_text("raise RuntimeError")
    (site / "zoo_shipped" / "registry.toml").write_text("schema = 1")
    rewrite_metadata(site, "entry_points.txt", "zoo_shipped_plugin", "zoo_shipped.plugin")
    assert plugins.registries() == [site / "zoo_shipped" / "registry.toml"]


def test_commands_are_read_from_metadata(install_family: Install) -> None:
    site = install_family("talks", "")
    path = next(site.glob("*.dist-info")) / "entry_points.txt"
    path.write_text(path.read_text() + "[zoo.commands.v1]\nhello = zoo_talks.cli:hello\n")
    assert plugins.commands()["hello"] == ("zoo_talks.cli:hello", "zoo-talks")


def test_entry_points_that_are_no_file_are_left_out_by_name(install_family: Install) -> None:
    install_family("good", "")
    points = install_family("pipe", "") / "zoo_pipe-1.0.dist-info" / "entry_points.txt"
    points.unlink()
    os.mkfifo(points)
    discovery.forget()
    assert "good" in plugins.installed()
    assert "pipe" not in plugins.installed()
    assert discovery.unreadable() == {
        str(points): "it is a named pipe, and only regular files are read"
    }


def test_advice_to_install_is_quoted_for_the_shell() -> None:
    requirement = "zoo-x>=1'; touch x; echo '"
    advice = discovery.missing("nobody", requirement).partition("Install it: ")[2]
    assert shlex.split(advice) == ["pip", "install", requirement]
