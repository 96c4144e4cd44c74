"""Data that the processes of a machine hold together: one of them loads, all map what it has.

Without this each of eight processes would have the rows to itself. The first process of a machine
writes its rows to a file in the temporary folder (TMPDIR), which all map, and which goes when they
have: what is mapped stays until they end. The others load nothing.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo_core.columns import Column
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.files import write_atomic

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Host", "host_of"]

_RESTARTS = (
    "TORCHELASTIC_RUN_ID",
    "TORCHELASTIC_RESTART_COUNT",
    "SLURM_JOB_ID",
    "SLURM_RESTART_COUNT",
    "SLURM_STEP_ID",
)
"""What is other for another start of the same command."""
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 60.0
"""Without a first process that lives: then a process loads for itself."""
_FREE = 1.1
"""Free disk that there must be, for each byte of rows."""


class Host:
    """Data sets of the processes of one machine.

    Args:
        folder: the same of all these processes, and of no others; None where there is one process.
        first: whether this is the process that loads.
    """

    def __init__(self, folder: Path | None, *, first: bool) -> None:
        self.folder, self.first = folder, first
        self.kept = False
        """Whether the processes hold together what was loaded last."""
        self._lock: int | None = None

    def load(self, name: str, make: Callable[[], Dataset]) -> Dataset:
        """A data set that is made once on this machine.

        name: of a file.
        make: loads it.
        """
        if self.folder is None:
            return make()
        if not self.first:
            self.kept = self._wait(self.folder / f"{name}.json")
            return _open(self.folder, name) if self.kept else make()
        self._begin()
        data = make()
        needed = _FREE * sum(each.numel() * each.element_size() for each in _tensors(data).values())
        self.kept = shutil.disk_usage(self.folder).free > needed
        if self.kept:
            for key, tensor in _tensors(data).items():
                _write(self.folder / f"{name}.{key}", tensor)
        text = json.dumps(_described(data) if self.kept else None)
        write_atomic(self.folder / f"{name}.json", text.encode())
        return _open(self.folder, name) if self.kept else data

    def close(self) -> None:
        """Remove the files, when all processes have opened them."""
        if self._lock is not None and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    def _begin(self) -> None:
        """Make the folder anew, with a lock that is held as long as this process lives."""
        import fcntl

        assert self.folder is not None
        if self._lock is None:
            shutil.rmtree(self.folder, ignore_errors=True)  # of one that was killed
            self.folder.mkdir(mode=0o700)
            self._lock = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            atexit.register(self.close)  # of a run that ends before all have the data

    def _wait(self, path: Path) -> bool:
        """Wait for what the first process writes; False where it cannot, or is not there."""
        alone = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < alone:
            if _is_held(path.parent):
                if path.is_file():
                    return json.loads(path.read_bytes()) is not None
                alone = time.monotonic() + _PATIENCE_SECONDS
            time.sleep(_POLL_SECONDS)
        return False


def host_of(fabric: Fabric, run: Path) -> Host:
    """The machine's processes of a run that is not launched yet.

    run: the run's folder.
    """
    strategy: Any = fabric.strategy
    environment = getattr(strategy, "cluster_environment", None)
    if getattr(strategy, "num_processes", 1) == 1 or environment is None or os.name != "posix":
        return Host(None, first=True)
    address = f"{environment.main_address}:{environment.main_port}"
    start = [os.environ.get(name) for name in _RESTARTS]
    which = repr((run.absolute(), address, fabric.node_rank, os.getuid(), start))
    name = hashlib.sha256(which.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"zoo-data-{name}"
    return Host(folder, first=fabric.local_rank == 0)


def _is_held(folder: Path) -> bool:
    """Whether the process that writes a folder, one of this user's, lives."""
    import fcntl

    try:
        lock = os.open(folder / ".lock", os.O_RDWR)
    except OSError:
        return False
    try:
        if os.fstat(lock).st_uid != os.getuid():
            raise InvalidInput(f"{folder} belongs to another user. Set TMPDIR to another folder.")
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _tensors(data: Dataset) -> dict[str, Tensor]:
    return {"x": data.x} if data.labels is None else {"x": data.x, "labels": data.labels}


def _described(data: Dataset) -> dict[str, Any]:
    """A data set without its tensors, as JSON."""
    return {
        "name": data.name,
        "split": data.split,
        "levels": data.levels,
        "classes": data.classes,
        "texts": data.texts,
        "attributes": {key: list(values) for key, values in data.attributes.items()},
        "columns": [column.table() for column in data.columns],
        "tensors": {
            key: [str(tensor.dtype).removeprefix("torch."), *tensor.shape]
            for key, tensor in _tensors(data).items()
        },
    }


def _write(path: Path, tensor: Tensor) -> None:
    with path.open("wb") as file:
        for part in tensor.split(4096):
            file.write(part.contiguous().numpy().data)


def _open(folder: Path, name: str) -> Dataset:
    """A data set whose tensors are mapped."""
    said = json.loads((folder / f"{name}.json").read_bytes())
    tensors = {
        key: torch.from_file(
            str(folder / f"{name}.{key}"), size=math.prod(shape), dtype=getattr(torch, dtype)
        ).view(shape)
        for key, (dtype, *shape) in said.pop("tensors").items()
    }
    said |= {key: tuple(said[key]) for key in ("classes", "texts")}
    said["attributes"] = {key: tuple(values) for key, values in said["attributes"].items()}
    said["columns"] = tuple(Column.of(table) for table in said["columns"])
    return Dataset(**said | tensors)
