"""The processes of one run: they start together, agree on when to stop, and end together.

Fabric joins them for the arithmetic. What is here is for the day that one of them dies, or its
machine is cut off: the others would wait in a sum for half an hour, or be killed without a word.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist

import __main__
from zoo_core.errors import ZooError
from zoo_core.training.signals import Interrupted

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch import nn

__all__ = [
    "ProcessLost",
    "Votes",
    "average_gradients",
    "gather",
    "is_first",
    "share_buffers",
    "together",
]

_BEAT_SECONDS = 0.5
_SILENCE = timedelta(seconds=20)
"""From when a process that does not answer counts as lost: its machine may be cut off."""
_GRACE_BEATS = 4
"""After a failure in one process, the others may still find the same one in themselves."""
_GRACE_SECONDS = 2.0
_LEAVING_SECONDS = 10.0


class ProcessLost(ZooError):
    """Another process of the run has died, failed, or cannot be reached."""


def is_first(fabric: Fabric) -> bool:
    """Whether this process is the first of the run; known before it is launched, too."""
    return fabric.local_rank == 0 and fabric.node_rank == 0


@contextmanager
def together(fabric: Fabric, folder: Path) -> Iterator[None]:
    """Launch the processes of a run, and leave when all of them are done.

    folder: of the run; the message about a lost process names it.

    Raises ProcessLost within seconds where another process is lost. A process that cannot leave a
    computation that it shares with the lost one is ended.
    """
    others = _start_others(fabric)
    started = threading.Event()
    threading.Thread(target=_watch_start, args=(others, started), daemon=True).start()
    fabric.launch()
    if fabric.world_size == 1:
        started.set()
        yield
        return
    heart = _Heart(fabric, others, folder)
    started.set()
    try:
        yield
    except BaseException as error:
        heart.stop(failed=True)
        _leave()
        if (verdict := heart.verdict(error)) is error:
            raise
        raise verdict from error
    heart.stop()
    _leave()
    if heart.lost:
        raise heart.verdict(ProcessLost())


def gather(fabric: Fabric, value: Any) -> list[Any]:
    """The values of all processes, in the order of their ranks; the same list in each."""
    if fabric.world_size == 1:
        return [value]
    values = [None] * fabric.world_size
    dist.all_gather_object(values, value)
    return values


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Average gradients over the processes; where a part of them has one, others count as zero."""
    found = torch.tensor([float(each.grad is not None) for each in parameters])
    found = found.to(fabric.device)
    dist.all_reduce(found, dist.ReduceOp.MAX)
    gradients = []
    for parameter in compress(parameters, found.tolist()):
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        gradients.append(parameter.grad)

    def average(flat: torch.Tensor) -> None:
        dist.all_reduce(flat.div_(fabric.world_size))

    _at_once(gradients, average)


@torch.no_grad()
def share_buffers(fabric: Fabric, networks: Iterable[nn.Module]) -> None:
    """Give every process the buffers that networks have in the first one."""
    if fabric.world_size > 1:
        buffers = [each for network in networks for each in network.buffers()]
        _at_once(buffers, partial(dist.broadcast, src=0))


def _at_once(tensors: Sequence[torch.Tensor], exchange: Callable[[torch.Tensor], object]) -> None:
    """Exchange all tensors of a type at once, in place."""
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        some = [tensor for tensor in tensors if tensor.dtype == dtype]
        flat = torch.cat([tensor.flatten() for tensor in some])
        exchange(flat)
        for tensor, part in zip(some, flat.split([each.numel() for each in some]), strict=True):
            tensor.copy_(part.view_as(tensor))


class Votes:
    """What one process asks for, all do, at the same step.

    A vote is counted while the next step is computed, so it costs next to nothing.

    Args:
        fabric: launched.
    """

    def __init__(self, fabric: Fabric) -> None:
        alone = fabric.world_size == 1
        self._group: Any = None if alone else dist.new_group(backend="gloo")
        self._pending: tuple[torch.Tensor, Any] | None = None

    def count(self, vote: bool) -> bool:
        """Vote at a step; return whether any process voted for it at the step before.

        A process that is alone has its will at once.
        """
        if self._group is None:
            return vote
        decided = self.close()
        ballot = torch.tensor([float(vote)])
        self._pending = (ballot, dist.all_reduce(ballot, group=self._group, async_op=True))
        return decided

    def close(self) -> bool:
        """Count what is still to be counted: processes leave no sum half done."""
        if self._pending is None:
            return False
        (ballot, work), self._pending = self._pending, None
        work.wait()
        return bool(ballot > 0)


class _Heart:
    """A thread that adds up, twice a second, how many processes are done and how many failed.

    The sum fails when a process has died, and times out when one is cut off.

    Args:
        fabric: launched.
        others: the processes of this machine that this one has started.
        folder: of the run.
    """

    def __init__(
        self, fabric: Fabric, others: Sequence[subprocess.Popen[bytes]], folder: Path
    ) -> None:
        self.rank, self.world = fabric.global_rank, fabric.world_size
        self.local_rank = fabric.local_rank
        self.others, self.folder = others, folder
        self.lost = False
        """Whether another process died, failed or fell silent."""
        self._all_failed = False
        self._parent = os.getppid()
        self._group: Any = dist.new_group(backend="gloo", timeout=_SILENCE)
        self._state = torch.zeros(2)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def stop(self, *, failed: bool = False) -> None:
        """Say that this process is done, and wait until all are, or until one is lost."""
        self._state = torch.tensor([1.0, float(failed)])
        self._stopping.set()
        self._thread.join()

    def verdict(self, error: BaseException) -> BaseException:
        """What this process ends with: its own error, or that another one is lost.

        Where all failed, or stop because one got a signal, the first speaks for all.
        """
        if isinstance(error, ZooError) and not isinstance(error, ProcessLost):
            same = self._all_failed or isinstance(error, Interrupted)
            return SystemExit(error.exit_code) if same and self.rank else error
        # a sum with a process that is gone fails with a RuntimeError; so does a lack of memory
        own = isinstance(error, torch.OutOfMemoryError)
        if own or not (self.lost and isinstance(error, RuntimeError | ProcessLost)):
            return error
        return ProcessLost(self._sentence()) if self._speaks() else SystemExit(1)

    def _beat(self) -> None:
        for _ in self._beats():
            time.sleep(_BEAT_SECONDS)
        if self.lost and not self._stopping.wait(_GRACE_SECONDS):
            self._end()

    def _beats(self) -> Iterator[None]:
        """Add up until all are done, one is lost, or one has failed and the others had their time.

        Every process finds the same sums, so all stop at the same one.
        """
        grace = _GRACE_BEATS
        while grace:
            own = self._state.clone()
            total = own.clone()
            try:
                dist.all_reduce(total, group=self._group)
            except RuntimeError:
                self.lost = True
                return
            done, failed = (int(count) for count in total)
            self.lost = failed > int(own[1])
            self._all_failed = failed == self.world
            if done == self.world:
                return
            grace -= failed > 0
            yield

    def _end(self) -> None:
        """End this process, which is held by a computation with one that is lost."""
        if self._speaks():
            sys.stderr.write(f"error: {self._sentence()}\n")
            sys.stderr.flush()
        for process in self.others:
            process.kill()
        os._exit(ProcessLost.exit_code)

    def _speaks(self) -> bool:
        """Whether it is for this process to speak: one of each machine does.

        The second does where the first, which had started it, is dead.
        """
        for _ in range(10 if self.local_rank == 1 else 0):
            if os.getppid() != self._parent:
                return True
            time.sleep(0.1)  # a process that is killed loses its connections before its children
        return self.local_rank == 0

    def _sentence(self) -> str:
        ended = [
            f"process {rank} of {self.world} ended with code {code}"
            for rank, process in enumerate(self.others, self.rank + 1)
            if (code := process.poll())
        ]
        what = " and ".join(ended) or "another process of this run failed or cannot be reached"
        return f"{what}. Go on from the last checkpoint: zoo train --resume {self.folder}"


def _start_others(fabric: Fabric) -> list[subprocess.Popen[bytes]]:
    """Start the other processes of this machine, as Fabric would, where nothing else has.

    Fabric kills the first process, at any moment, when it sees that another one has died.
    """
    strategy: Any = fabric.strategy
    environment = getattr(strategy, "cluster_environment", None)
    if environment is None or environment.creates_processes_externally:
        return []
    os.environ |= {
        "MASTER_ADDR": environment.main_address,
        "MASTER_PORT": str(environment.main_port),
        "NODE_RANK": str(environment.node_rank()),
        "WORLD_SIZE": str(fabric.world_size),
        "LOCAL_RANK": "0",
    }
    spec = __main__.__spec__
    program = ["-m", spec.name] if spec else [str(Path(sys.argv[0]).resolve())]
    command = [sys.executable, *program, *sys.argv[1:]]
    others = [
        subprocess.Popen(command, env=os.environ | {"LOCAL_RANK": str(rank)})
        for rank in range(1, strategy.num_processes)
    ]
    atexit.register(_await, others)
    return others


def _await(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Leave none of them behind."""
    for process in processes:
        try:
            process.wait(_LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _watch_start(others: Sequence[subprocess.Popen[bytes]], started: threading.Event) -> None:
    """End this process when one that it waits for has died before they were joined."""
    parent = os.getppid()
    launched = int(os.environ.get("LOCAL_RANK", 0)) > 0
    while not started.wait(_BEAT_SECONDS):
        if any(process.poll() is not None for process in others):
            codes = ", ".join(str(process.poll()) for process in others)
            sys.stderr.write(f"error: a process of this run ended before it began ({codes}).\n")
        elif not (launched and os.getppid() != parent):
            continue
        sys.stderr.flush()
        for process in others:
            process.kill()
        os._exit(ProcessLost.exit_code)


def _leave() -> None:
    """Let go of the connections in order; at interpreter exit they would abort."""
    if dist.is_initialized():
        if "torch.distributed.tensor" in sys.modules:
            from zoo_core.training.sharding import forget_meshes

            forget_meshes()
        dist.destroy_process_group()
