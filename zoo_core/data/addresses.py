"""Inputs at an address of fsspec, such as `s3://bucket/rows.parquet`: copied here once, then read.

A copy is kept in zoo's home, and made anew where the file at the address has changed. Its time says
which one it is, equally on each machine, so that several may work on one folder of results.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from zoo_core import environment
from zoo_core.errors import InvalidInput, NetworkError, ZooError
from zoo_core.files import FULL, atomic, unwritten
from zoo_core.sources import file_system
from zoo_core.text import hidden, printable
from zoo_core.urls import is_url

__all__ = ["fetch", "is_address", "out_of_reach"]

_OTHERS = ("http", "https", "hf", "oci")
"""Schemes of what is no file, or is not read by fsspec."""
_VERSION = ("size", "ETag", "etag", "mtime", "LastModified", "created")
"""What file systems say of a file that is another where its contents are."""
_CHUNK = 2**22
_QUERY = re.compile(r"\?[^?=/]*=.*")
"""What follows the name of a file in an address, as the version that is wanted."""


def is_address(name: str) -> bool:
    """Whether a name has a scheme by which fsspec finds a file."""
    return is_url(name) and name.partition("://")[0] not in _OTHERS


@cache
def fetch(address: str) -> Path | None:
    """The copy of the file at an address, made where there is none; None where there is no file.

    Raises InvalidInput for a scheme that nothing is installed for and for a folder, DiskError where
    the copy has no room, and NetworkError.
    """
    folder = environment.home() / "inputs" / hashlib.sha256(address.encode()).hexdigest()[:16]
    path = folder / Path(_QUERY.sub("", address).rpartition("/")[2]).name
    if out_of_reach(address):
        if path.exists():
            return path
        raise NetworkError(f"{_shown(address)} is not here yet, and ZOO_OFFLINE is set.")
    try:
        system, place = _open(address)
        if not system.isfile(place):
            if system.isdir(place):
                raise InvalidInput(
                    f"{_shown(address)} is a folder, and only files are read from an address: give "
                    "each of its files, or images as a tar file."
                )
            return None
        time = _time(system.info(place))
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):  # of several processes one copies it
            if not path.exists() or path.stat().st_mtime_ns != time:
                with atomic(path) as partial:
                    with system.open(place, "rb") as source, partial.open("wb") as copy:
                        shutil.copyfileobj(source, copy, _CHUNK)
                    os.utime(partial, ns=(time, time))
    except ZooError:
        raise
    except Exception as error:  # each file system raises kinds of its own
        if isinstance(error, OSError) and error.errno in FULL:
            raise unwritten(path, error) from error
        raise NetworkError(f"{_shown(address)} could not be read: {printable(error)}.") from error
    return path


def out_of_reach(address: str) -> bool:
    """Whether an address is not asked, since ZOO_OFFLINE is set and it is not of this machine."""
    return environment.offline() and not address.startswith(("memory://", "file://"))


def _open(address: str) -> tuple[Any, str]:
    try:
        return file_system(address)
    except (ImportError, ValueError) as error:
        raise InvalidInput(
            f"{_shown(address)}: {printable(error)}. For s3:// and gs:// there is "
            "pip install 'zoo-core[buckets]'."
        ) from error


def _time(info: dict[str, object]) -> int:
    """A time that stands for a file's size and version, in nanoseconds."""
    version = [info.get(key) for key in _VERSION]
    return int(hashlib.sha256(repr(version).encode()).hexdigest()[:12], 16)


def _shown(address: str) -> str:
    return printable(hidden(address))
