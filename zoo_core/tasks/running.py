"""Run a task: a model, a task's name and its options become a result that knows its provenance.

`zoo_core.run` is this; the command `zoo run` parses flags, calls it and prints.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zoo_core import loading, plugins, tasks
from zoo_core.errors import InvalidInput, PluginError
from zoo_core.loading import Source
from zoo_core.plugins.discovery import core_version
from zoo_core.registry import list_entries
from zoo_core.rules import KINDS, check_value
from zoo_core.tasks.context import Context
from zoo_core.tasks.result import Result
from zoo_core.text import command_line, hidden

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.hookspecs import Task
    from zoo_core.model import AnyModel
    from zoo_core.registry import Entry
    from zoo_core.tasks.result import Result

__all__ = ["command_of", "provenance", "random_seed", "run", "task_for"]

_NAMED = 4
"""Models that are named where one cannot do what is requested."""
_DEFAULTS = {"--device": "cpu", "--dtype": "float32", "--batch-size": 256, "--data-root": None}
"""Of the options of every task."""


def run(
    model: AnyModel | str | Path,
    task: str | None = None,
    *,
    seed: int | None = None,
    batch_size: int = 256,
    data_root: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **settings: object,
) -> Result:
    """Ask a model to do a task; return images, rows and tensors, which `result.save(path)` writes.

    model: one that was loaded; or an entry, a run folder or a weights file, which is loaded.
    task: `sample`, `interpolate`, …; None is the first that the model can do.
    seed: of everything that is random; None takes one at random, and the provenance names it.
    batch_size: samples or inputs at a time.
    data_root: folder of data sets; None for the default one.
    progress: called after each batch with the number of samples or inputs that are done, of how
        many.
    settings: the task's own options, as `steps=9`: those of `zoo run --task interpolate --help`.
        Inputs are tensors, (B, *event_shape), in [0, 1], data sets, arrays and data frames, too:
        `inputs=x`.

    Raises UnknownName for an unknown task, and InvalidInput for one that the model cannot
    do, for an option that the task does not have or for a value that does not fit.
    """
    if task is not None:
        check_value(task, KINDS[str], "task")
    loaded = loading.loaded(model)
    known = loading.info(loaded)
    record = tasks.choose(task, loaded, known.name)
    chosen = tasks.build_options(record, settings, loaded)
    context = Context.of(
        known,
        seed=random_seed() if seed is None else seed,
        batch_size=batch_size,
        data_root=data_root,
        progress=progress,
    )
    with loading.ready(loaded):
        result = tasks.function_of(record)(loaded, chosen, context)
    if not isinstance(result, Result):
        raise PluginError(
            f"the task {record.name} ({record.path}) gave {type(result).__name__}; expected a "
            "zoo_core.tasks.Result."
        )
    return replace(
        result,
        notes=(*result.notes, *context.notes),
        failed=tuple(dict.fromkeys((*result.failed, *context.failed))),
        suffixes=tasks.suffixes(record, loaded),
        provenance=_provenance(record, loaded, known, chosen, context),
    )


def task_for(origin: Entry | Source, wanted: str | None) -> Task:
    """The record of a task, for a model whose weights need not be here yet.

    What the registry lists is believed, and `run` asks the model itself; for anything else the
    model is built without weights.

    Raises PluginError for a family that is missing, and as `tasks.choose`.
    """
    plugins.require(origin.family, origin.requires)
    listed = (
        plugins.architecture(origin.architecture, origin.family).tasks
        if isinstance(origin, Source)
        else origin.tasks
    )
    if wanted in listed or (wanted is None and (wanted := tasks.first(listed))):
        return tasks.find(wanted)
    try:
        return tasks.choose(wanted, loading.blank(origin), origin.name)
    except InvalidInput as error:
        raise InvalidInput(f"{error}{_about_likelihood(wanted, origin)}") from None


def _about_likelihood(task: str | None, origin: Entry | Source) -> str:
    """Why a model that only samples cannot score, and which can; nothing of other tasks."""
    if task is None or tasks.find(task).protocol != "zoo_core.protocols:Scored":
        return ""
    data = origin.metadata.get("data") if isinstance(origin, Source) else origin.data
    able = sorted(
        (entry for entry in list_entries() if task in entry.tasks),
        key=lambda entry: entry.data != data,
    )
    names = ", ".join(entry.name for entry in able[:_NAMED])
    return (
        " It can be sampled, but has no likelihood: no probability of an input, nor a bound of one."
        + (f" Models that {task}: {names}." if names else "")
    )


def random_seed() -> int:
    """A seed, where none is given."""
    return int.from_bytes(os.urandom(8), "little") % 10**6


def _place_of(model: nn.Module) -> tuple[str, str]:
    """The device of a model and its precision, as `--device` and `--dtype` name them."""
    from zoo_core.precision import weight_of

    weight = weight_of(model)
    return str(weight.device), str(weight.dtype).removeprefix("torch.")


def _provenance(
    record: Task, model: nn.Module, known: loading.Info, chosen: object, context: Context
) -> dict[str, Any]:
    """Everything that it takes to make a result again; what is not known is left out."""
    import torch

    device, dtype = _place_of(model)
    return provenance(
        record,
        entry=known.name,
        architecture=known.architecture,
        family=known.family,
        sha256=known.sha256,
        seed=context.seed,
        device=device,
        dtype=dtype,
        engine={"torch": torch.__version__},
        command=_command(record, model, known, chosen, context),
    )


def provenance(
    record: Task, *, family: str, engine: Mapping[str, str], command: str, **known: Any
) -> dict[str, Any]:
    """What a result says of its origin; what is empty is left out.

    engine: what computed it, and its version.
    known: what else is to be said, before the versions.
    """
    import platform
    from datetime import UTC, datetime

    plugin = plugins.installed().get(family)
    made = {
        "task": record.name,
        **known,
        "engine": ", ".join(engine),
        "versions": {
            "zoo-core": core_version(),
            **({plugin.distribution: plugin.version} if plugin else {}),
            **engine,
            "python": platform.python_version(),
        },
        "command": hidden(command),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {key: value for key, value in made.items() if value != ""}


def _command(
    record: Task, model: nn.Module, known: loading.Info, chosen: object, context: Context
) -> str:
    """The `zoo run` that gives the same result; nothing where no file holds model or inputs."""
    own = [getattr(chosen, name) for name in tasks.options_of(record)]
    given = (one for value in own if isinstance(value, tuple) for one in value)
    if known.path is None or not all(isinstance(one, str | Path | int | float) for one in given):
        return ""
    name = known.entry.name if known.entry else str(known.path)
    flags = dict(zip(("--device", "--dtype"), _place_of(model), strict=True))
    default = record.name == tasks.choose(None, model, known.name).name
    return command_of(record, name, chosen, context, flags, default=default)


def command_of(
    record: Task,
    name: str,
    chosen: Any,
    context: Context,
    flags: Mapping[str, str] = MappingProxyType({}),
    *,
    default: bool = True,
) -> str:
    """The `zoo run` of a task.

    name: what names the model.
    flags: `--device` and `--dtype`, where they are known.
    default: whether the task is the one that need not be named.
    """
    words = ["zoo", "run", name, *([] if default else ["--task", record.name])]
    for each in tasks.options_of(record).values():
        if (value := getattr(chosen, each.name)) != each.default:
            words += each.words(value)
    general: dict[str, object] = {
        **flags,
        "--batch-size": context.batch_size,
        "--data-root": context.data_root,
    }
    for flag, value in general.items():
        words += [] if value == _DEFAULTS[flag] else [flag, str(value)]
    return command_line(*words, "--seed", context.seed)
