"""The output folder: its parts, and `manifest.json`, which says what they are parts of.

Inputs of a part that could not be read are named in a file beside it, so that whoever repeats the
command is told of them again.

A part is there as a whole or not at all, so its name alone says that it is done. The manifest is
written by whichever process comes first, and again, with the digest of each part, by whichever
finds all of them done: its bytes do not depend on which that is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from zoo_core.errors import DigestMismatch, InvalidInput, ZooError
from zoo_core.files import SCRATCH, digest, is_empty, make_folder, write_atomic
from zoo_core.text import printable

if TYPE_CHECKING:
    from zoo_core.data.inputs import Some

__all__ = ["MANIFEST", "Folder", "Part", "sizes_of"]

_UNREAD = "unread-{}.json"
"""Beside a part: the file that names its inputs which could not be read."""
MANIFEST = "manifest.json"
_SIZES = "batch_size", "part_rows"


def sizes_of(path: str | Path) -> dict[str, int]:
    """The `batch_size` and `part_rows` that a folder was begun with; of any other path nothing.

    The numbers that are chosen where none is given depend on the device, and may change with a
    version: a folder keeps its own.
    """
    try:
        found = json.loads(Path(path, MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):  # which `Folder.check` says, where something is wrong
        return {}
    sizes = ((name, found.get(name)) for name in _SIZES) if isinstance(found, dict) else ()
    return {name: size for name, size in sizes if type(size) is int and size > 0}


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive rows of one source, or some samples."""

    name: str
    """The file's."""
    source: int
    """The place of the source among all; 0 of samples."""
    rows: range
    """Of the source."""
    first: int
    """The place of the first among the rows of all sources of its group."""
    group: str = "inputs"
    """The option that names the source."""


@dataclass(frozen=True)
class Folder:
    """A folder of parts.

    Args:
        path: made where there is none.
        settings: what the parts depend on, as JSON holds it; versions may change on the way.
        parts: all of them.
    """

    path: Path
    settings: Mapping[str, Any]
    parts: Sequence[Part]

    def check(self) -> None:
        """Raise InvalidInput where the folder holds something else than these parts."""
        # listed before the manifest is looked for: another process may be writing it
        other = self.path.exists() and not (self.path.is_dir() and is_empty(self.path))
        if (self.path / MANIFEST).exists():
            self._compare(self._read())
        elif other:
            raise InvalidInput(
                f"{printable(self.path)} is there and holds no {MANIFEST}: it was not begun by "
                "zoo run. Give a new folder."
            )

    def begin(self) -> None:
        """Make the folder with its manifest, unless that is there."""
        if not (self.path / MANIFEST).exists():
            make_folder(self.path)
            self._write(self._manifest())

    def missing(self) -> list[Part]:
        """The parts that are not done."""
        there = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        return [part for part in self.parts if part.name not in there]

    def unread(self, parts: Iterable[Part]) -> tuple[str, ...]:
        """The inputs of these parts that could not be read, also when the command was begun."""
        files = [self.path / _UNREAD.format(part.name) for part in parts]
        listed = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
        return tuple(name for names in listed for name in names)

    def add(self, part: Part, save: Callable[[Path], None], some: Some | None = None) -> None:
        """Write a part by `save`, unless another process did, and closed the folder meanwhile.

        some: its inputs, of which those that could not be read are named beside it.
        """
        path = self.path / part.name
        try:
            if some and some.failed:
                write_atomic(self.path / _UNREAD.format(part.name), _json([*some.failed]).encode())
            save(path)
        except ZooError as error:
            removed = isinstance(error.__cause__, FileNotFoundError)  # what was unfinished
            if not (removed and path.exists()):
                raise

    def close(self) -> bool:
        """Add the digest of each part to the manifest where all are done; return whether they are.

        Raises DigestMismatch for a part that is another than when the folder was closed before.
        """
        if self.missing():
            return False
        before = self._read()
        now = json.loads(_json(self._manifest(digests=True)))  # as it is read back
        known = {part["name"]: part.get("sha256") for part in before["parts"]}
        if changed := [
            part["name"]
            for part in now["parts"]
            if known.get(part["name"]) not in (None, part["sha256"])
        ]:
            raise DigestMismatch(
                f"{printable(self.path)}: {', '.join(changed[:5])} changed after it was written. "
                "Delete it, and run the same command again to compute it anew."
            )
        if before != now:
            try:
                self._write(now)
            except FileNotFoundError:  # another process did so, and removed what was unfinished
                if self._read() != now:
                    raise
        for scratch in self.path.glob(f"{SCRATCH}*"):  # of processes that were killed
            shutil.rmtree(scratch, ignore_errors=True)
        return True

    def _manifest(self, *, digests: bool = False) -> dict[str, Any]:
        sources = self.settings["sources"]
        parts = [
            {
                "name": part.name,
                **({"source": sources[part.source]["name"]} if sources else {}),
                "rows": [part.rows.start, part.rows.stop],
                **({"sha256": digest(self.path / part.name)} if digests else {}),
            }
            for part in self.parts
        ]
        return {**self.settings, "complete": digests, "parts": parts}

    def _read(self) -> dict[str, Any]:
        path = self.path / MANIFEST
        try:
            found: Any = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise InvalidInput(f"{printable(path)} cannot be read: {error}.") from error
        if not _is_manifest(found):
            raise InvalidInput(f"{printable(path)} was not written by zoo run. Give a new folder.")
        return found

    def _write(self, manifest: Mapping[str, object]) -> None:
        write_atomic(self.path / MANIFEST, _json(manifest).encode())

    def _compare(self, found: Mapping[str, object]) -> None:
        ours = json.loads(_json(self.settings))  # as it is read back
        if changed := _changed(found.get("sources"), ours["sources"]):
            raise InvalidInput(
                f"{printable(changed)} has changed since {printable(self.path)} was begun: parts "
                "of the two would be mixed. Put back what it was, or give another folder."
            )
        differ = [
            f"{key.replace('_', ' ')} {_short(found.get(key))}, and now {_short(value)}"
            for key, value in ours.items()
            if key != "versions" and found.get(key) != value
        ]
        if differ:
            raise InvalidInput(
                f"{printable(self.path)} was begun with {'; '.join(differ)}. Give the settings "
                "that it was begun with, or another folder."
            )


def _is_manifest(found: object) -> TypeGuard[dict[str, Any]]:
    """Whether it lists parts by their names; what else it holds is compared."""
    parts = found.get("parts") if isinstance(found, dict) else None
    return isinstance(parts, list) and all(
        isinstance(part, dict) and isinstance(part.get("name"), str) for part in parts
    )


def _changed(before: object, now: Sequence[Mapping[str, Any]]) -> str:
    """The name of a source whose contents are others than before; empty where there is none."""
    known = before if isinstance(before, list) else []
    digests = {each.get("name"): each.get("digest") for each in known if isinstance(each, dict)}
    names = (
        each["name"] for each in now if digests.get(each["name"], each["digest"]) != each["digest"]
    )
    return next(names, "")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, default=str) + "\n"


def _short(value: object) -> str:
    return printable(json.dumps(value), 120)
