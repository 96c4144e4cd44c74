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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import pluggy

from zoo_core import environment, hookspecs
from zoo_core.errors import PluginError, UnknownName, did_you_mean
from zoo_core.hookspecs import Architecture, DataSet, Metric, Task

__all__ = [
    "SLOW",
    "Family",
    "Loaded",
    "architecture",
    "commands",
    "find",
    "import_class",
    "import_object",
    "installed",
    "load",
    "load_all",
    "missing",
    "offer",
    "offers",
    "own",
    "registries",
    "require",
]

R = TypeVar("R", Architecture, Metric, DataSet, Task)
"""A kind of record that hooks return."""

_STEM = hookspecs.GROUP.rstrip("0123456789")

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
    group: str = hookspecs.GROUP
    """The entry-point group that it is written for."""
    core: str = ""
    """The versions of zoo-core that it asks for, such as `>=0.1,<0.2`; empty when it names none."""

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of loading a family: what it offers, or the error that kept it from loading."""

    family: Family
    seconds: float
    architectures: dict[str, Architecture] = field(default_factory=dict)
    error: str | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    datasets: dict[str, DataSet] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)


def installed() -> dict[str, Family]:
    """Families by name, from metadata alone; `ZOO_PLUGINS` limits them."""
    found = _scan(tuple(sys.path)).families
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


def offer(kind: type[R], name: str) -> R | None:
    """Find a record by name; the core's is found without loading a family.

    kind: the class of the records: `Metric`, `DataSet` or `Task`.

    Raises PluginError when two families offer the name.
    """
    return own(kind).get(name) or offers(kind).get(name)


def own(kind: type[R]) -> dict[str, R]:
    """The records of a kind that the core itself offers, by name."""
    core = _core()
    if core.error:  # a mistake of ours
        raise PluginError(f"the core's own records: {core.error}")
    found: dict[str, R] = getattr(core, _kind_of(kind))
    return found


def _core() -> Loaded:
    """The core as a family of its own, which `ZOO_PLUGINS` cannot leave out."""
    return _load(Family("core", "zoo-core", _core_version(), "zoo_core.builtin"))


def offers(kind: type[R]) -> dict[str, R]:
    """All records of a kind, the core's first and then those of installed families, by name.

    Raises PluginError when two offer the same name.
    """
    key = _kind_of(kind)
    owners: dict[str, Loaded] = dict.fromkeys(own(kind), _core())
    for loaded in load_all():
        for name in getattr(loaded, key):
            if name in owners:
                claims = " and ".join(str(one.family) for one in (owners[name], loaded))
                raise PluginError(
                    f"'{name}' is offered by {claims}: uninstall one of them, or leave one out "
                    "with ZOO_PLUGINS."
                )
            owners[name] = loaded
    return {name: getattr(loaded, key)[name] for name, loaded in owners.items()}


def registries() -> list[Path]:
    """The `registry.toml` of each installed family's package that has one; imports none of them."""
    from importlib.util import find_spec

    found = []
    for family in installed().values():
        try:
            spec = find_spec(family.module.partition(":")[0].partition(".")[0])
        except (ImportError, ValueError):
            continue
        folders = (spec.submodule_search_locations or ()) if spec else ()
        found += [path for path in (Path(f, "registry.toml") for f in folders) if path.is_file()]
    return found


def commands() -> dict[str, tuple[str, str]]:
    """Commands that installed distributions add: name -> (`package.module:command`, distribution).

    The first one of a name on the path wins; `zoo plugin check` tells of the others.
    """
    return dict(_scan(tuple(sys.path)).commands)


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
    if family in _scan(tuple(sys.path)).families:
        return f"{_absent(family)} Add it there, or unset the variable."
    return f"{_absent(family)} Install it: pip install '{requirement}'"


def import_class(path: str) -> type:
    """Import a class by `package.module:Class`.

    Raises PluginError when the module does not import or holds no such class.
    """
    found = import_object(path)
    if not isinstance(found, type):
        raise PluginError(f"{path} is a {type(found).__name__}; expected a class.")
    return found


def import_object(path: str) -> Any:
    """Import a function or class by `package.module:name`.

    Raises PluginError when the module does not import or holds no such name.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:
        raise PluginError(
            f"cannot import {path}: {_describe(error)}. `zoo plugins` shows what is installed; "
            "ZOO_DEBUG=1 shows the traceback."
        ) from error


# Finding


class _Scan(NamedTuple):
    """What the distributions on a path add."""

    families: dict[str, Family]
    commands: dict[str, tuple[str, str]]


@functools.cache
def _scan(folders: tuple[str, ...]) -> _Scan:
    files = list(_entry_points_of_ours(folders))
    claims: dict[str, list[Family]] = {}
    for family in _families(files):
        claims.setdefault(family.name, []).append(family)
    return _Scan({name: _claimed(claims[name]) for name in sorted(claims)}, _commands(files))


def _claimed(families: list[Family]) -> Family:
    first, *rest = families
    return replace(first, rivals=tuple(rest))


def _families(files: Iterable[tuple[Path, str]]) -> Iterator[Family]:
    seen: set[str] = set()
    for folder, text in files:
        groups = re.findall(rf"^\[({re.escape(_STEM)}\d+)\]", text, re.M)
        # a distribution may be written for several groups; ours is the one that counts
        group = hookspecs.GROUP if hookspecs.GROUP in groups else "".join(groups[:1])
        points = _entry_points(text, group)
        if not points:
            continue
        name, version, core = _identity(folder)
        key = _canonical(name)
        # A distribution earlier on the path hides a later one of the same name, as in imports.
        if key not in seen:
            seen.add(key)
            for family, value in points.items():
                yield Family(family, name, version, value, group=group, core=core)


def _commands(files: Iterable[tuple[Path, str]]) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for folder, text in files:
        points = _entry_points(text, hookspecs.COMMANDS)
        if not points or (key := _canonical(_identity(folder)[0])) in seen:
            continue
        seen.add(key)
        for name, value in points.items():
            found.setdefault(name, (value, key))
    return found


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _entry_points_of_ours(folders: Iterable[str]) -> Iterator[tuple[Path, str]]:
    """The metadata folder of each distribution that names a group of ours, and its entry points."""
    for folder in dict.fromkeys(folders):
        try:
            names = sorted(os.listdir(folder or "."))  # noqa: PTH208 - thousands of names, few kept
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                text = _read(Path(folder, name, "entry_points.txt"))
                if _STEM in text or hookspecs.COMMANDS in text:
                    yield Path(folder, name), text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _entry_points(text: str, group: str) -> dict[str, str]:
    """Read the names and values of a group from an entry_points.txt."""
    if group not in text:
        return {}
    points, inside = {}, False
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == f"[{group}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            points[name.strip()] = value.partition("[")[0].strip()
    return points


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


def _absent(name: str) -> str:
    if name in _scan(tuple(sys.path)).families:
        given = ",".join(sorted(environment.plugin_names() or ()))
        return f"family '{name}' is installed, but ZOO_PLUGINS='{given}' leaves it out."
    return f"family '{name}' is not installed."


# Loading


@functools.cache
def _load(family: Family) -> Loaded:
    if family.rivals:
        owners = " and ".join(str(claim) for claim in (family, *family.rivals))
        return Loaded(family, 0.0, error=f"claimed by {owners}; uninstall all but one")
    if trouble := _incompatible(family):
        return Loaded(family, 0.0, error=trouble)
    start = time.perf_counter()
    records: dict[str, dict[str, Any]] = {}
    error = None
    try:
        # A plugin that prints must not end up inside `--json`.
        with contextlib.redirect_stdout(sys.stderr):
            records = _records(_import(family.module), family)
    except (Exception, SystemExit) as failure:
        if environment.debug():
            import traceback

            traceback.print_exc()
        error = _describe(failure)
    return Loaded(family, time.perf_counter() - start, error=error, **records)


def _incompatible(family: Family) -> str | None:
    """Say why this zoo-core cannot run a family, and which versions fit."""
    ours = _core_version()
    other = f"install another version of {family.distribution}"
    if family.group != hookspecs.GROUP:
        fits = f" It fits zoo-core{family.core}." if family.core else ""
        return (
            f"written for the group {family.group}, and zoo-core {ours} reads {hookspecs.GROUP}."
            f"{fits} Run: pip install 'zoo-core{family.core}', or {other}"
        )
    if not (family.core and ours):
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        if SpecifierSet(family.core).contains(ours, prereleases=True):
            return None
    except InvalidSpecifier:  # a direct reference names no range
        return None
    return (
        f"needs zoo-core{family.core}, and zoo-core {ours} is installed. "
        f"Run: pip install 'zoo-core{family.core}', or {other}"
    )


def _core_version() -> str:
    """The version of zoo-core, or nothing where it was never installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("zoo-core")
    except PackageNotFoundError:
        return ""


def _import(value: str) -> ModuleType:
    module, _, attribute = value.partition(":")
    plugin = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        plugin = getattr(plugin, part)
    return plugin


_KINDS: dict[str, type] = {
    "architectures": Architecture,
    "metrics": Metric,
    "datasets": DataSet,
    "tasks": Task,
}
"""What the hooks describe: `zoo_architectures` returns `Architecture` records, and so on."""


def _kind_of(record: type) -> str:
    return next(kind for kind, cls in _KINDS.items() if cls is record)


_PLACES: dict[type, tuple[str, ...]] = {
    Architecture: ("path", "trainer"),
    Task: ("path", "protocol"),
}
"""Fields that name a class or function; of the other kinds it is `path`."""


def _records(plugin: ModuleType, family: Family) -> dict[str, dict[str, Any]]:
    """What each hook of a plugin describes: kind -> name -> record."""
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name=family.name)
    _check_hooks(manager, plugin)
    found: dict[str, dict[str, Any]] = {kind: {} for kind in _KINDS}
    for kind, records in found.items():
        for answer in getattr(manager.hook, f"zoo_{kind}")():
            for record in answer:
                _check_record(record, kind)
                if record.name in records:
                    raise PluginError(
                        f"describes {_KINDS[kind].__name__.lower()} '{record.name}' twice"
                    )
                records[record.name] = record
    return found


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


def _check_record(record: Any, kind: str) -> None:
    expected = _KINDS[kind]
    if not isinstance(record, expected):
        raise PluginError(
            f"zoo_{kind}() gave {type(record).__name__} {record!r}; "
            f"expected zoo_core.hookspecs.{expected.__name__} records"
        )
    name: object = getattr(record, "name")  # noqa: B009 - each kind of record has one
    what = expected.__name__.lower()
    form = ("[a-z][a-z0-9_]*", "lower case, digits and underscores")
    if kind != "metrics":
        form = ("[a-z0-9][a-z0-9-]*", "lower case, digits and hyphens")
    _check_form(f"{what}'s name", name, *form)
    for key in _PLACES.get(expected, ("path",)):
        of = "Class" if expected is Architecture or key == "protocol" else "function"
        place = (r"[\w.]+:\w+", f"package.module:{of}")
        _check_form(f"{what}'s {key}", getattr(record, key), *place)
    for key in ("tasks", "options", "for_images", "for_tables"):
        given = getattr(record, key, ())
        if not isinstance(given, tuple) or not all(isinstance(item, str) for item in given):
            raise PluginError(f"{what} '{name}': {key} is {given!r}; expected a tuple of names")
    if isinstance(record, Metric) and not isinstance(record.protocol, Mapping):
        raise PluginError(f"{what} '{name}': protocol is {record.protocol!r}; expected a table")


def _check_form(what: str, given: object, pattern: str, expected: str) -> None:
    if not isinstance(given, str) or not re.fullmatch(pattern, given):
        raise PluginError(f"{what} is {given!r}; expected {expected}")


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
