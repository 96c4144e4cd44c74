"""The local, content-addressed store of weights: a record of bytes becomes a verified local path.

It knows bytes, not tensors. Nothing gets its final name before its digest has been checked, so a
file that has that name can be used without a lock, without the network, from a read-only folder.
"""

from __future__ import annotations

import errno
import re
import shutil
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core import environment
from zoo_core.errors import BusyError, DiskError, InvalidInput, NetworkError, ZooError
from zoo_core.files import SCRATCH, digest, write_atomic
from zoo_core.partial import Partial, Progress, is_orphan, owner, partials
from zoo_core.text import hidden
from zoo_core.urls import local_path

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Blob", "Progress", "Store", "can_pull", "discard"]

PATIENCE = 60.0
"""Seconds to wait for another process that makes no progress."""

OLD = 86400.0
"""Seconds after which an untouched partial file of another machine counts as abandoned."""

_MISSING_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""Errors of a file system without locks."""

_CACHEDIR = """\
Signature: 8a477f597d28d172789f06886806bc55
# Weights that zoo fetches again: a backup may leave this folder out.
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """What a registry states about one file."""

    sha256: str
    """64 hexadecimal digits."""
    bytes: int
    sources: tuple[str, ...]
    """Absolute paths or URLs, tried in turn."""
    shipped: tuple[Path, ...] = ()
    """Where the file may be installed with the code: it is used there, and never copied."""


def can_pull(blob: Blob, *, offline: bool) -> bool:
    """Whether a source can be used: offline, those of this machine alone."""
    return not offline or not blob.sources or any(map(local_path, blob.sources))


class Store:
    """Verified files by their digest: `blobs/sha256-…`, each written once and then only read."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = environment.home() if home is None else home

    def path(self, sha256: str) -> Path:
        """Return where the blob of this digest is, or would be."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise InvalidInput(
                f"{sha256!r} is not a sha256: expected 64 hexadecimal digits in lower case."
            )
        return self.home / "blobs" / f"sha256-{sha256}"

    def find(self, blob: Blob) -> Path | None:
        """Where the blob is, in the store or with the code; judged by its size alone."""
        places = (self.path(blob.sha256), *blob.shipped)
        return next((path for path in places if _size(path) == blob.bytes), None)

    def fetch(self, blob: Blob, *, progress: Progress | None = None) -> Path:
        """Return the path of the verified blob, pulling it from its sources when it is not here.

        A file that was touched since it was verified is read again. One of the store's that is not
        what it was is moved to the folder `damaged`, which stderr says, and pulled anew.

        Raises NetworkError when it cannot be reached, DigestMismatch when what was reached is not
        what the registry promises, DiskError when the store has no room or cannot be written, and
        BusyError when another process pulls the same and makes no progress.
        """
        stored = self.path(blob.sha256)
        for path in (stored, *blob.shipped):
            if self._is_sound(path, blob):
                return path
        reachable = can_pull(blob, offline=environment.offline())
        if not reachable and _size(stored) is None:
            raise NetworkError(_refusal(blob))
        with self._locked(blob.sha256):
            # Another process may have pulled it while we waited for the lock.
            if not self._is_sound(stored, blob):
                self._set_aside(blob.sha256, "pulled again" if reachable else "not used")
                if not reachable:
                    raise NetworkError(_refusal(blob))
                self._pull(blob, progress or (lambda more: None))
        return stored

    def verify(self, sha256: str, shipped: Path | None = None) -> bool:
        """Whether the stored blob still has this digest; reads all of it, and needs no network.

        shipped: where the file lies that came with the code, read where the store has none.
        """
        path = self.path(sha256)
        if shipped and not path.exists():
            path = shipped
        try:
            sound = digest(path) == sha256
        except FileNotFoundError:
            raise ZooError(
                f"There is no {path}: nothing to verify. `zoo pull` fetches it."
            ) from None
        except OSError as error:
            raise ZooError(f"Cannot read {path}: {error.strerror}.") from error
        if not sound:  # as by a disk that loses bits: nothing else shows it
            with suppress(OSError):
                self._record(sha256).unlink()
        return sound

    def quarantine(self, sha256: str) -> None:
        """Move a damaged blob out of the way, and say so on stderr."""
        with self._locked(sha256):
            self._set_aside(sha256, "no longer used")

    def sampler(self, sha256: str) -> Path:
        """Return where what samples from these weights without torch is, or would be."""
        return self.home / "samplers" / f"sha256-{sha256}"

    def remove(self, sha256: str) -> int:
        """Remove a blob, what a killed pull left of it and its sampler; return the bytes freed."""
        with self._locked(sha256):
            self._record(sha256).unlink(missing_ok=True)
            path = self.path(sha256)
            return sum(map(_unlink, [path, self.sampler(sha256), *partials(path)]))

    def blobs(self) -> list[Path]:
        """Return the stored blobs, sorted by name; unfinished ones are left out."""
        return sorted(p for p in (self.home / "blobs").glob("*") if _is_blob(p.name))

    def aliens(self) -> list[Path]:
        """Return the files among the blobs that are neither blobs nor partial files of a pull."""
        found = (self.home / "blobs").glob("*")
        return sorted(p for p in found if not _is_blob(p.name.partition(".")[0]))

    def garbage(self, named: Collection[str]) -> dict[Path, str]:
        """Find unused files, each with the reason; nothing is removed.

        named: digests of the blobs that are needed.
        """
        found = {
            path: "no registry names it" for path in self.blobs() if _digest_of(path) not in named
        }
        for path in sorted((self.home / "blobs").glob("sha256-*.partial")):
            if is_orphan(path) or _age(path) > OLD:
                found[path] = "a pull that ended before its end"
        for path in sorted(self.home.glob(f"**/{SCRATCH}*")):
            if _age(path) > OLD:
                found[path] = "a file that was never finished"
        for path in sorted((self.home / "damaged").glob("sha256-*")):
            found[path] = "damaged"
        for folder, what in (("verified", "record"), ("samplers", "sampler")):
            for path in sorted((self.home / folder).glob("sha256-*")):
                if _digest_of(path) not in named:
                    found[path] = f"the {what} of what no registry names"
        return found

    def _is_sound(self, path: Path, blob: Blob) -> bool:
        """Whether a file is the blob; it is hashed unless it is unchanged since it was verified."""
        if _size(path) != blob.bytes:
            return False
        record = self._record(blob.sha256)
        always = environment.verify_always()
        with suppress(OSError):  # it was never verified here
            if not always and record.read_text() == _identity(path):
                return True
        try:
            if digest(path) != blob.sha256:
                return False
        except OSError:  # not for us to read: another place, or a source, may have it
            return False
        self._remember(path, blob.sha256)
        return True

    def _remember(self, path: Path, sha256: str) -> None:
        """Record which file was verified; where that cannot be written, it is hashed each time."""
        with suppress(OSError):
            self._record(sha256).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._record(sha256), _identity(path).encode())

    def _set_aside(self, sha256: str, then: str) -> None:
        """Move away a file with a blob's name and other bytes; say so, and what happens next."""
        path = self.path(sha256)
        if _size(path) is None:
            return
        damaged = self.home / "damaged" / path.name
        damaged.parent.mkdir(exist_ok=True)
        path.replace(damaged)
        sys.stderr.write(
            f"warning: {path} was changed since it was pulled: it is moved to {damaged}, and "
            f"{then}.\n"
        )

    def _record(self, sha256: str) -> Path:
        return self.home / "verified" / f"sha256-{sha256}"

    @contextmanager
    def _locked(self, sha256: str) -> Iterator[None]:
        """Hold the blob's lock, creating the folders; explain a store that cannot be written."""
        try:
            self._make_folders()
            with self._lock(sha256):
                yield
        except OSError as error:
            raise DiskError(
                f"The store {self.home} cannot be written: {error.strerror or error}."
                " Make room or give access there, or set ZOO_HOME to another folder."
            ) from error

    def _make_folders(self) -> None:
        for name in ("blobs", "locks"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        tag = self.home / "CACHEDIR.TAG"
        if not tag.exists():
            write_atomic(tag, _CACHEDIR.encode())

    @contextmanager
    def _lock(self, sha256: str) -> Iterator[None]:
        """Let one process pull a blob; on a file system without locks, each of them pulls."""
        from filelock import FileLock

        lock = FileLock(self.home / "locks" / f"{sha256}.lock")
        try:
            self._acquire(lock, self.path(sha256))
        except OSError as error:
            if error.errno not in _MISSING_LOCKS:
                raise
        except NotImplementedError:  # the same, as filelock says it
            pass
        try:
            yield
        finally:
            lock.release()

    def _acquire(self, lock: BaseFileLock, path: Path) -> None:
        """Wait for a lock as long as the partial file of its holder grows."""
        from filelock import Timeout

        held, since, said = -1, time.monotonic(), False
        while True:
            try:
                lock.acquire(timeout=min(1.0, PATIENCE))
                return
            except Timeout:
                pass
            found = partials(path)
            size = sum(_size(partial) or 0 for partial in found)
            who = next(filter(None, map(owner, found)), "another process")
            if size != held:
                held, since = size, time.monotonic()
            elif time.monotonic() - since >= PATIENCE:
                raise BusyError(
                    f"{path.name} is being pulled by {who}, which made no progress for"
                    f" {PATIENCE:.0f} seconds. Wait for it or stop it, then try again."
                )
            if not said:
                sys.stderr.write(f"note: waiting for {who}, which is pulling the same weights.\n")
                said = True

    def _pull(self, blob: Blob, progress: Progress) -> None:
        """Pull a blob from the sources that can be used."""
        from zoo_core.transfer import fill  # not where nothing is pulled

        offline = environment.offline()
        partial = Partial(self.path(blob.sha256), progress)
        try:
            self._check_room(blob.bytes - partial.size)
            fill(partial, blob, [s for s in blob.sources if not offline or local_path(s)])
            partial.publish()
        finally:
            partial.release()
        self._remember(self.path(blob.sha256), blob.sha256)

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.home).free
        if needed > free:
            raise DiskError(
                f"The store {self.home} has {free:,} bytes free, and {needed:,} more are needed."
                " Make room there, or set ZOO_HOME to a folder on another disk."
            )


def discard(path: Path, *, dry_run: bool = False) -> int:
    """Remove a file or a folder; return the number of bytes freed."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    freed = sum(_size(file) or 0 for file in files)
    if dry_run:
        return freed
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return freed


def _is_blob(name: str) -> bool:
    return re.fullmatch("sha256-[0-9a-f]{64}", name) is not None


def _digest_of(path: Path) -> str:
    return path.name.removeprefix("sha256-")


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0  # it is gone


def _unlink(path: Path) -> int:
    size = _size(path) or 0
    path.unlink(missing_ok=True)
    return size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _identity(path: Path) -> str:
    """What changes when a file is written to or replaced: its path, inode, size and times."""
    is_ = path.stat()
    return f"{path}\n{is_.st_dev} {is_.st_ino} {is_.st_size} {is_.st_mtime_ns} {is_.st_ctime_ns}\n"


def _refusal(blob: Blob) -> str:
    return (
        f"sha256-{blob.sha256} is not in the store, and was not fetched from"
        f" {', '.join(map(hidden, blob.sources))} because ZOO_OFFLINE (or HF_HUB_OFFLINE) is set."
        " Unset it, or copy the file into the store from another machine."
    )
