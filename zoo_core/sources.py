"""Where bytes come from: a path, a web server, a registry of the OCI, or what fsspec knows.

All are read in one way. Whatever is not of this machine is read by a thread, and waited for by the
caller: a server that sends its header, or its file, a byte at a time is given up, and so is a
library that hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_core import oci, web
from zoo_core.urls import local_path
from zoo_core.web import CHUNK, Answer, SourceError

__all__ = ["MINIMUM", "Answer", "SourceError", "file_system", "read"]

RATE = 1024
"""Bytes a second that have to come, in each window of waiting."""

MINIMUM = int(RATE * web.WINDOW)
"""Bytes that are progress: what comes of a window, or before a connection drops."""

AHEAD = 8
"""Chunks that are read before they are used."""


@contextmanager
def read(
    source: str, offset: int = 0, *, etag: str = "", known: str = "", total: float | None = None
) -> Iterator[Answer]:
    """Read a path or URL.

    offset: where to begin.
    etag: what the range has to be of: with another file a server begins at 0.
    known: the ETag of what is here: a web server that still has the same sends nothing.
    total: seconds after which a server is given up even if it still sends.

    Raises SourceError, also while the chunks are read.
    """
    if path := local_path(source):
        yield Answer(offset, _local(path, offset))
        return
    feed = _Feed(lambda: _open(source, offset, etag, known), total)
    try:
        yield feed.answer()
    finally:
        feed.abandon()


class _Feed:
    """The chunks of a source, read ahead by a thread and waited for no longer than is due."""

    def __init__(self, opening: Callable[[], Answer], total: float | None) -> None:
        from queue import Queue
        from threading import Event, Thread

        self.items: Queue[Answer | bytes | Exception | None] = Queue(AHEAD)
        self.abandoned = Event()
        self.end = time.monotonic() + total if total else float("inf")
        Thread(target=self._run, args=(opening,), daemon=True).start()

    def answer(self) -> Answer:
        """What the source answered; raises SourceError where that takes too long."""
        answer = self._next(web.HEADER, "no answer in time")
        assert isinstance(answer, Answer)
        return replace(answer, chunks=self._chunks())

    def abandon(self) -> None:
        self.abandoned.set()

    def _chunks(self) -> Iterator[bytes]:
        waited, got = 0.0, 0
        while True:
            begin = time.monotonic()
            slow = f"fewer than {RATE} bytes a second for {web.WINDOW:.0f} seconds"
            chunk = self._next(web.WINDOW - waited, slow)
            if chunk is None:
                return
            assert isinstance(chunk, bytes)
            # only waiting counts: a disk of ours may be slow
            waited, got = waited + time.monotonic() - begin, got + len(chunk)
            if got >= MINIMUM:
                waited, got = 0.0, 0
            elif waited >= web.WINDOW:
                raise SourceError(slow, transient=True)
            yield chunk

    def _next(self, limit: float, late: str) -> Answer | bytes | None:
        from queue import Empty

        left = self.end - time.monotonic()
        try:
            item = self.items.get(timeout=max(min(limit, left), 0.001))
        except Empty:
            raise SourceError(
                "no answer in time" if left < limit else late, transient=True
            ) from None
        if isinstance(item, Exception):
            raise item
        return item

    def _run(self, opening: Callable[[], Answer]) -> None:
        try:
            answer = opening()
            self._put(answer)
            for chunk in answer.chunks:
                self._put(chunk)
            self._put(None)
        except _Abandoned:
            pass
        except SourceError as error:
            self._put(error, last=True)
        except Exception as error:  # each of fsspec's file systems raises kinds of its own
            self._put(web.failure(error), last=True)

    def _put(self, item: Answer | bytes | Exception | None, *, last: bool = False) -> None:
        from queue import Full

        while not self.abandoned.is_set():
            try:
                self.items.put(item, timeout=1.0)
                return
            except Full:
                pass
        if not last:
            raise _Abandoned


class _Abandoned(Exception):
    """Nobody waits for more."""


def _local(path: Path, offset: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise SourceError(error.strerror or str(error)) from error


def _open(source: str, offset: int, etag: str, known: str) -> Answer:
    match source.partition("://")[0]:
        case "http" | "https":
            return web.get(source, offset, etag, known=known)
        case "oci":
            return oci.read(source, offset, etag)
        case _:
            return _other(source, offset)


def file_system(url: str) -> tuple[Any, str]:
    """The file system that fsspec has for an address, and the address within it.

    It knows nothing from before: by the size that a file had, what it has gained would be cut off.
    """
    import fsspec

    system, place = fsspec.url_to_fs(url)
    system.invalidate_cache()
    return system, place


def _other(source: str, offset: int) -> Answer:
    """Open what fsspec knows: hf, s3, gs and what is installed beside it."""
    system, place = file_system(source)
    stream = system.open(place, "rb")
    return Answer(stream.seek(offset), web.until_closed(stream, lambda: stream.read(CHUNK)))
