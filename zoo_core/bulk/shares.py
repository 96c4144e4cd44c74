"""Which of several processes this one is: said by torchrun, by SLURM, or by `--devices`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from zoo_core.errors import InvalidInput, ZooError
from zoo_core.text import quoted

__all__ = ["Share", "find_share", "find_step", "of_array", "own_device", "together"]


class Share(NamedTuple):
    """A process takes the parts rank, rank + processes, rank + 2·processes, …."""

    rank: int = 0
    processes: int = 1
    local: int = 0
    """Its place among the processes of its machine, by which it chooses its device."""


def find_share(environ: Mapping[str, str] = os.environ) -> Share:
    """This process's share, by the variables of torchrun or of SLURM; all, where there are none.

    The tasks of a SLURM array share the parts as the tasks of a step do, and both can be combined.

    Raises InvalidInput for an array whose numbers have gaps, and for a variable that is no number.
    """
    return of_array(find_step(environ), environ)


def find_step(environ: Mapping[str, str] = os.environ) -> Share:
    """This process's place among those that torchrun, or one `srun`, started together.

    What `sbatch` runs without `srun` is one process, however many tasks it asked for. The tasks of
    an array do not know of each other.

    Raises InvalidInput for a variable that is no number.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        names = "RANK", "WORLD_SIZE", "LOCAL_RANK"
    elif "SLURM_STEP_NUM_TASKS" in environ:
        names = "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"
    else:
        return Share()
    return Share(*(_number(environ, name) for name in names))


def of_array(step: Share, environ: Mapping[str, str] = os.environ) -> Share:
    """The share of a process of a SLURM array's task, all of whose tasks have as many.

    step: its place among those of its task.

    Raises InvalidInput for an array whose numbers have gaps, and for a variable that is no number.
    """
    rank, processes, local = step
    jobs = _number(environ, "SLURM_ARRAY_TASK_COUNT", 1)
    if jobs == 1:  # one of an array that is run again takes what is left
        return step
    first, last = (_number(environ, f"SLURM_ARRAY_TASK_{end}") for end in ("MIN", "MAX"))
    if last - first + 1 != jobs:
        raise InvalidInput(
            f"the SLURM array has {jobs} tasks, numbered from {first} to {last}; expected numbers "
            "without gaps, such as --array=0-7, by which they share the work."
        )
    job = _number(environ, "SLURM_ARRAY_TASK_ID") - first
    return Share(job * processes + rank, jobs * processes, local)


def _number(environ: Mapping[str, str], name: str, default: int = 0) -> int:
    text = environ.get(name, str(default))
    if not (text.isascii() and text.isdigit()):
        raise InvalidInput(
            f"the variable {name} is {quoted(text)}; expected a number, as torchrun and SLURM set "
            "it. Unset it where neither has started this."
        )
    return int(text)


def own_device(device: str, local: int) -> str:
    """The device of one of a machine's processes: a GPU each, where only `cuda` is said."""
    if device != "cuda" or not local:
        return device
    import torch

    return f"cuda:{local % max(1, torch.cuda.device_count())}"


@contextmanager
def together(processes: int) -> Iterator[Share]:
    """Start the other processes of this machine, by this one's arguments, and wait for them.

    The processor's cores are shared out, unless OMP_NUM_THREADS says how many threads compute.

    Raises ZooError where one of them has failed.
    """
    import torch

    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    torch.set_num_threads(int(threads))
    command = [sys.executable, "-m", "zoo_core", *sys.argv[1:]]
    shared = {**os.environ, "WORLD_SIZE": str(processes), "OMP_NUM_THREADS": threads}
    others = [
        subprocess.Popen(command, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(1, processes)
    ]
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        yield Share(0, processes, 0)
        codes = {rank: other.wait() for rank, other in enumerate(others, start=1)}
    except BaseException:
        for other in others:
            other.terminate()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if failed := {rank: code for rank, code in codes.items() if code}:
        ended = ", ".join(f"{rank} (code {code})" for rank, code in failed.items())
        raise ZooError(
            f"of {processes} processes these failed: {ended}. What is done stays; the same command "
            "goes on with the rest."
        )


def _leave(number: int, _: object) -> None:
    """Leave by an exception, so that the other processes are stopped too."""
    raise SystemExit(128 + number)
