"""What a model can be asked to do: one file per task, each with a function `run(model, request)`.

The table below is read without importing torch; a task's module is imported when it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from zoo_core import hookspecs, plugins
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.tasks.request import Request
    from zoo_core.tasks.result import Result

__all__ = ["TASKS", "Task", "available", "choose", "default", "find", "settings"]

_TENSORS = (".npz", ".safetensors")
_PICTURES = (".png", ".gif", *_TENSORS)
_TABLE = (".csv", ".json", *_TENSORS)
_SCORES = (".csv", ".png", ".json", *_TENSORS)


@dataclass(frozen=True, slots=True)
class Task:
    """One task: where it is, which protocol it needs, what it can write."""

    module: str
    """Its name in this package; of a family's task, `package.module:function`."""
    protocol: str
    """Its name in `zoo_core.protocols`; of a family's task, `package.module:Protocol`."""
    summary: str
    """One line, no full stop."""
    for_images: tuple[str, ...]
    """Suffixes of the files that it writes for a model of images."""
    for_tables: tuple[str, ...]
    """The same for a model of tables."""
    options: tuple[str, ...] = ()
    """Options that it takes, beside those that every task has."""
    random: bool = False
    """Whether its results depend on the seed."""
    defaults: int = 1
    """How many files it writes when none is named: those of the first suffixes."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Options of its own with their defaults, which `--set` gives."""
    latents: int = 0
    """How many latents a model has to have for it; 0 where any number will do."""
    declared: bool = True
    """Whether architectures and entries say that they can; else the protocol alone decides, as for
    the tasks of families."""

    def does(self, model: nn.Module) -> bool:
        """Whether a model implements what the task needs."""
        if ":" in self.protocol:
            return isinstance(model, plugins.import_class(self.protocol))
        from zoo_core import protocols

        return isinstance(model, getattr(protocols, self.protocol))

    def suits(self, model: nn.Module) -> bool:
        """Whether a model does it, and has the latents for it."""
        return self.does(model) and self.latents in (0, getattr(model, "latent_dim", 0))

    def suffixes(self, event_shape: Collection[int]) -> tuple[str, ...]:
        """The suffixes for a model's event shape."""
        return self.for_images if len(event_shape) == 3 else self.for_tables

    def load(self) -> Callable[[nn.Module, Request], Result]:
        """Import what runs the task."""
        if ":" in self.module:
            found = plugins.import_object(self.module)
        else:
            found = import_module(f"zoo_core.tasks.{self.module}").run
        return cast("Callable[[nn.Module, Request], Result]", found)


TASKS = {
    "sample": Task(
        "sample",
        "Generator",
        "Draw samples",
        _PICTURES,
        _TABLE,
        options=("n", "label", "prompts"),
        settings={"between": 0, "truncation": 0.0},
        random=True,
    ),
    "score": Task(
        "score",
        "Scored",
        "Give nats and bits per dimension of each input",
        _SCORES,
        _SCORES,
        options=("inputs",),
        defaults=2,
    ),
    "detect": Task(
        "detect",
        "Scored",
        "Say how odd each input is beside the training distribution",
        _SCORES,
        _SCORES,
        options=("inputs", "against"),
        defaults=2,
    ),
    "complete": Task(
        "complete",
        "AnyCompleter",
        "Fill in what is missing",
        _PICTURES,
        _TABLE,
        options=("inputs", "keep", "patches", "samples"),
        random=True,
    ),
    "encode": Task(
        "encode",
        "Encoder",
        "Give the latents of each input",
        _TABLE,
        _TABLE,
        options=("inputs",),
    ),
    "reconstruct": Task(
        "reconstruct",
        "LatentVariable",
        "Encode inputs and decode them again",
        (*_PICTURES, ".csv", ".json"),
        _TABLE,
        options=("inputs",),
    ),
    "interpolate": Task(
        "interpolate",
        "Decoder",
        "Go through the latents from one input, or one draw, to the next",
        _PICTURES,
        (".csv", ".npz", ".json", ".safetensors"),
        options=("inputs", "prompts"),
        random=True,
        defaults=2,
        settings={"steps": 9, "path": "auto", "pairs": 4},
    ),
    "traverse": Task(
        "traverse",
        "Decoder",
        "Walk along each latent while the others stay",
        _PICTURES,
        _TABLE,
        options=("inputs",),
        random=True,
        settings={"rows": 10, "starts": 1},
    ),
    "manifold": Task(
        "manifold",
        "Decoder",
        "Show the plane of two latents: decoded, or inputs as dots by label",
        (".png", *_TABLE),
        _TABLE,
        options=("inputs",),
        settings={"side": 20},
        latents=2,
    ),
    "translate": Task(
        "translate",
        "Translator",
        "Draw each input again, as another domain would have it",
        _PICTURES,
        _TENSORS,
        options=("inputs", "to"),
    ),
    "features": Task(
        "features",
        "Featurizer",
        "Give what the model sees in each input, to teach a classifier from",
        _TENSORS,
        _TENSORS,
        options=("inputs",),
    ),
    "nearest": Task(
        "nearest",
        "Generator",
        "Show samples beside the nearest rows of the training data, or of inputs",
        (".png", *_TABLE),
        (".csv", ".npz", ".json", ".safetensors"),
        options=("n", "inputs", "label"),
        random=True,
        defaults=2,
        settings={"k": 4, "features": ""},
        declared=False,
    ),
}
"""Tasks by name; the first declared one that a model can do is its default."""


def find(name: str) -> Task:
    """A task of this table, or one that a family offers.

    Raises UnknownName when there is none of this name.
    """
    if name in TASKS:
        return TASKS[name]
    offers = plugins.offers(hookspecs.Task)  # only now: it loads every family
    if name not in offers:
        raise UnknownName(f"there is no task '{name}'.{did_you_mean(name, [*TASKS, *offers])}")
    record = offers[name]
    return Task(
        module=record.path,
        protocol=record.protocol,
        summary=record.summary,
        for_images=record.for_images,
        for_tables=record.for_tables,
        options=record.options,
        random=record.random,
        settings=record.settings,
    )


def settings(task: Task, name: str, given: Iterable[str]) -> dict[str, Any]:
    """The task's own options: its defaults, with what was given as `key=value` in their place.

    Raises InvalidInput for one that the task does not have, or whose value is of another type.
    """
    values = dict(task.settings)
    for assignment in given:
        key, _, text = assignment.partition("=")
        if key not in values:
            takes = ", ".join(f"{k}={v}" for k, v in task.settings.items()) or "none"
            near = did_you_mean(key, values)
            raise InvalidInput(f"--set {assignment}: {name} has no {key!r}.{near} It has {takes}.")
        values[key] = _parsed(text, values[key], assignment)
    return values


def _parsed(text: str, default: Any, assignment: str) -> Any:
    kind = type(default)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (ValueError, KeyError):
        raise InvalidInput(
            f"--set {assignment}: expected a value like the default, {default!r}."
        ) from None


def available(model: nn.Module) -> list[str]:
    """The tasks of this table whose protocol a model implements, and that are to be declared."""
    return [name for name, task in TASKS.items() if task.declared and task.does(model)]


def default(possible: Iterable[str]) -> str:
    """The task that is run when none is named: sampling, where that is possible."""
    possible = set(possible)
    for name in TASKS:
        if name in possible:
            return name
    raise InvalidInput(f"this model can do none of the tasks there are: {', '.join(TASKS)}.")


def choose(wanted: str | None, possible: Collection[str], model: str) -> str:
    """The task that was asked for, or the default one.

    Raises UnknownName for a task that there is not, and InvalidInput for one that the model cannot
    do; both list what it can.
    """
    if wanted is None:
        return default(possible)
    can = f"{model} can {', '.join(name for name in TASKS if name in possible)}."
    if wanted not in TASKS:
        if wanted not in (offers := plugins.offers(hookspecs.Task)):
            near = did_you_mean(wanted, [*TASKS, *offers])
            raise UnknownName(f"there is no task '{wanted}'.{near} {can}")
        return wanted  # whether the model can, its class tells: the record names tasks of ours
    if not TASKS[wanted].declared:
        return wanted
    if wanted not in possible:
        raise InvalidInput(f"{model} cannot {wanted}: {can}")
    return wanted
