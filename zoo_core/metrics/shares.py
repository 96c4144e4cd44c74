"""Held-out rows among several processes: each measures some batches, and all get all the values.

Batches are those of one process, and are put together in their order: so are the figures.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from itertools import chain
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor

from zoo_core.errors import ZooError

__all__ = ["Crew", "crew", "free_port", "joined", "put_together"]

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
    if crew().processes == 1:
        return torch.cat([values for _, values in own])
    import torch.distributed as dist

    every: list[list[tuple[int, Tensor]]] = [[]] * crew().processes
    try:
        dist.all_gather_object(every, own)
    except RuntimeError as error:  # as gloo says that a connection is closed
        raise ZooError(
            f"another of the {crew().processes} processes was lost: {error}. Run the same command "
            "again."
        ) from None
    return torch.cat([values for _, values in sorted(chain(*every), key=itemgetter(0))])


def free_port() -> int:
    """A port at which processes of this machine can meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
