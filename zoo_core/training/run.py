"""A run and its folder, which holds all of it.

runs/nade.mnist/
    recipe.toml         the settings, complete
    metrics.jsonl       losses and validations; curve.png draws them
    checksums.txt       of the weights after steps 0, 1, 2, 4, 8, …
    checkpoints/        from which a killed run goes on
    model.safetensors   the weights that the recipe keeps: `zoo run runs/nade.mnist`
    entry.toml          a registry entry for them, at the end
    samples/            what the networks made at each validation, where their trainer shows it;
                        samples.gif runs through them
    .lock               held by the process that trains, which .owner names
    .replaced/          the run that `force` replaces, until the new one has made a step
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from zoo_core import loading
from zoo_core.errors import DiskError, InvalidInput, OutputExists
from zoo_core.files import FULL, exists, write_atomic
from zoo_core.text import argument, command_line, printable, quoted
from zoo_core.training.recipe import Recipe, read

if TYPE_CHECKING:
    from zoo_core.model import Model

__all__ = ["Run", "claim", "prepare", "toml"]

_RECIPE = "recipe.toml"
_STARTED = "metrics.jsonl", "checkpoints/*", loading.WEIGHTS, ".replaced"
"""Where one of them is, a folder holds a run that has begun, or one that it was to replace."""
_FILES = (
    *(_RECIPE, "metrics.jsonl", "checksums.txt", "curve.png", "entry.toml"),
    *(loading.WEIGHTS, "samples.gif"),
)
"""What a run overwrites."""
_OWN = (
    *_FILES,
    "samples.gif.provenance.json",
    "checkpoints/*.safetensors",
    "samples/[0-9]*.png*",
    "tensorboard/events.*",
)
"""All that a run writes, as patterns; what else lies in its folder is the user's."""
_REPLACED = ".replaced"


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

    The operating system drops the lock of a process that dies, however it does. A folder that was
    made and that nothing was put into is removed in the end.

    Raises OutputExists that names the process which holds it, and InvalidInput for what is no
    folder.
    """
    from filelock import FileLock, Timeout

    if exists(folder) and not folder.is_dir():
        raise InvalidInput(
            f"{printable(folder)} is no folder, and a run has one of its own. Choose another "
            f"({argument('output', flag='-o')})."
        )
    made = not folder.exists()
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
        with suppress(OSError):  # it is gone, or another training takes it at this moment
            if made and {path.name for path in folder.iterdir()} <= {".lock"}:
                (folder / ".lock").unlink(missing_ok=True)
                folder.rmdir()


@contextmanager
def prepare(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> Iterator[None]:
    """Write the recipe of a run into its folder, or check that what it holds can be resumed.

    A training that is refused before it has written a row or a checkpoint leaves the folder as it
    was, with the run that `force` replaces, which is put aside until then.

    Raises OutputExists when it holds a run and neither is given, or files that are no run's, and
    InvalidInput when it is to be resumed with other settings or has nothing to be resumed from.
    """
    begins = not (resume and (folder / _RECIPE).is_file())
    if begins:
        _check_free(folder, force=force)
        _put_aside(folder)
    else:
        _check_resumable(folder, recipe)
    (folder / "checkpoints").mkdir(exist_ok=True)  # with the recipe, it is a run's
    write_atomic(folder / _RECIPE, toml(asdict(recipe)).encode())
    try:
        yield
    except BaseException as error:
        replaces = (folder / _REPLACED).exists()
        if begins and not _has_begun(folder) and (replaces or isinstance(error, InvalidInput)):
            _move(folder, None)
            _move(folder / _REPLACED, folder)
            if replaces:  # also where it was stopped before its first row
                (folder / "checkpoints").mkdir(exist_ok=True)
            shutil.rmtree(folder / _REPLACED, ignore_errors=True)
        elif isinstance(error, OSError) and error.errno in FULL:
            raise DiskError(
                f"{printable(error.filename or folder)}: {error.strerror}. Make room there, and go "
                f"on with {command_line('zoo', 'train', '--resume', folder)}."
            ) from error
        raise
    finally:
        if _has_begun(folder):
            shutil.rmtree(folder / _REPLACED, ignore_errors=True)


def _check_resumable(folder: Path, recipe: Recipe) -> None:
    own = read(folder / _RECIPE)
    if own.digest != recipe.digest:
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
    checkpoints = folder / "checkpoints"
    ended = (folder / "entry.toml").exists() or not checkpoints.exists()
    if ended and (folder / loading.WEIGHTS).exists() and not any(checkpoints.glob("[!.]*")):
        start = argument("start", str(folder), "--from")
        raise InvalidInput(
            f"{printable(folder)} holds weights and no checkpoint: the run would begin anew and "
            f"overwrite them. Start a new run from them ({start})."
        )


def _check_free(folder: Path, *, force: bool) -> None:
    begun = any(path for pattern in _STARTED for path in folder.glob(pattern))
    if begun and not force:
        raise OutputExists(
            f"{printable(folder)} already holds a run. Choose another folder "
            f"({argument('output', flag='-o')}), replace it ({argument('force', True)}), or go on "
            f"with it ({argument('resume', folder)})."
        )
    there = [name for name in (*_FILES, "checkpoints") if (folder / name).exists()]
    is_run = begun or (folder / "checkpoints").is_dir()  # which may be empty
    if there and not (is_run and (folder / _RECIPE).is_file()):
        raise OutputExists(
            f"{printable(folder)} holds {', '.join(there)}, which a run would overwrite, and "
            f"no run of zoo. Choose another folder ({argument('output', flag='-o')})."
        )


def _put_aside(folder: Path) -> None:
    """Move the run of a folder below it; one that was put aside before stays if this made no step.

    A process that is killed leaves the run aside, from where a user can take it.
    """
    aside = folder / _REPLACED
    if aside.exists() and not _has_begun(folder):
        _move(folder, None)
    else:
        shutil.rmtree(aside, ignore_errors=True)
        _move(folder, aside)


def _has_begun(folder: Path) -> bool:
    """Whether a run has written something that is worth to be kept."""
    metrics = folder / "metrics.jsonl"
    return any((folder / "checkpoints").glob("*.safetensors")) or (
        metrics.is_file() and metrics.stat().st_size > 0
    )


def _move(folder: Path, to: Path | None) -> None:
    """Move what a run wrote into a folder, or remove it, with the folders that are then empty."""
    for path in [path for pattern in _OWN for path in folder.glob(pattern)]:
        if to is None:
            path.unlink()
        else:
            target = to / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
    for name in ("checkpoints", "samples", "tensorboard"):
        with suppress(OSError):  # it is not there, or holds something else
            (folder / name).rmdir()


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
