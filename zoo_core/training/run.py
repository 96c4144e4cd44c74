"""A run and its folder, which holds all of it.

runs/nade.mnist/
    recipe.toml         the settings, complete
    metrics.jsonl       losses and validations; curve.png draws them
    checkpoints/        from which a killed run goes on
    model.safetensors   the weights that the recipe keeps: `zoo run runs/nade.mnist`
    entry.toml          a registry entry for them, at the end
    samples/            what the networks made at each validation, where their trainer shows it;
                        samples.gif runs through them
    .lock               held by the process that trains, which .owner names
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from zoo_core import loading
from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.files import exists, write_atomic
from zoo_core.text import argument, printable, quoted
from zoo_core.training.recipe import Recipe, read

if TYPE_CHECKING:
    from zoo_core.model import Model

__all__ = ["Run", "claim", "prepare", "release", "toml"]

_STARTED = "metrics.jsonl", "checkpoints"
"""What a training writes from its start on; where they are, a folder holds a run."""


@dataclass(frozen=True)
class Run:
    """A training that has ended."""

    folder: Path
    entry: Mapping[str, Any]
    """The registry entry of its weights; where several processes train, empty in all but one."""
    device: str = "cpu"
    """Where it was trained."""

    @property
    def name(self) -> str:
        """The entry's name."""
        return str(self.entry["name"])

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured of the weights on the test split, by name."""
        return {metric["name"]: metric["value"] for metric in self.entry.get("metrics", ())}

    @cached_property
    def model(self) -> Model:
        """The model with the weights that were kept, in evaluation mode, where it was trained."""
        return loading.load(self.folder / loading.WEIGHTS, device=self.device)

    def _repr_png_(self) -> bytes | None:
        """The curves of its losses, for a notebook; None where they were not drawn."""
        curve = self.folder / "curve.png"
        return curve.read_bytes() if curve.is_file() else None


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Lock the folder of a run, which is made, against every other training.

    The operating system drops the lock of a process that dies, however it does.

    Raises OutputExists that names the process which holds it, and InvalidInput for what is no
    folder.
    """
    from filelock import FileLock, Timeout

    if exists(folder) and not folder.is_dir():
        raise InvalidInput(
            f"{printable(folder)} is no folder, and a run has one of its own. Choose another "
            f"({argument('output', flag='-o')})."
        )
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / ".lock"), folder / ".owner"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        by = owner.read_text() if owner.is_file() else "another process"
        raise OutputExists(
            f"{folder} is being trained by {by}. Wait until it ends, stop it, or choose another "
            f"folder ({argument('output', flag='-o')})."
        ) from None
    try:
        write_atomic(owner, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def prepare(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> None:
    """Write the recipe of a run into its folder, or check that what it holds can be resumed.

    force: replace the run that it holds.

    Raises OutputExists when it holds a run and neither is given, and InvalidInput when it is to be
    resumed with other settings.
    """
    path = folder / "recipe.toml"
    if force and not resume:
        _clear(folder)
    if resume and path.is_file() and (own := read(path)).digest != recipe.digest:
        before, now = asdict(own), asdict(recipe)
        other = ", ".join(
            f"{key} = {quoted(before[key])}, not {quoted(now[key])}"
            for key in before
            if before[key] != now[key]
        )
        raise InvalidInput(
            f"{printable(folder)} was trained with {other}; a run is resumed with its own "
            "settings. Leave others out, or start a new run in another folder."
        )
    if not resume and any((folder / name).exists() for name in (*_STARTED, loading.WEIGHTS)):
        raise OutputExists(
            f"{printable(folder)} already holds a run. Choose another folder "
            f"({argument('output', flag='-o')}), replace it ({argument('force', True)}), or go on "
            f"with it ({argument('resume', folder)})."
        )
    write_atomic(path, toml(asdict(recipe)).encode())


def toml(value: Mapping[str, object]) -> str:
    """A table as TOML, without what is None."""
    return tomli_w.dumps(_without_none(value))


def _without_none(value: object) -> Any:
    """TOML has no null: a field that is not set is left out."""
    if isinstance(value, Mapping):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value


def release(folder: Path) -> None:
    """Let another run take the folder that `prepare` gave to one which was refused at its start."""
    for name in _STARTED:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Remove a run's files, and nothing else that lies in its folder."""
    for name in ("recipe.toml", "metrics.jsonl", "curve.png", "entry.toml", loading.WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    for name in ("samples.gif", "samples.gif.provenance.json"):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "samples", "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
