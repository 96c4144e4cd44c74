"""What a name stands for: an entry, a run folder or a file; known without importing torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_core.errors import InvalidInput, InvalidRegistry, UnknownName
from zoo_core.files import digest, exists, user_path
from zoo_core.loading.weights import WEIGHTS, describe
from zoo_core.registry import Entry, Registry, is_path
from zoo_core.rules import NAME, check_value
from zoo_core.store import Store
from zoo_core.text import command_line, printable
from zoo_core.urls import is_url

__all__ = ["Source", "entry_beside", "entry_of_run", "open_source", "resolve"]

_DATA = (".csv", ".npy", ".parquet", ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".webp")
"""Suffixes of files that are inputs of a model, and often named in the place of one."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from, known without importing torch."""

    name: str
    family: str
    requires: str
    architecture: str
    config: Mapping[str, Any]
    path: Path
    entry: Entry | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of itself; empty for an entry, of which the registry speaks."""

    @property
    def sha256(self) -> str:
        """Digest of the weights: the registry's, or else the file's."""
        return digest(self.path) if self.entry is None else self.entry.weights.sha256

    @classmethod
    def of(cls, entry: Entry, path: Path) -> Source:
        """The source of an entry whose weights are at `path`."""
        return cls(
            name=entry.name,
            family=entry.family,
            requires=entry.requires,
            architecture=entry.architecture,
            config=entry.config,
            path=path,
            entry=entry,
        )


def resolve(name: str | Path, *, registry: Registry | None = None) -> Entry | Source:
    """Find what a name stands for: an entry, whose weights may not be here yet, or a file that is.

    name: an entry of the registry; or a run folder or a safetensors file, written as a path (a
        folder that is named like an entry is `./nade.mnist`).

    Raises UnknownName when there is no such entry, folder or file, and InvalidInput for a file of
    data.
    """
    check_value(name, NAME, "name")
    path = Path(name)
    if path.suffix.lower() in _DATA and path.is_file():
        command = command_line("zoo", "run", "ENTRY", "--input", path)
        raise InvalidInput(
            f"{printable(path)} is data, not a model. Name the model that it is given to: {command}"
        )
    if isinstance(name, str) and not is_path(name):
        return (registry or Registry.load()).lookup(name)
    if isinstance(name, str) and is_url(name):
        raise UnknownName(
            f"{printable(name)} is an address; expected an entry, a run folder or a safetensors "
            "file. Fetch the file first, or read a registry there: `zoo registry add URL`."
        )
    path = user_path(name)
    return _from_file(_weights_of_run(path) if path.is_dir() else path)


def open_source(
    name: str | Path,
    *,
    registry: Registry | None = None,
    progress: Callable[[int], None] | None = None,
) -> Source:
    """Find the verified weights behind a name, fetching them where they are not in the store.

    name: as `resolve` takes it.
    progress: called with the number of bytes of each piece that is fetched.

    Raises UnknownName, and whatever the store raises.
    """
    origin = resolve(name, registry=registry)
    if isinstance(origin, Source):
        return origin
    return Source.of(origin, Store().fetch(origin.blob, progress=progress))


def entry_beside(path: Path) -> Entry | None:
    """The entry that training wrote beside the weights of a run; None where there is none.

    Raises InvalidRegistry where it is not sound.
    """
    record = path.parent / "entry.toml"
    if path.name != WEIGHTS or not record.is_file():
        return None
    try:
        return next(iter(Registry.load([record], trusted=True).entries.values()), None)
    except InvalidRegistry as error:
        raise InvalidRegistry(f"{error} Write it again: {_resume(path.parent)}") from None


def entry_of_run(source: Source) -> Entry:
    """The entry that training wrote beside its weights when it ended.

    Raises InvalidInput where there is none, or where it is of other weights.
    """
    path = source.path.parent / "entry.toml"
    entry = entry_beside(source.path)
    if entry is None:
        raise InvalidInput(
            f"{source.path} is no entry of a registry, and of no run that has ended: there is no "
            f"{path}, which holds its metrics."
        )
    if entry.weights.sha256 != source.sha256:
        raise InvalidInput(
            f"{path} is of other weights than {source.path}. Write both again from the run's best "
            f"checkpoint: {_resume(path.parent)}"
        )
    return entry


def _resume(folder: Path) -> str:
    return command_line("zoo", "train", "--resume", folder)


def _weights_of_run(folder: Path) -> Path:
    if (path := folder / WEIGHTS).is_file():
        return path
    raise UnknownName(
        f"{folder} holds no {WEIGHTS}: it is not a run folder, or its training has not reached the "
        "first validation yet."
    )


def _from_file(path: Path) -> Source:
    if not path.is_file():
        wrong = "is no regular file" if exists(path) else "does not exist"
        raise UnknownName(
            f"{path} {wrong}; expected a run folder or a safetensors file. "
            "`zoo list` shows the entries, whose names have no slash."
        )
    metadata = describe(path)
    return Source(
        name=metadata.get("name", path.stem),
        family=metadata["family"],
        requires=metadata["requires"],
        architecture=metadata["architecture"],
        config=metadata["config"],
        path=path,
        metadata=metadata,
    )
