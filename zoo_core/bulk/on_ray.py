"""A task in parts by the workers of a Ray cluster, or of a Ray that is started here and ended.

Each worker takes its share of the parts, as a process of torchrun or SLURM does; the folder is on a
disk that all machines have. A worker that dies is started again, elsewhere where its machine is
gone, and parts that are there are not computed twice.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from zoo_core import loading
from zoo_core.bulk.running import Done, run_parts
from zoo_core.bulk.shares import Share
from zoo_core.errors import InvalidInput, ZooError

__all__ = ["run_on_ray"]

_RETRIES = 20
"""Times that a worker which died is started again: machines are taken away, and come back."""


def run_on_ray(
    model: str | Path,
    task: str | None,
    folder: str | Path,
    *,
    workers: int = 1,
    device: str = "cpu",
    dtype: str | None = None,
    **settings: Any,
) -> Done:
    """Do a task over inputs, or samples, of any number, by workers of Ray; return what all did.

    RAY_ADDRESS says which cluster; without it Ray is started here, with as many workers.

    model: an entry, a run folder or a weights file; each worker loads it.
    workers: how many; each takes a processor, or a GPU where the device is `cuda`.
    device, dtype: as `zoo_core.load` takes them.
    settings: those of `run_parts`, and the task's own.

    Raises as `run_parts`, InvalidInput where Ray is not installed, and ZooError where a worker died
    too often.
    """
    start = time.perf_counter()
    with _connect(workers) as ray:
        resources = {"num_gpus": 1} if device.startswith("cuda") else {"num_cpus": 1}
        work = ray.remote(max_retries=_RETRIES, **resources)(_work)
        place = Path.cwd(), tuple(sys.path)
        given = str(model), task, str(folder), device, dtype, settings
        tasks = [work.remote(place, Share(rank, workers), *given) for rank in range(workers)]
        try:
            done: Sequence[Done] = ray.get(tasks)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
        except ray.exceptions.RayError as error:
            raise ZooError(
                f"a worker of Ray was lost {_RETRIES + 1} times ({type(error).__name__}). What is "
                "done stays; the same command goes on with the rest."
            ) from error
    return Done(
        rows=sum(each.rows for each in done),
        parts=sum(each.parts for each in done),
        folder=done[0].folder,
        seconds=time.perf_counter() - start,
        notes=tuple(dict.fromkeys(note for each in done for note in each.notes)),
        failed=tuple(name for each in done for name in each.failed),
        figures=next((each.figures for each in done if each.figures), ()),
    )


@contextmanager
def _connect(workers: int) -> Iterator[Any]:
    """Ray, connected to a cluster or started."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports home unless it is set not to
    # Below `uv run` Ray would install the project anew for each worker, in place of this Python's.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise InvalidInput(
            "--engine ray needs an optional package: pip install 'zoo-core[ray]'."
        ) from error
    cluster = {} if os.environ.get("RAY_ADDRESS") else {"address": "local", "num_cpus": workers}
    with redirect_stdout(sys.stderr):  # for what Ray says
        ray.init(**cluster, include_dashboard=False, log_to_driver=False, logging_level="error")
        try:
            yield ray
        finally:
            ray.shutdown()


def _work(
    place: tuple[Path, Sequence[str]],
    share: Share,
    model: str,
    task: str | None,
    folder: str,
    device: str,
    dtype: str | None,
    settings: Mapping[str, Any],
) -> Done:
    """What a worker does, in the caller's folder where that exists there too."""
    here, path = place
    if here.is_dir():
        os.chdir(here)
    sys.path += [each for each in path if each not in sys.path]
    loaded = loading.load(model, device=device, dtype=dtype)
    return run_parts(loaded, task, folder, share=share, **settings)
