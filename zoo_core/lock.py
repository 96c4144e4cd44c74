"""`zoo.lock`: the digests of the weights that a project uses, so that others get those bytes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import DigestMismatch, InvalidInput, UnknownName, did_you_mean
from zoo_core.files import read_limited, write_atomic
from zoo_core.registry import Entry, Registry
from zoo_core.rules import Rule, check_table, is_int, is_line, matching
from zoo_core.store import Blob
from zoo_core.text import hidden, printable
from zoo_core.urls import local_path

__all__ = ["LOCK", "Locked", "read", "select", "text_of", "write"]

LOCK = "zoo.lock"
"""Its name, in the folder of a project."""

_MAX_BYTES = 2**20

_ENTRY = {
    "name": Rule("an entry's name", is_line),
    "sha256": Rule("64 hexadecimal digits in lower case", matching("[0-9a-f]{64}")),
    "bytes": Rule("the file's size, a whole number", lambda v: is_int(v) and v >= 0),
    "requires": Rule("a distribution and version range", is_line),
    "sources": Rule(
        "a list of URLs", lambda v: isinstance(v, list) and all(map(is_line, v)), required=False
    ),
}

_FILE = {
    "schema": Rule("1, the schema that this version of zoo reads", lambda v: v == 1),
    "entry": Rule("an array of tables, [[entry]]", lambda v: isinstance(v, list), keys=_ENTRY),
}


@dataclass(frozen=True, slots=True)
class Locked:
    """An entry of a lock file."""

    name: str
    sha256: str
    bytes: int
    requires: str
    """Distribution and versions of the family that can load it."""
    sources: tuple[str, ...] = ()
    """URLs that it was at; paths of another machine are none."""

    def blob(self, registry: Registry) -> Blob:
        """These bytes, wherever they are: by the registry's entries that have them, or as it was.

        What an entry of this name is by now does not matter.
        """
        same = [e.blob for e in registry.entries.values() if e.weights.sha256 == self.sha256]
        sources = [source for blob in same for source in blob.sources]
        shipped = [path for blob in same for path in blob.shipped]
        every = tuple(dict.fromkeys([*sources, *self.sources]))
        return Blob(self.sha256, self.bytes, every, tuple(dict.fromkeys(shipped)))

    def gone(self, registry: Registry) -> DigestMismatch:
        """Why its bytes are nowhere: the registry has others by now, or none of this name."""
        entry = registry.entries.get(self.name)
        now = (
            f"now has other weights, sha256 {entry.weights.sha256}"
            if entry
            else "has no such entry"
        )
        take = f", or take those of now by `zoo lock {self.name}`" if entry else ""
        return DigestMismatch(
            f"{self.name}: {LOCK} has sha256 {self.sha256}, and the registry {now}. "
            f"Add a registry that has the locked weights{take}."
        )


def write(entries: Iterable[Entry], path: Path) -> None:
    """Write a lock file of the digests of entries."""
    write_atomic(path, text_of(entries).encode())


def text_of(entries: Iterable[Entry]) -> str:
    """A lock file of the digests of entries, sorted by name: equal locks are equal files."""
    import tomli_w

    tables: list[dict[str, Any]] = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        urls = [url for url in entry.blob.sources if not local_path(url) and hidden(url) == url]
        weights = entry.weights
        table = {"name": entry.name, "sha256": weights.sha256, "bytes": weights.bytes}
        tables.append(table | {"requires": entry.requires} | ({"sources": urls} if urls else {}))
    text = "# Written by `zoo lock`; `zoo pull --locked` fetches these bytes, or fails.\n"
    return text + tomli_w.dumps({"schema": 1, "entry": tables})


def read(path: Path) -> list[Locked]:
    """Read a lock file.

    Raises InvalidInput for one that is not there or not sound.
    """
    where = printable(path)
    try:
        document = tomllib.loads(read_limited(path, _MAX_BYTES).decode("utf-8"))
    except FileNotFoundError:
        raise InvalidInput(f"there is no {where}; `zoo lock ENTRY...` writes one.") from None
    except OSError as error:
        raise InvalidInput(f"{where} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where} is not TOML: {printable(error)}.") from None
    check_table(document, _FILE, where, InvalidInput)
    return [
        Locked(**{**entry, "sources": tuple(entry.get("sources", ()))})
        for entry in document["entry"]
    ]


def select(locked: Sequence[Locked], names: Sequence[str]) -> list[Locked]:
    """The entries of these names, or all; raises UnknownName for one that is not there."""
    known = {entry.name: entry for entry in locked}
    for name in names:
        if name not in known:
            raise UnknownName(
                f"{name} is not in the lock file.{did_you_mean(name, known)} `zoo lock {name}` "
                "adds it."
            )
    return [known[name] for name in names] if names else list(locked)
