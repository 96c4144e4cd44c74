"""What a model can do: one file per task, each a function `(model, options, context)`.

A task is described by its record, a `zoo_core.hookspecs.Task`: the core's in `zoo_core.builtin`,
those of families in their plugins. Everything here works from that record. A task's module is
imported for its options too, so the core's import torch in functions only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from zoo_core import plugins
from zoo_core.errors import InvalidInput, PluginError, UnknownName, did_you_mean
from zoo_core.hookspecs import Task

if TYPE_CHECKING:
    from zoo_core.options import Option
    from zoo_core.registry import Entry
    from zoo_core.tasks.result import Result

__all__ = [
    "able",
    "build_options",
    "choose",
    "find",
    "first",
    "function_of",
    "implements",
    "of_entry",
    "options_class",
    "options_of",
    "records",
    "suffixes",
    "unknown_option",
]

_GENERAL = (
    *("model", "name", "task", "seed", "device", "dtype", "output", "outputs", "force", "set"),
    *("batch_size", "part_rows", "part_suffix", "devices", "data_root", "json", "as_json"),
    *("engine", "quiet", "help", "-t", "-o", "-f", "-q", "-h"),
)
"""Names and flags that mean the same for every task."""


def find(name: str) -> Task:
    """The record of a task: the core's, or one that a family offers.

    Raises UnknownName when there is none of this name.
    """
    record = plugins.offer(Task, name)
    if record is None:
        near = did_you_mean(name, plugins.offers(Task))
        raise UnknownName(f"there is no task '{name}'.{near}")
    return record


def function_of(record: Task) -> Callable[..., Result]:
    """Import the function of a task, and check it against its record.

    Raises PluginError for a function of another form.
    """
    function = plugins.import_object(record.path)
    parameters = list(inspect.signature(function).parameters) if callable(function) else []
    if len(parameters) != 3:
        raise PluginError(
            f"the task {record.name}: {record.path} takes ({', '.join(parameters)}); expected a "
            "function (model, options, context), its second parameter annotated with the frozen "
            "dataclass of its options."
        )
    found: Callable[..., Result] = function
    return found


@cache
def options_class(record: Task) -> type:
    """The dataclass of a task's options: the annotation of its function's second parameter.

    Raises PluginError where that is none, or holds an option that means the same for every task.
    """
    from zoo_core import options  # not where entries are listed

    where = f"the task {record.name}: {record.path}"
    try:
        cls = options.options_class(function_of(record))
    except TypeError as error:
        raise PluginError(f"{where}: {error}.") from error
    if cls is None or not _is_frozen(cls):
        raise PluginError(
            f"{where}: expected a second parameter that is annotated with a frozen dataclass, "
            "whose fields are the task's options."
        )
    taken = [name for each in options.read(cls).values() for name in (each.name, *each.flags)]
    if clash := next((name for name in taken if name.removeprefix("--") in _GENERAL), None):
        raise PluginError(f"{where}: the option '{clash}' belongs to every task. Rename it.")
    return cls


def options_of(record: Task) -> dict[str, Option]:
    """The options of a task by name."""
    from zoo_core import options

    return options.read(options_class(record))


def build_options(record: Task, settings: Mapping[str, object], model: object) -> Any:
    """The options of a task from keywords, every one checked.

    model: messages name those of its tasks that take an option which this one lacks.

    Raises InvalidInput for an option that the task does not have, or a value that does not fit.
    """
    from zoo_core.options import build

    for name in settings:
        if name not in options_of(record):
            raise unknown_option(record, name, able(model))
    return build(options_class(record), settings, f"the task {record.name}")


def suffixes(record: Task, model: object) -> tuple[str, ...]:
    """The suffixes of the files that a task writes for a model, the default first."""
    images = len(getattr(model, "event_shape", ())) == 3
    return record.for_images if images else record.for_tables


def implements(record: Task, model: object) -> bool:
    """Whether a model implements the protocol of a task; its config may still rule the task out."""
    return isinstance(model, plugins.import_object(record.protocol))


def able(model: object) -> tuple[str, ...]:
    """The tasks that a model can do, from its class and its config, the default first.

    This is the one answer: a registry remembers it, and a test compares.
    """
    return tuple(name for name, record in plugins.offers(Task).items() if not _lacks(record, model))


def of_entry(entry: Entry) -> tuple[str, ...]:
    """What `able` says of an entry's model, known from the registry alone: no model is imported."""
    offers = records(entry.tasks)
    held = {offers[name].protocol for name in entry.tasks if name in offers}
    implied = {
        name
        for name, record in offers.items()
        if record.protocol in held and not (record.declared or record.latents or record.classes)
    }
    elsewhere = (name for name in entry.tasks if name not in offers)  # of a family that is not here
    return (*(n for n in offers if n in entry.tasks or n in implied), *elsewhere)


def records(names: Collection[str]) -> dict[str, Task]:
    """The core's records by name, and those of families too where one of the names is theirs."""
    own = plugins.own(Task)
    return own if own.keys() >= set(names) else plugins.offers(Task)


def first(names: Collection[str]) -> str | None:
    """The one of some tasks that is run where none is named; None where none of them is known."""
    return next((record.name for record in _each_task() if record.name in names), None)


def choose(wanted: str | None, model: object, name: str) -> Task:
    """The record of the requested task, or of the first that the model can do.

    name: the model's, for messages.

    Raises UnknownName for an unknown task, and InvalidInput for one that the model cannot
    do; both list what it can.
    """
    if wanted is None:
        for record in _each_task():
            if not _lacks(record, model):
                return record
        raise InvalidInput(f"{name} can do none of the tasks that are installed.")
    try:
        record = find(wanted)
    except UnknownName as error:
        raise UnknownName(f"{error}{_can(name, model)}") from None
    if lacks := _lacks(record, model):
        raise InvalidInput(f"{name} cannot {wanted}: {lacks}.{_can(name, model)}")
    return record


def unknown_option(
    record: Task, word: str, able: Collection[str], others: Collection[str] = ()
) -> InvalidInput:
    """The error for an option that a task does not have; it names tasks of the model that take it.

    word: as a keyword, or as the flag that was typed.
    able: the tasks that the model can do.
    others: what else could have been meant.
    """
    takers = {other.name: each for other in _each_task() if (each := _find_option(other, word))}
    typed = word.startswith("-")
    if takers:
        word = next(iter(takers.values())).flags[0] if typed else word
        fitting = [name for name in takers if name in able]
        tasks = " or ".join(fitting or takers)
        advice = (
            f"name one that does, as {'--task ' if typed else ''}{tasks}"
            if fitting
            else f"{tasks} would, and this model cannot do that"
        )
        return InvalidInput(f"the task {record.name} does not use {word}: {advice}.")
    known = [each.flags[0] if typed else each.name for each in options_of(record).values()]
    near = did_you_mean(word, known) or did_you_mean(word, others)
    takes = ", ".join(known) or "no options of its own"
    return InvalidInput(f"the task {record.name} has no option {word}.{near} It takes {takes}.")


def _find_option(record: Task, word: str) -> Option | None:
    """The option of a task that has this name or flag."""
    try:
        known = options_of(record).values()
    except PluginError:  # of a family; it is explained when the task is run
        return None
    return next((each for each in known if word in (each.name, *each.flags)), None)


def _each_task() -> Iterator[Task]:
    """The core's tasks, and then those of families, which are loaded only when it comes to them."""
    yield from (own := plugins.own(Task)).values()
    yield from (record for name, record in plugins.offers(Task).items() if name not in own)


def _lacks(record: Task, model: object) -> str:
    """What keeps a model from a task; nothing where it can."""
    try:
        if not implements(record, model):
            from zoo_core.protocols import in_words

            return f"it needs {in_words(plugins.import_object(record.protocol))}"
    except (PluginError, TypeError) as error:  # of a family, whose protocol does not work
        return f"its protocol {record.protocol} cannot be used: {error}"
    latents = getattr(model, "latent_dim", 0)
    if record.latents not in (0, latents):
        return f"the task is for models of {record.latents} latents, and it has {latents}"
    if record.classes and not getattr(model, "classes", 0):
        return "the task is for models with classes, and it was trained without any"
    return ""


def _can(name: str, model: object) -> str:
    return f" {name} can {', '.join(able(model)) or 'do no known task'}."


def _is_frozen(cls: Any) -> bool:
    frozen: bool = cls.__dataclass_params__.frozen
    return frozen
