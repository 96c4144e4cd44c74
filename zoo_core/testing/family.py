"""The laws of a family as a whole: how it is described, found, named and reached.

They check a `plugins.Family`, which may not even load; each says what keeps it.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pluggy

from zoo_core import hookspecs, loading, options, plugins, tasks
from zoo_core.errors import did_you_mean
from zoo_core.plugins import Family
from zoo_core.protocols import Generator
from zoo_core.testing.case import cases
from zoo_core.testing.law import Law, expect

__all__ = ["FAMILY_LAWS"]

_HEAVY = ("torch", "numpy", "timm", "torchvision", "matplotlib", "PIL", "lightning_fabric")
_SECONDS = 0.5
"""Processor time in which a family is to be described; a sound one takes a hundredth of it."""

_DESCRIBE = """
import json, sys, time
from zoo_core import hookspecs
import pluggy
before, start = set(sys.modules), time.process_time()
__import__(sys.argv[1])
print(json.dumps([sorted(set(sys.modules) - before), time.process_time() - start]))
"""

FAMILY_LAWS: dict[str, Law] = {}
"""Every law of a family, by name."""


def _law(check: Callable[[Family], None]) -> Law:
    FAMILY_LAWS[check.__name__] = made = Law(check, ())
    return made


@_law
def family_name_is_its_own(family: Family) -> None:
    """No other distribution claims the family's name."""
    others = ", ".join(map(str, family.rivals))
    expect(
        not family.rivals,
        f"'{family.name}' is claimed by {family} and {others}",
        "one owner: rename the entry point in pyproject.toml, or uninstall the other",
    )


@_law
def describing_imports_nothing_heavy(family: Family) -> None:
    """Describing a family imports no torch, and is quick: `zoo list` must not wait for it."""
    module = family.module.partition(":")[0]
    done = _python("-c", _DESCRIBE, module)
    expect(
        done.returncode == 0,
        f"importing {module} fails: {_last_line(done.stderr)}",
        "a module that imports alone",
    )
    imported, seconds = json.loads(done.stdout.splitlines()[-1])
    heavy = [name for name in _HEAVY if name in imported]
    expect(
        not heavy,
        f"importing {module} imports {', '.join(heavy)}",
        "none of them: name a class by its path, as 'package.module:Class', and import inside of "
        "functions",
    )
    expect(
        seconds < _SECONDS,
        f"importing {module} takes {seconds:.2f} s of processor time",
        f"less than {_SECONDS} s",
    )


@_law
def hooks_are_known(family: Family) -> None:
    """Each hook has a name that zoo calls, and takes no argument that zoo does not give."""
    known = {name for name in vars(hookspecs) if name.startswith("zoo_")}
    plugin = importlib.import_module(family.module.partition(":")[0])
    manager = pluggy.PluginManager("zoo")
    given = {
        name: value
        for name, value in vars(plugin).items()
        if manager.parse_hookimpl_opts(plugin, name) is not None
    }
    for name, hook in given.items():
        near = did_you_mean(name, known)
        expect(name in known, f"a hook named {name}", f"one of {', '.join(sorted(known))}.{near}")
        arguments = list(inspect.signature(hook).parameters)
        expect(not arguments, f"{name} asks for {', '.join(arguments)}", f"{name}() alone")
    unmarked = [n for n in vars(plugin) if n in known and n not in given]
    expect(not unmarked, f"{', '.join(unmarked)} without its mark", "@hookimpl above the function")
    expect(bool(given), "no hook", f"one of {', '.join(sorted(known))}, marked with @hookimpl")


@_law
def family_loads(family: Family) -> None:
    """The family loads in this zoo-core, and what it describes is sound."""
    error = plugins.load(family.name).error
    expect(error is None, error, "records of zoo_core.hookspecs, in versions that fit")


@_law
def names_are_its_own(family: Family) -> None:
    """No other family offers an architecture, metric, data set or task of the same name."""
    ours = plugins.load(family.name)
    for other in plugins.installed():
        if other == family.name:
            continue
        theirs = plugins.load(other)
        for kind in ("architectures", "metrics", "datasets", "tasks"):
            both = sorted(getattr(ours, kind).keys() & getattr(theirs, kind).keys())
            expect(
                not both,
                f"{kind}: {', '.join(both)} of {family} and of {theirs.family}",
                "names that no other family has: rename yours in plugin.py",
            )


@_law
def paths_can_be_imported(family: Family) -> None:
    """Each class and function that the family names by its path is there."""
    loaded = plugins.load(family.name)
    for record in loaded.architectures.values():
        plugins.import_class(record.path)
        plugins.import_class(record.trainer)
    for kind in ("metrics", "datasets", "tasks"):
        for name, record in getattr(loaded, kind).items():
            found = plugins.import_object(record.path)
            expect(callable(found), f"{name}: {record.path} is {found!r}", "a function")
    for task in loaded.tasks.values():
        _check_task(task)


def _check_task(task: hookspecs.Task) -> None:
    """A task's function is of the form that its record says."""
    function, protocol = tasks.function_of(task), plugins.import_object(task.protocol)
    tasks.options_class(task)
    try:
        isinstance(None, protocol)
    except TypeError:
        given = f"{task.name}: isinstance() does not take {task.protocol}"
        expect(False, given, "a protocol that is runtime_checkable")
    if (model := options.annotation(function, 0)) is not None:
        wanted = f"that of its record, {task.protocol}"
        expect(model == protocol, f"{task.name}: the model is annotated with {model}", wanted)


@_law
def models_are_built_from_plain_configs(family: Family) -> None:
    """Each architecture is built from a config of plain JSON values."""
    for case in cases(family.name):
        plain = json.loads(json.dumps(dict(case.config)))
        loading.build(case.cls, plain)


@_law
def commands_run(family: Family) -> None:
    """The command `zoo run` samples from weights of the family's first generator."""
    able = (case for case in cases(family.name) if isinstance(case.fresh(), Generator))
    case = next(able, None)
    if case is None:
        return
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "model.safetensors")
        loading.save(case.fresh(), weights, case.metadata())
        sampled = Path(folder, "samples.npz")
        arguments = ("run", str(weights), "-n", "2", "--seed", "0", "-q", "-o", str(sampled))
        done = _python("-m", "zoo_core", *arguments)
        sound = done.returncode == 0 and sampled.is_file()
        expect(sound, f"exit {done.returncode}: {_last_line(done.stderr)}", "exit 0 and a file")


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with this process's path: what is checked need not be installed."""
    path = os.pathsep.join(folder for folder in sys.path if folder)
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


def _last_line(text: str) -> str:
    lines: list[Any] = text.strip().splitlines()
    return str(lines[-1]) if lines else "nothing on stderr"
