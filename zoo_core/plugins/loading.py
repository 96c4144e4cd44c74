"""Loads families, each alone, and remembers the outcome: one cannot harm the others.

Every family is registered with one pluggy manager, and its hooks are called apart from those of the
others: where one raises, that family is unregistered and costs a line on stderr.
"""

import contextlib
import functools
import importlib
import itertools
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from zoo_core import environment, hookspecs
from zoo_core.errors import PluginError, did_you_mean
from zoo_core.hookspecs import Architecture, DataSet, Metric, Task
from zoo_core.plugins import discovery
from zoo_core.plugins.discovery import Family, absent, core_version, installed
from zoo_core.text import command_line, printable, quoted

__all__ = [
    "SLOW",
    "Loaded",
    "core",
    "forget",
    "import_class",
    "import_object",
    "load",
    "load_all",
]

R = TypeVar("R", Architecture, Metric, DataSet, Task)
"""A kind of record that hooks return."""

SLOW = 1.0
"""Seconds from which loading a family is worth a line on stderr."""

_ALONE = threading.RLock()
"""Held while a family is loaded: several threads may ask for one at once."""

_CORE = "zoo-core"
_KINDS: dict[type[Architecture | Metric | DataSet | Task], str] = {
    Architecture: "architectures",
    Metric: "metrics",
    DataSet: "datasets",
    Task: "tasks",
}
"""What the hooks describe: `zoo_architectures` returns `Architecture` records, and so on."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The result of loading a family: what it offers, or the error."""

    family: Family
    seconds: float
    architectures: dict[str, Architecture] = field(default_factory=dict)
    error: str | None = None
    metrics: dict[str, Metric] = field(default_factory=dict)
    datasets: dict[str, DataSet] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)

    def of(self, kind: type[R]) -> dict[str, R]:
        """Its records of a kind, by name."""
        records: dict[str, R] = getattr(self, _KINDS[kind])
        return records

    @property
    def names(self) -> dict[str, list[str]]:
        """The names of what it offers: of `architectures`, `metrics`, `datasets` and `tasks`."""
        return {kind: list(getattr(self, kind)) for kind in _KINDS.values()}


def load(name: str) -> Loaded:
    """Load one family; what goes wrong inside it is reported in the result's `error`.

    Raises PluginError when no family has this name.
    """
    families = installed()
    if name not in families:
        raise PluginError(absent(name) + did_you_mean(name, families))
    return _load(families[name])


def load_all() -> list[Loaded]:
    """Load every installed family; one that fails or is slow costs a line on stderr."""
    everything = [_load(family) for family in installed().values()]
    for loaded in everything:
        _warn(loaded)
    return everything


def core() -> Loaded:
    """The core as a family of its own, which `ZOO_PLUGINS` cannot leave out."""
    return _load(Family(_CORE, _CORE, core_version(), "zoo_core.builtin"))


def forget() -> None:
    """Forget what was found and loaded, as after an installation into a running process."""
    discovery.forget()
    _load_alone.cache_clear()
    _manager.cache_clear()
    _warned.clear()


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


def _load(family: Family) -> Loaded:
    with _ALONE:
        return _load_alone(family)


@functools.cache
def _load_alone(family: Family) -> Loaded:
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
            records = _records(_import(family.module), family.name)
    except BaseException as failure:
        if _manager().has_plugin(family.name):
            _manager().unregister(name=family.name)
        if not isinstance(failure, Exception | SystemExit):  # such as Ctrl-C: no fault of it
            raise
        if environment.debug():
            import traceback

            traceback.print_exc()
        error = _describe(failure)
    return Loaded(family, time.perf_counter() - start, error=error, **records)


def _incompatible(family: Family) -> str | None:
    """Say why this zoo-core cannot run a family, and which versions fit."""
    ours = core_version()
    other = f"install another version of {family.distribution}"
    fitting = command_line("pip", "install", f"zoo-core{family.core}")
    if family.group != hookspecs.GROUP:
        fits = f" It fits zoo-core{family.core}." if family.core else ""
        return (
            f"written for the group {family.group}, and zoo-core {ours} reads {hookspecs.GROUP}."
            f"{fits} Run: {fitting}, or {other}"
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
        f"needs zoo-core{family.core}, and zoo-core {ours} is installed. Run: {fitting}, or {other}"
    )


def _import(value: str) -> ModuleType:
    module, _, attribute = value.partition(":")
    plugin = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        plugin = getattr(plugin, part)
    return plugin


@functools.cache
def _manager() -> pluggy.PluginManager:
    """The manager of all families that have loaded so far."""
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(hookspecs)
    return manager


def _records(plugin: ModuleType, name: str) -> dict[str, dict[str, Any]]:
    """Register a family; return what its hooks describe: kind -> name -> record."""
    manager = _manager()
    if twin := manager.get_name(plugin):
        raise PluginError(f"is the same module as family '{twin}'; uninstall one of them")
    manager.register(plugin, name=name)
    _check_hooks(manager, plugin)
    others = [other for other in manager.get_plugins() if other is not plugin]
    found: dict[str, dict[str, Any]] = {}
    implemented = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    for expected, kind in _KINDS.items():
        answers = manager.subset_hook_caller(f"zoo_{kind}", others)()
        if f"zoo_{kind}" in implemented and not answers:
            raise PluginError(
                f"zoo_{kind}() returned nothing; expected a list of "
                f"zoo_core.hookspecs.{expected.__name__} records, or no such hook"
            )
        found[kind] = _by_name(expected, kind, answers)
    if name != _CORE:
        _check_shadows(found)
    return found


def _by_name(expected: type[Any], kind: str, answers: Iterable[object]) -> dict[str, Any]:
    """The records of a hook's answers, by name."""
    records: dict[str, Any] = {}
    for record in itertools.chain.from_iterable(map(_list, answers)):
        if not isinstance(record, expected):
            raise PluginError(
                f"zoo_{kind}() gave {type(record).__name__} {quoted(record)}; "
                f"expected a list of zoo_core.hookspecs.{expected.__name__} records"
            )
        if record.name in records:
            raise PluginError(f"describes {expected.__name__.lower()} '{record.name}' twice")
        records[record.name] = record
    return records


def _list(answer: object) -> Iterable[Any]:
    """A hook's answer; a record that is in no list is one that is refused."""
    return answer if isinstance(answer, Iterable) else [[answer]]


def _check_shadows(found: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse names that are the core's own; it has no architectures."""
    for expected, kind in _KINDS.items():
        if expected is Architecture:
            continue
        if taken := [name for name in found[kind] if name in getattr(core(), kind)]:
            raise PluginError(
                f"describes {expected.__name__.lower()} '{taken[0]}', and zoo-core has one of this "
                "name; give it another"
            )


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


def _describe(error: BaseException) -> str:
    """Describe an error in one line; a PluginError of ours speaks for itself."""
    if isinstance(error, PluginError):
        return printable(error, None) + _line(error)
    return f"{type(error).__name__}: {printable(error)}".rstrip(": ")


def _line(error: PluginError) -> str:
    """The line of a family's own code on which a record refused its fields."""
    place, step = "", error.__traceback__
    while step is not None:
        if not step.tb_frame.f_globals.get("__name__", "").startswith("zoo_core."):
            place = f" ({step.tb_frame.f_code.co_filename}, line {step.tb_lineno})"
        step = step.tb_next
    return place


_warned: set[Family] = set()


def _warn(loaded: Loaded) -> None:
    """Write a family's error to stderr, once."""
    family, trouble = loaded.family, None
    if loaded.error:
        trouble = f"did not load: {loaded.error}"
    elif loaded.seconds > SLOW:
        trouble = f"took {loaded.seconds:.1f} s to load"
    if trouble and family not in _warned:
        _warned.add(family)
        shown = printable(f"family '{family.name}' ({family})")
        sys.stderr.write(f"warning: {shown} {printable(trouble, None)}\n")
