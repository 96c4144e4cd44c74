"""A file on its way into the store: it belongs to one process, and is hashed as it grows.

The owner is in its name, and it is made only where there is none of that name: so a lock that lets
everybody in, as on some network file systems, costs a second transfer and never a wrong byte. What
a process has left that ended is taken over by a rename, which one process wins; what another one is
still writing to, or one of another machine, is copied.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.errors import ZooError
from zoo_core.files import publish

if TYPE_CHECKING:
    from hashlib import _Hash
    from io import BufferedRandom

__all__ = ["Partial", "Progress", "is_orphan", "owner", "partials"]

CHUNK = 2**20

Progress = Callable[[int], None]
"""Called with how many bytes more are there; a negative number when a pull begins again."""

_NUMBERS = itertools.count()


class Partial:
    """A file that grows towards a blob; what an earlier pull left of it is where it begins.

    Args:
        path: the blob's final name, in a folder that exists.
        progress: called with each step.
    """

    path: Path
    file: BufferedRandom
    size: int
    sha256: _Hash

    def __init__(self, path: Path, progress: Progress) -> None:
        self.final, self.progress = path, progress
        self._take(_adopt(path))
        while chunk := self.file.read(CHUNK):
            self._count(chunk)

    def append(self, chunk: bytes) -> None:
        """Add what comes next."""
        self.file.write(chunk)
        self._count(chunk)

    def holds(self, sha256: str, size: int) -> bool:
        """Whether all of the blob is here."""
        return self.size == size and self.sha256.hexdigest() == sha256

    def head(self) -> bytes:
        """The first bytes, by which a stray file is known."""
        self.file.seek(0)
        head = self.file.read(64)
        self.file.seek(self.size)
        return head

    def mark(self) -> tuple[int, _Hash]:
        """The state that `rewind` goes back to."""
        return self.size, self.sha256.copy()

    def rewind(self, mark: tuple[int, _Hash]) -> None:
        """Drop what was appended since."""
        size, sha256 = mark
        self.file.seek(size)
        self.file.truncate()
        self.progress(size - self.size)
        self.size, self.sha256 = size, sha256

    def restart(self) -> None:
        """Drop all bytes."""
        import hashlib

        self.rewind((0, hashlib.sha256()))

    @contextmanager
    def anew(self) -> Iterator[None]:
        """An empty file in the place of this one; of both the longer one stays in the end."""
        before = self.path, self.file, self.size, self.sha256
        self.progress(-self.size)
        self._take(_make(self.final))
        try:
            yield
        finally:
            other, file, size, sha256 = before
            if size > self.size:
                self.progress(size - self.size)
                other, self.path = self.path, other
                file, self.file = self.file, file
                self.size, self.sha256 = size, sha256
            file.close()
            other.unlink(missing_ok=True)

    def publish(self) -> None:
        """Give the bytes that were hashed their final name, and no others."""
        self.file.flush()
        ours, there = os.fstat(self.file.fileno()), self.path.lstat()
        if not os.path.samestat(ours, there) or ours.st_size != self.size:
            raise ZooError(
                f"Something else wrote to {self.path} while it was pulled: it was not used. Pull"
                " again; only zoo may write to the folder of the store."
            )
        publish(self.path, self.final)
        self.final.chmod(0o444)  # last: a partial file that cannot be opened would stay for ever
        self.file.close()

    def release(self) -> None:
        """Keep what arrived, for the next pull."""
        self.file.close()
        with suppress(FileNotFoundError):  # it was published
            if self.size:
                self.path.replace(_plain_name(self.final))
            else:
                self.path.unlink()

    def _take(self, path: Path) -> None:
        import hashlib

        self.path, self.file = path, path.open("r+b")
        self.size, self.sha256 = 0, hashlib.sha256()

    def _count(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.size += len(chunk)
        self.progress(len(chunk))


def partials(path: Path) -> list[Path]:
    """The partial files of a blob, the longest first."""
    found = []
    for partial in path.parent.glob(f"{path.name}*.partial"):
        with suppress(OSError):
            found.append((partial.stat().st_size, partial))
    return [partial for _, partial in sorted(found, reverse=True)]


def owner(partial: Path) -> str:
    """The owner of a partial file, as a message names it; empty where there is none."""
    if not (parts := _parts(partial)):
        return ""
    host, number, _ = parts
    return f"process {number}" + ("" if host == _host() else f" on {host}")


def is_orphan(partial: Path) -> bool:
    """Whether no process writes to a partial file any more; never known of another machine's."""
    parts = _parts(partial)
    if not parts:
        return True
    host, number, begun = parts
    return host == _host() and _start_of(int(number)) != begun


def _adopt(path: Path) -> Path:
    """A file of this process that holds the most that an earlier pull left."""
    own = _name(path)
    found = partials(path)
    for partial in filter(is_orphan, found):
        with suppress(FileNotFoundError):  # another process was faster
            partial.rename(own)
            break
    else:
        own.open("xb").close()
        if found:
            with suppress(FileNotFoundError), found[0].open("rb") as theirs, own.open("wb") as ours:
                shutil.copyfileobj(theirs, ours, CHUNK)
    for partial in filter(is_orphan, partials(path)):
        partial.unlink(missing_ok=True)
    return own


def _make(path: Path) -> Path:
    own = _name(path)
    own.open("xb").close()
    return own


def _name(path: Path) -> Path:
    number = os.getpid()
    return path.with_name(
        f"{path.name}.{_host()}-{number}-{_start_of(number)}-{next(_NUMBERS)}.partial"
    )


def _plain_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _parts(partial: Path) -> tuple[str, str, str] | None:
    """Host, process and the process's beginning in the name of a partial file."""
    match = re.fullmatch(r"[^.]+\.(.+)-(\d+)-(\d+)-\d+\.partial", partial.name)
    return (match[1], match[2], match[3]) if match else None


def _host() -> str:
    import socket  # not where nothing is pulled

    return re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname())


def _start_of(number: int) -> str:
    """When a process began, which tells it from a later one of its number; empty if it ended."""
    if os.name != "posix":
        return "0"  # signal 0 would end it: it counts as alive
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:  # somebody else's
        pass
    try:
        state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # a system without /proc
        return "0"
    return "" if state == "Z" else fields[18]
