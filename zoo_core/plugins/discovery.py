"""Finds families, registries and commands by entry points; imports none of them.

It reads the metadata that installers write beside each package (PyPA's "recording installed
projects" layout). The standard library's `importlib.metadata` gives the same answer, which a test
compares, and brings `email`, `csv` and `zipfile` with it: among 140 distributions a process that
imports this package and finds the families takes 91 ms of processor time, and with the standard
library's reader 141 ms (medians of 15 runs in turn).
"""

import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo_core import environment, files
from zoo_core.errors import PluginError
from zoo_core.groups import COMMANDS, GROUP
from zoo_core.text import command_line, printable, quoted

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

__all__ = [
    "Family",
    "absent",
    "commands",
    "core_version",
    "forget",
    "installed",
    "missing",
    "registries",
    "require",
    "unreadable",
]

_MAX_BYTES = 2**24
"""Of the longest file of metadata that is read."""
_STEM = GROUP.rstrip("0123456789")


@dataclass(frozen=True, slots=True)
class Family:
    """An installed family, as its distribution's metadata describe it."""

    name: str
    distribution: str
    version: str
    module: str
    rivals: tuple["Family", ...] = ()
    """Other distributions that claim the same name; none of them is loaded."""
    group: str = GROUP
    """The entry-point group that it is written for."""
    core: str = ""
    """The versions of zoo-core that it asks for, such as `>=0.1,<0.2`; empty when it names none."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


def installed() -> dict[str, Family]:
    """Families by name, from metadata alone; `ZOO_PLUGINS` limits them."""
    found = _scan(tuple(sys.path)).families
    wanted = environment.plugin_names()
    if wanted is None:
        return dict(found)
    return {name: family for name, family in found.items() if name in wanted}


def registries() -> list[Path]:
    """The `registry.toml` of each installed family's package that has one; imports none of them."""
    folders = (_folder(family.module.partition(".")[0]) for family in installed().values())
    found = (folder / "registry.toml" for folder in folders if folder)
    return [path for path in found if path.is_file()]


def folder(family: str) -> Path | None:
    """The folder of the package that describes a family, where it is installed; imports nothing.

    A wheel has `weights/` and `recipes/` in it.
    """
    found = installed().get(family)
    return _folder(found.module.partition(":")[0].rpartition(".")[0]) if found else None


@functools.cache
def _folder(package: str) -> Path | None:
    from importlib.util import find_spec

    try:
        spec = find_spec(package.partition(":")[0])
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def commands() -> dict[str, tuple[str, str]]:
    """Commands that installed distributions add: name -> (`package.module:command`, distribution).

    The first one of a name on the path wins; `zoo plugin check` names the others.
    """
    return dict(_scan(tuple(sys.path)).commands)


def require(family: str, requirement: str) -> Family:
    """Check that a family is installed in a version that fits, and return it.

    Args:
        family: entry-point name, such as `autoregressive`.
        requirement: distribution and version range, such as `zoo-autoregressive>=0.1,<0.2`.

    Raises PluginError that says what to install.
    """
    found = installed().get(family)
    if found is None:
        raise PluginError(missing(family, requirement))
    advice = command_line("pip", "install", requirement)
    try:
        wanted, versions = _parsed(requirement)
    except ValueError as error:
        raise PluginError(
            f"{quoted(requirement)} is not a distribution with a version range "
            f"({printable(error)}); "
            "expected something like 'zoo-autoregressive>=0.1,<0.2'."
        ) from None
    if _canonical(wanted) != _canonical(found.distribution):
        remove = command_line("pip", "uninstall", found.distribution)
        raise PluginError(
            f"family {quoted(family)} comes from {found} here, and {quoted(requirement)} is "
            f"needed. Replace it: {remove} && {advice}"
        )
    if not versions.contains(found.version, prereleases=True):
        raise PluginError(
            f"{found} is installed, and {quoted(requirement)} is needed. Run: {advice}"
        )
    return found


def _parsed(requirement: str) -> tuple[str, "SpecifierSet"]:
    """The distribution and the versions of a requirement.

    Raises a ValueError for another text.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    # `packaging.requirements` knows more, and takes four times as long to be imported
    if plain := re.fullmatch(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?) *([<>=!~][^;@]*)", requirement):
        with suppress(InvalidSpecifier):
            return plain[1], SpecifierSet(plain[2])
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    return wanted.name, wanted.specifier


def missing(family: str, requirement: str) -> str:
    """Say why a family is not among the installed ones, and what to do."""
    if family in _scan(tuple(sys.path)).families:
        return f"{absent(family)} Add it there, or unset the variable."
    return f"{absent(family)} Install it: {command_line('pip', 'install', requirement)}"


def absent(name: str) -> str:
    """Say whether a family is not installed, or left out by `ZOO_PLUGINS`."""
    if name in _scan(tuple(sys.path)).families:
        given = ",".join(sorted(environment.plugin_names() or ()))
        return f"family '{name}' is installed, but ZOO_PLUGINS='{given}' leaves it out."
    return f"family '{name}' is not installed."


def unreadable() -> dict[str, str]:
    """Files of entry points that cannot be read, and why: path -> reason."""
    return dict(_scan(tuple(sys.path)).unreadable)


def core_version() -> str:
    """The version of zoo-core, or nothing where it was never installed."""
    return _scan(tuple(sys.path)).core


def forget() -> None:
    """Forget what was found: the metadata are read again when needed."""
    _scan.cache_clear()


class _Scan(NamedTuple):
    """What the distributions on a path add."""

    families: dict[str, Family]
    commands: dict[str, tuple[str, str]]
    core: str
    unreadable: dict[str, str]


@functools.cache
def _scan(folders: tuple[str, ...]) -> _Scan:
    claims: dict[str, list[Family]] = {}
    commands: dict[str, tuple[str, str]] = {}
    unreadable: dict[str, str] = {}
    core = ""
    for distribution in _distributions(folders, unreadable):
        for family in _families(distribution):
            claims.setdefault(family.name, []).append(family)
        for name, value in distribution.points.get(COMMANDS, {}).items():
            commands.setdefault(name, (value, _canonical(distribution.name)))
        if _canonical(distribution.name) == "zoo-core":
            core = distribution.version
    families = {
        name: replace(first, rivals=tuple(rest)) for name, (first, *rest) in sorted(claims.items())
    }
    return _Scan(families, commands, core, unreadable)


class _Distribution(NamedTuple):
    """An installed distribution that has entry points in a group of ours."""

    name: str
    version: str
    core: str
    points: dict[str, dict[str, str]]
    """Name and value of each entry point, by group."""


def _families(distribution: _Distribution) -> Iterator[Family]:
    name, version, core, points = distribution
    groups = [group for group in points if re.fullmatch(rf"{re.escape(_STEM)}\d+", group)]
    # a distribution may be written for several groups; ours is the one that counts
    for group in [GROUP] if GROUP in groups else groups[:1]:
        for family, module in points[group].items():
            yield Family(family, name, version, module, group=group, core=core)


def _distributions(folders: Iterable[str], unreadable: dict[str, str]) -> Iterator[_Distribution]:
    """Each one that names a group of ours; the earlier on the path hides one of the same name.

    unreadable: takes the entry points that cannot be read, and why.
    """
    seen = set()
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208 - thousands of names, few kept
        except OSError:
            continue
        for info in names:
            if not info.endswith((".dist-info", ".egg-info")):
                continue
            text = _read(Path(folder, info, "entry_points.txt"), unreadable)
            if _STEM not in text and COMMANDS not in text:
                continue
            name, version, core = _identity(Path(folder, info))
            if (key := _canonical(name)) not in seen:
                seen.add(key)
                yield _Distribution(name, version, core, _entry_points(text))


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _read(path: Path, unreadable: dict[str, str] | None = None) -> str:
    try:
        return files.read_limited(path, _MAX_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        if unreadable is not None:
            unreadable[str(path)] = error.strerror or str(error)
        return ""


def _entry_points(text: str) -> dict[str, dict[str, str]]:
    """Read the names and values of each group from an entry_points.txt."""
    groups: dict[str, dict[str, str]] = {}
    points: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            points = groups.setdefault(line.strip("[]"), {})
        elif "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            points[name.strip()] = value.partition("[")[0].strip()
    return groups


def _identity(folder: Path) -> tuple[str, str, str]:
    """Read a distribution's name, version, and the versions of zoo-core that it asks for.

    The folder's own name is the fallback for the first two.
    """
    stem = folder.name.rpartition(".")[0].split("-")
    name, version = stem[0], stem[1] if len(stem) > 1 else "unknown"
    header = (_read(folder / "METADATA") or _read(folder / "PKG-INFO")).partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
    core = re.search(
        r"^Requires-Dist: (?!.*extra ==)zoo[-_.]core\b(?:\[[^]]*\])?([^;\n]*)", header, re.M | re.I
    )
    asked = core[1].strip(" ()") if core else ""
    return fields.get("Name", name).strip(), fields.get("Version", version).strip(), asked
