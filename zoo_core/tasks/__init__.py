"""What a model can be asked to do: one file per task, each with a function `run(model, request)`.

The table below is read without importing torch; a task's module is imported when it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from zoo_core.errors import InvalidInput, UnknownName, did_you_mean

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.tasks.request import Request
    from zoo_core.tasks.result import Result

__all__ = ["TASKS", "Task", "available", "choose", "default"]

_TENSORS = (".npz", ".safetensors")
_PICTURES = (".png", ".gif", *_TENSORS)
_TABLE = (".csv", ".json", *_TENSORS)
_SCORES = (".csv", ".png", ".json", *_TENSORS)


@dataclass(frozen=True, slots=True)
class Task:
    """One task: where it is, which protocol it needs, what it can write."""

    module: str
    protocol: str
    """Its name in `zoo_core.protocols`."""
    summary: str
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

    def suffixes(self, event_shape: Collection[int]) -> tuple[str, ...]:
        """The suffixes for a model's event shape."""
        return self.for_images if len(event_shape) == 3 else self.for_tables

    def load(self) -> Callable[[nn.Module, Request], Result]:
        """Import what runs the task."""
        module = import_module(f"zoo_core.tasks.{self.module}")
        return cast("Callable[[nn.Module, Request], Result]", module.run)


TASKS = {
    "sample": Task(
        "sample",
        "Generator",
        "Draw samples",
        _PICTURES,
        _TABLE,
        options=("label",),
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
        "Completer",
        "Fill in what is missing",
        _PICTURES,
        _TABLE,
        options=("inputs",),
        random=True,
    ),
}
"""Tasks by name; the first one that a model can do is its default."""


def available(model: nn.Module) -> list[str]:
    """The tasks whose protocol a model implements."""
    from zoo_core import protocols

    return [
        name for name, task in TASKS.items() if isinstance(model, getattr(protocols, task.protocol))
    ]


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
        raise UnknownName(f"there is no task '{wanted}'.{did_you_mean(wanted, TASKS)} {can}")
    if wanted not in possible:
        raise InvalidInput(f"{model} cannot {wanted}: {can}")
    return wanted
