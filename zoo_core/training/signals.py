"""A run is stopped between two steps: Ctrl-C asks for it, a second one kills."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from zoo_core.errors import ZooError

__all__ = ["Interrupted", "stop_between_steps"]


class Interrupted(ZooError):
    """Training was stopped by a signal, with a checkpoint. All processes of a run raise it."""

    exit_code = 130


@contextmanager
def stop_between_steps() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT or SIGTERM into a question asked between steps; a second one kills."""
    asked = []

    def ask(number: int, frame: object) -> None:
        asked.append(number)
        signal.signal(number, previous[signal.Signals(number)])

    previous: dict[signal.Signals, Any] = {}
    with suppress(ValueError):  # signals belong to the main thread; elsewhere nothing is to do
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, ask)
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
