"""What several processes measure together: each takes some, and all get all of it.

Batches of held-out rows are those of one process, and are put together in their order: so are the
figures. What cannot be shared out, as a figure of samples, is measured by the first process alone.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import chain
from operator import itemgetter
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from zoo_core.errors import ZooError

__all__ = ["Crew", "by_the_first", "crew", "free_port", "gather", "joined", "put_together"]

T = TypeVar("T")

_PATIENCE = timedelta(days=7)
"""One process may measure for long what is not shared."""


class Crew(NamedTuple):
    """The processes that measure, and which of them this one is."""

    rank: int = 0
    processes: int = 1

    def takes(self, number: int) -> bool:
        """Whether a batch is this process's."""
        return number % self.processes == self.rank


_ALONE = Crew()
_CREW: ContextVar[Crew] = ContextVar("crew", default=_ALONE)


def crew() -> Crew:
    """The processes that measure now; this one alone unless `joined` says otherwise."""
    return _CREW.get()


@contextmanager
def joined(rank: int, processes: int) -> Iterator[None]:
    """Join the processes at MASTER_ADDR and MASTER_PORT, which share out what is measured within.

    Raises ZooError where another one is lost.
    """
    if processes == 1:
        yield
        return
    import torch.distributed as dist

    dist.init_process_group("gloo", rank=rank, world_size=processes, timeout=_PATIENCE)
    token = _CREW.set(Crew(rank, processes))
    try:
        yield
        dist.barrier()
    except dist.DistError as error:
        raise ZooError(f"another of the {processes} processes failed: {error}.") from None
    finally:
        _CREW.reset(token)
        dist.destroy_process_group()


def put_together(own: list[tuple[int, Tensor]]) -> Tensor:
    """Values of all batches in their order, (N, ...), from those of each process.

    own: this process's, by the number of the batch.
    """
    return torch.cat(gather(own))


def gather(own: list[tuple[int, T]]) -> list[T]:
    """What all processes have, in order; the same list in each.

    own: this process's, numbered.
    """
    every = _exchanged(own)
    return [value for _, value in sorted(chain(*every), key=itemgetter(0))]


def by_the_first(measure: Callable[[], T]) -> T:
    """What the first process measures alone, while the others wait for it."""
    own: list[T] = []
    if crew().rank == 0:
        token = _CREW.set(_ALONE)
        try:
            own.append(measure())
        finally:
            _CREW.reset(token)
    return next(chain(*_exchanged(own)))


def _exchanged(own: list[T]) -> list[list[T]]:
    """The lists of all processes, by their ranks."""
    if crew().processes == 1:
        return [own]
    import torch.distributed as dist

    every: list[list[T]] = [[]] * crew().processes
    try:
        dist.all_gather_object(every, own)
    except RuntimeError as error:  # as gloo says that a connection is closed
        raise ZooError(
            f"another of the {crew().processes} processes was lost: {error}. Run the same command "
            "again."
        ) from None
    return every


def free_port() -> int:
    """A port at which processes of this machine can meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
