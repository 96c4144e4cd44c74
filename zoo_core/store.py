"""The local, content-addressed store of weights: a record of bytes becomes a verified local path.

It knows bytes, not tensors. Nothing gets its final name before its digest has been checked, so a
file that has that name can be used without a lock, without the network, from a read-only folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from zoo_core import environment
from zoo_core.errors import DigestMismatch, InvalidInput, NetworkError, ZooError
from zoo_core.files import publish, write_atomic
from zoo_core.header import stray
from zoo_core.urls import hidden, local_path, open_url, reason

__all__ = ["Blob", "Progress", "Store", "can_pull"]

CHUNK = 2**20

Progress = Callable[[int], None]
"""Told how many bytes more are there; a negative number when a pull begins again."""


@dataclass(frozen=True, slots=True)
class Blob:
    """What a registry promises of one file."""

    sha256: str
    """64 hexadecimal digits."""
    bytes: int
    sources: tuple[str, ...]
    """Absolute paths or URLs, tried in turn."""
    shipped: tuple[Path, ...] = ()
    """Where the file may lie that came with the code: it is used there, and never copied."""


def can_pull(blob: Blob, *, offline: bool) -> bool:
    """Whether there is a source that may be asked: without a network those of this machine."""
    return not offline or not blob.sources or any(map(local_path, blob.sources))


class Store:
    """Verified files by their digest: `blobs/sha256-…`, each written once and then only read."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = environment.home() if home is None else home

    def path(self, sha256: str) -> Path:
        """Return where the blob of this digest is, or would be."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise InvalidInput(
                f"{sha256!r} is no sha256: 64 digits of 0-9 and a-f are expected, in lower case."
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
        what the registry promises, ZooError when the store cannot be written.
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
                self._set_aside(blob.sha256)
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
            return _digest(path) == sha256
        except FileNotFoundError:
            raise ZooError(
                f"There is no {path}: nothing to verify. `zoo pull` fetches it."
            ) from None
        except OSError as error:
            raise ZooError(f"Cannot read {path}: {error.strerror}.") from error

    def remove(self, sha256: str) -> int:
        """Remove a blob, and what a killed pull left of it; return the bytes that this freed."""
        with self._locked(sha256):
            self._record(sha256).unlink(missing_ok=True)
            return _unlink(self.path(sha256)) + _unlink(self._partial(sha256))

    def blobs(self) -> list[Path]:
        """Return the stored blobs, sorted by name; unfinished ones are left out."""
        return sorted(p for p in (self.home / "blobs").glob("sha256-*") if not p.suffix)

    def _is_sound(self, path: Path, blob: Blob) -> bool:
        """Whether a file is the blob; its bytes are read unless nothing has touched it since."""
        if _size(path) != blob.bytes:
            return False
        record = self._record(blob.sha256)
        try:
            if not environment.verify_always() and record.read_text() == _identity(path):
                return True
        except OSError:
            pass  # it was never verified here
        if _digest(path) != blob.sha256:
            return False
        self._remember(path, blob.sha256)
        return True

    def _remember(self, path: Path, sha256: str) -> None:
        """Record which file was verified; where that cannot be written, it is read each time."""
        with suppress(OSError):
            self._record(sha256).parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._record(sha256), _identity(path).encode())

    def _set_aside(self, sha256: str) -> None:
        """Move away what has a blob's name and is not the blob, and say so."""
        path = self.path(sha256)
        if _size(path) is None:
            return
        damaged = self.home / "damaged" / path.name
        damaged.parent.mkdir(exist_ok=True)
        path.replace(damaged)
        sys.stderr.write(
            f"warning: {path} was changed since it was pulled: it is moved to {damaged}, and "
            "pulled again.\n"
        )

    def _record(self, sha256: str) -> Path:
        return self.home / "verified" / f"sha256-{sha256}"

    def _partial(self, sha256: str) -> Path:
        return self.path(sha256).with_suffix(".partial")

    @contextmanager
    def _locked(self, sha256: str) -> Iterator[None]:
        """Hold the blob's lock, with the folders made; explain a store that cannot be written."""
        from filelock import FileLock

        try:
            (self.home / "blobs").mkdir(parents=True, exist_ok=True)
            (self.home / "locks").mkdir(exist_ok=True)
            with FileLock(self.home / "locks" / f"{sha256}.lock"):
                yield
        except OSError as error:
            raise ZooError(
                f"The store {self.home} cannot be written: {error.strerror or error}."
                " Make room or give access there, or set ZOO_HOME to another folder."
            ) from error

    def _pull(self, blob: Blob, progress: Progress) -> None:
        """Try the sources in turn; the first that holds the promised bytes wins."""
        offline = environment.offline()
        failures: list[ZooError] = []
        with _Partial(self._partial(blob.sha256), progress) as partial:
            for source in blob.sources:
                if offline and not local_path(source):
                    continue
                try:
                    _download(source, blob, partial)
                except ZooError as failure:
                    failures.append(failure)
                else:
                    partial.publish(self.path(blob.sha256))
                    self._remember(self.path(blob.sha256), blob.sha256)
                    return
            raise _summary(blob, failures, kept=partial.size)


class _Partial:
    """A file that grows towards a blob, hashed as it grows; what a killed pull left is kept."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self.progress = progress
        self.file = path.open("a+b")
        self._begin()
        self.file.seek(0)
        while chunk := self.file.read(CHUNK):
            self._count(chunk)

    def __enter__(self) -> _Partial:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()
        if self.size == 0:
            self.path.unlink(missing_ok=True)

    def append(self, chunk: bytes) -> None:
        self.file.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        self.file.truncate(0)
        self.progress(-self.size)
        self._begin()

    def holds(self, blob: Blob) -> bool:
        return self.size == blob.bytes and self.sha256.hexdigest() == blob.sha256

    def head(self) -> bytes:
        self.file.seek(0)
        return self.file.read(64)

    def publish(self, path: Path) -> None:
        """Give the bytes their final name."""
        self.file.flush()
        publish(self.path, path)
        path.chmod(0o444)  # last: a partial file that cannot be opened again would stay for ever

    def _begin(self) -> None:
        import hashlib

        self.sha256 = hashlib.sha256()
        self.size = 0

    def _count(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.size += len(chunk)
        self.progress(len(chunk))


def _unlink(path: Path) -> int:
    size = _size(path) or 0
    path.unlink(missing_ok=True)
    return size


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _identity(path: Path) -> str:
    """What changes when a file is written to or replaced: its path, inode, size and times."""
    is_ = path.stat()
    return f"{path}\n{is_.st_dev} {is_.st_ino} {is_.st_size} {is_.st_mtime_ns} {is_.st_ctime_ns}\n"


def _download(source: str, blob: Blob, partial: _Partial) -> None:
    """Complete the partial file from one source, or raise and say why it cannot be done.

    A connection that drops is taken up again for as long as each one brings the file further.
    """
    if partial.size >= blob.bytes and not partial.holds(blob):
        partial.restart()
    held = partial.size
    furthest = held
    while True:
        try:
            _receive(source, blob, partial)
            break
        except NetworkError:
            if partial.size <= furthest:
                raise
            furthest = partial.size
    if partial.holds(blob):
        return
    failure = _mismatch(source, blob, partial)
    partial.restart()
    if not held:
        raise failure
    # What we held may have been another source's: this one deserves a clean start.
    _download(source, blob, partial)


def _receive(source: str, blob: Blob, partial: _Partial) -> None:
    """Append what the source holds after the partial file's end, until it is clearly too much."""
    if partial.holds(blob):  # killed between the last byte and the final name
        return
    for position, chunk in _chunks(source, partial.size):
        if position != partial.size:  # the server ignored the range: never append the whole file
            partial.restart()
        partial.append(chunk)
        if partial.size > blob.bytes:
            return


def _chunks(source: str, offset: int) -> Iterator[tuple[int, bytes]]:
    """Read a source from `offset` on: pairs of position and bytes.

    A server may ignore the range and begin at 0; the position says so.
    """
    try:
        stream, position = open_url(source, offset)
        with stream:
            while chunk := stream.read(CHUNK):
                yield position, chunk
                position += len(chunk)
    except Exception as error:  # each of fsspec's file systems raises kinds of its own
        raise _failure(source, error) from error


def _failure(source: str, error: Exception) -> ZooError:
    path = local_path(source)
    if path and isinstance(error, FileNotFoundError):
        return ZooError(
            f"There is no file {path}."
            " Put the weights there, or correct the registry that names it."
        )
    if path:
        return ZooError(f"Cannot read {path}: {getattr(error, 'strerror', None) or error}.")
    return NetworkError(f"Cannot fetch {hidden(source)}: {reason(error)}.")


def _mismatch(source: str, blob: Blob, partial: _Partial) -> DigestMismatch:
    got = f"sha256 {partial.sha256.hexdigest()} ({partial.size} bytes)"
    if partial.size > blob.bytes:
        got = f"more than {blob.bytes} bytes"
    return DigestMismatch(
        f"{hidden(source)} does not hold what the registry promises:"
        f" expected sha256 {blob.sha256} ({blob.bytes} bytes), got {got}."
        f" Nothing of it was kept. {stray(partial.head())}".rstrip()
    )


def _refusal(blob: Blob) -> str:
    return (
        f"sha256-{blob.sha256} is not in the store, and was not fetched from"
        f" {', '.join(map(hidden, blob.sources))} because ZOO_OFFLINE (or HF_HUB_OFFLINE) is set."
        " Unset it, or copy the file into the store from another machine."
    )


def _summary(blob: Blob, failures: list[ZooError], kept: int) -> ZooError:
    """One error for all sources: of the gravest kind among them, with a line for each."""
    if not failures:
        return ZooError(f"The registry names no source of sha256-{blob.sha256}: nothing to fetch.")
    for kind in (DigestMismatch, NetworkError, ZooError):
        if any(isinstance(failure, kind) for failure in failures):
            break
    text = "\n".join(map(str, failures))
    if kept:
        text += f"\nThe {kept} bytes that arrived are kept: the same command goes on from there."
    return kind(text)
