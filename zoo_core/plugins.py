"""Finds families by their entry points and loads each alone, so that one cannot harm the others.

Finding reads the metadata that installers write beside each package (PyPA's "recording installed
projects" layout) and imports nothing. The standard library's reader gives the same answer, but
importing it takes longer than all the rest of `zoo list`.
"""

import contextlib
import functools
import importlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType

import pluggy

from zoo_core import environment, hookspecs
from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.hookspecs import Architecture

__all__ = [
    "SLOW",
    "Family",
    "Loaded",
    "architecture",
    "find",
    "import_class",
    "installed",
    "load",
    "load_all",
    "missing",
    "require",
]

SLOW = 1.0
"""Seconds from which loading a family is worth a line on stderr."""


@dataclass(frozen=True, slots=True)
class Family:
    """An installed family, as its distribution's metadata describe it."""

    name: str
    distribution: str
    version: str
    module: str
    rivals: tuple["Family", ...] = ()
    """Other distributions that claim the same name; none of them is loaded."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading a family: its architectures, or the error that kept it from loading."""

    family: Family
    seconds: float
    architectures: dict[str, Architecture] = field(default_factory=dict)
    error: str | None = None


def installed() -> dict[str, Family]:
    """Families by name, from metadata alone; `ZOO_PLUGINS` limits them."""
    found = _scan(tuple(sys.path))
    wanted = environment.plugin_names()
    if wanted is None:
        return dict(found)
    return {name: family for name, family in found.items() if name in wanted}


def load(name: str) -> Loaded:
    """Load one family; what goes wrong inside it is reported in the result's `error`.

    Raises PluginError when no family has this name.
    """
    families = installed()
    if name not in families:
        raise PluginError(_absent(name) + did_you_mean(name, families))
    return _load(families[name])


def load_all() -> list[Loaded]:
    """Load every installed family; one that fails or is slow costs a line on stderr."""
    everything = [_load(family) for family in installed().values()]
    for loaded in everything:
        _tell(loaded)
    return everything


def architecture(name: str, family: str | None = None) -> Architecture:
    """Find an architecture by name, or by `family/name`; with a family only that one is imported.

    Raises PluginError when the family does not load or two families claim the name, and UnknownName
    when none has it.
    """
    return find(name, family)[1]


def find(name: str, family: str | None = None) -> tuple[Family, Architecture]:
    """Find an architecture as `architecture` does, and the family that offers it."""
    if family is None and "/" in name:
        family, _, name = name.partition("/")
    owner = _owned(name, family) if family is not None else _unowned(name)
    return owner.family, owner.architectures[name]


def require(family: str, requirement: str) -> Family:
    """Check that a family is installed in a version that fits, and return it.

    Args:
        family: entry-point name, such as `autoregressive`.
        requirement: distribution and version range, such as `zoo-autoregressive>=0.1,<0.2`.

    Raises PluginError that says what to install.
    """
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found = installed().get(family)
    if found is None:
        raise PluginError(missing(family, requirement))
    advice = f"pip install '{requirement}'"
    try:
        wanted = Requirement(requirement)
    except InvalidRequirement as error:
        raise PluginError(
            f"'{requirement}' is not a distribution with a version range ({error}); "
            "expected something like 'zoo-autoregressive>=0.1,<0.2'."
        ) from None
    if canonicalize_name(wanted.name) != canonicalize_name(found.distribution):
        raise PluginError(
            f"family '{family}' comes from {found} here, and '{requirement}' is needed. "
            f"Replace it: pip uninstall {found.distribution} && {advice}"
        )
    if not wanted.specifier.contains(found.version, prereleases=True):
        raise PluginError(f"{found} is installed, and '{requirement}' is needed. Run: {advice}")
    return found


def missing(family: str, requirement: str) -> str:
    """Say why a family is not among the installed ones, and what to do."""
    if family in _scan(tuple(sys.path)):
        return f"{_absent(family)} Add it there, or unset the variable."
    return f"{_absent(family)} Install it: pip install '{requirement}'"


def import_class(path: str) -> type:
    """Import a class by `package.module:Class`.

    Raises PluginError when the module does not import or holds no such class.
    """
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise PluginError(
            f"cannot import {path}: {_describe(error)}. `zoo plugins` shows what is installed; "
            "ZOO_DEBUG=1 shows the traceback."
        ) from error
    if not isinstance(found, type):
        raise PluginError(f"{path} is a {type(found).__name__}; expected a class.")
    return found


# Finding


@functools.cache
def _scan(folders: tuple[str, ...]) -> dict[str, Family]:
    claims: dict[str, list[Family]] = {}
    for family in _families(folders):
        claims.setdefault(family.name, []).append(family)
    return {name: _claimed(claims[name]) for name in sorted(claims)}


def _claimed(families: list[Family]) -> Family:
    first, *rest = families
    return replace(first, rivals=tuple(rest))


def _families(folders: Iterable[str]) -> Iterator[Family]:
    seen: set[str] = set()
    for folder in _metadata_folders(folders):
        points = _entry_points(_read(folder / "entry_points.txt"))
        if not points:
            continue
        name, version = _identity(folder)
        key = re.sub(r"[-_.]+", "-", name).lower()
        # A distribution earlier on the path hides a later one of the same name, as in imports.
        if key not in seen:
            seen.add(key)
            yield from (Family(family, name, version, value) for family, value in points.items())


def _metadata_folders(folders: Iterable[str]) -> Iterator[Path]:
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208 - thousands of names, few kept
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                yield Path(folder, name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entry_points(text: str) -> dict[str, str]:
    """Read the names and values of our group from an entry_points.txt."""
    if hookspecs.GROUP not in text:
        return {}
    points, inside = {}, False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{hookspecs.GROUP}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            points[name.strip()] = value.partition("[")[0].strip()
    return points


def _identity(folder: Path) -> tuple[str, str]:
    """Read a distribution's name and version; the folder's own name is the fallback."""
    stem = folder.name.rpartition(".")[0].split("-")
    name, version = stem[0], stem[1] if len(stem) > 1 else "unknown"
    header = (_read(folder / "METADATA") or _read(folder / "PKG-INFO")).partition("\n\n")[0]
    fields = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
    return fields.get("Name", name).strip(), fields.get("Version", version).strip()


def _absent(name: str) -> str:
    if name in _scan(tuple(sys.path)):
        given = ",".join(sorted(environment.plugin_names() or ()))
        return f"family '{name}' is installed, but ZOO_PLUGINS='{given}' leaves it out."
    return f"family '{name}' is not installed."


# Loading


@functools.cache
def _load(family: Family) -> Loaded:
    if family.rivals:
        owners = " and ".join(str(claim) for claim in (family, *family.rivals))
        return Loaded(family, 0.0, error=f"claimed by {owners}; uninstall all but one")
    start = time.perf_counter()
    architectures: dict[str, Architecture] = {}
    error = None
    try:
        # A plugin that prints must not end up inside `--json`.
        with contextlib.redirect_stdout(sys.stderr):
            architectures = _architectures(_import(family.module), family)
    except (Exception, SystemExit) as failure:
        if environment.debug():
            import traceback

            traceback.print_exc()
        error = _describe(failure)
    return Loaded(family, time.perf_counter() - start, architectures, error)


def _import(value: str) -> ModuleType:
    module, _, attribute = value.partition(":")
    plugin = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        plugin = getattr(plugin, part)
    return plugin


def _architectures(plugin: ModuleType, family: Family) -> dict[str, Architecture]:
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=family.name)
    _check_hooks(manager, plugin)
    records: dict[str, Architecture] = {}
    for answer in manager.hook.zoo_architectures():
        for record in answer:
            _check_record(record)
            if record.name in records:
                raise PluginError(f"describes architecture '{record.name}' twice")
            records[record.name] = record
    return records


def _check_hooks(manager: pluggy.PluginManager, plugin: ModuleType) -> None:
    hooks = [name for name in dir(hookspecs) if name.startswith("zoo_")]
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise PluginError(f"implements no hook; mark one of {', '.join(hooks)} with @hookimpl")
    for caller in callers:
        if caller.name not in hooks:
            raise PluginError(
                f"implements unknown hook '{caller.name}'.{did_you_mean(caller.name, hooks)}"
            )
    manager.check_pending()


def _check_record(record: object) -> None:
    if not isinstance(record, Architecture):
        raise PluginError(
            f"zoo_architectures() gave {type(record).__name__} {record!r}; "
            "expected zoo_core.hookspecs.Architecture records"
        )
    _check_form("name", record.name, r"[a-z0-9][a-z0-9-]*", "lower case, digits and hyphens")
    _check_form("path", record.path, r"[\w.]+:\w+", "package.module:Class")
    _check_form("trainer", record.trainer, r"[\w.]+:\w+", "package.module:Class")
    if not isinstance(record.tasks, tuple) or not all(isinstance(t, str) for t in record.tasks):
        raise PluginError(
            f"architecture '{record.name}': tasks is {record.tasks!r}; expected a tuple of names"
        )


def _check_form(field_name: str, given: object, pattern: str, expected: str) -> None:
    if not isinstance(given, str) or not re.fullmatch(pattern, given):
        raise PluginError(f"architecture's {field_name} is {given!r}; expected {expected}")


def _describe(error: BaseException) -> str:
    """Describe an error in one line; a PluginError of ours speaks for itself."""
    text = " ".join(str(error).split())
    return text if isinstance(error, PluginError) else f"{type(error).__name__}: {text}"


_told: set[Family] = set()


def _tell(loaded: Loaded) -> None:
    """Write what went wrong with a family to stderr, once."""
    family, trouble = loaded.family, None
    if loaded.error:
        trouble = f"did not load: {loaded.error}"
    elif loaded.seconds > SLOW:
        trouble = f"took {loaded.seconds:.1f} s to load"
    if trouble and family not in _told:
        _told.add(family)
        sys.stderr.write(f"warning: family '{family.name}' ({family}) {trouble}\n")


# Architectures


def _owned(name: str, family: str) -> Loaded:
    loaded = load(family)
    if loaded.error:
        raise PluginError(f"family '{family}' ({loaded.family}) did not load: {loaded.error}")
    if name not in loaded.architectures:
        raise UnknownName(
            f"family '{family}' ({loaded.family}) has no architecture '{name}'."
            f"{did_you_mean(name, loaded.architectures)}"
            f" It has: {', '.join(loaded.architectures) or 'none'}."
        )
    return loaded


def _unowned(name: str) -> Loaded:
    everything = load_all()
    owners = [loaded for loaded in everything if name in loaded.architectures]
    if not owners:
        raise UnknownName(_unknown(name, everything))
    if len(owners) > 1:
        names = " and ".join(f"'{o.family.name}' ({o.family})" for o in owners)
        forms = " or ".join(f"{o.family.name}/{name}" for o in owners)
        raise PluginError(f"architecture '{name}' is offered by {names}. Name one: {forms}")
    return owners[0]


def _unknown(name: str, everything: list[Loaded]) -> str:
    known = [known for loaded in everything for known in loaded.architectures]
    broken = [loaded.family.name for loaded in everything if loaded.error]
    text = f"no installed family offers an architecture '{name}'.{did_you_mean(name, known)}"
    if broken:
        text += f" Not loaded: {', '.join(broken)} (`zoo plugins` says why)."
    return text + f" Known: {', '.join(sorted(known)) or 'none'}."
