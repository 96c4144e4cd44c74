"""Bytes from the sources of a blob into its partial file, whatever the servers do.

The sources are tried in turn, and those that may answer in a moment again after a growing pause.
A connection that drops is taken up where it was; a source whose range does not fit what is here has
one clean start, for which nothing is thrown away that may be right.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

from zoo_core.errors import DigestMismatch, NetworkError, ZooError
from zoo_core.header import stray
from zoo_core.partial import Partial
from zoo_core.sources import MINIMUM, SourceError, read
from zoo_core.text import hidden
from zoo_core.urls import local_path

if TYPE_CHECKING:
    from zoo_core.store import Blob

__all__ = ["fill", "pauses", "wait"]

ROUNDS = 5
"""How often a source is tried that may answer in a moment."""

PAUSE = 0.5
"""Seconds before the second round; each further pause is twice as long."""

LONGEST = 30.0
"""Seconds that a server's `Retry-After` may ask for."""


def fill(partial: Partial, blob: Blob, sources: Iterable[str]) -> None:
    """Complete a partial file.

    Raises the gravest of what the sources did: DigestMismatch, NetworkError or ZooError.
    """
    asked = [_Transfer(source, blob, partial) for source in sources]
    failures: dict[str, ZooError] = {}
    for pause in pauses():
        for transfer in asked:
            try:
                return transfer.run()
            except ZooError as failure:
                failures[transfer.source] = failure
        asked = [transfer for transfer in asked if transfer.transient]
        if not asked or pause is None:
            break
        wait(failures[asked[0].source], pause, min(transfer.pause for transfer in asked))
    raise _summary(blob, list(failures.values()), kept=partial.size)


def pauses() -> Iterator[float | None]:
    """Seconds between rounds, with jitter: many who were refused at once come back one by one."""
    for number in range(ROUNDS - 1):
        yield PAUSE * 2**number * random.uniform(0.75, 1.25)
    yield None


def wait(failure: ZooError, pause: float, requested: float) -> None:
    """Say what failed, and wait until it is tried again: a pause, or what the server requested."""
    seconds = max(pause, min(LONGEST, requested))
    sys.stderr.write(f"note: {failure} Trying again in {seconds:.1f} seconds.\n")
    time.sleep(seconds)


class _Transfer:
    """The transfer of a blob from one source, over as many connections as it takes."""

    def __init__(self, source: str, blob: Blob, partial: Partial) -> None:
        self.source, self.blob, self.partial = source, blob, partial
        self.etag = ""
        self.transient, self.pause = True, 0.0

    def run(self) -> None:
        """Complete the partial file, or raise, with `transient` and `pause` set."""
        self.transient, self.pause = False, 0.0
        if self.partial.size >= self.blob.bytes and not self._complete():
            self.partial.restart()
        while not self._complete():
            before = self.partial.size
            try:
                self._receive(before)
            except SourceError as error:
                if self.partial.size - before >= MINIMUM:
                    continue  # the file has grown, and is resumed at once
                self.transient, self.pause = error.transient, error.pause
                raise _failure(self.source, error) from error

    def _receive(self, offset: int) -> None:
        """Append one answer; what is wrong of it is dropped, and DigestMismatch raised."""
        partial = self.partial
        with read(self.source, offset, etag=self.etag) as answer:
            self.etag = answer.etag
            whole = answer.position == 0
            with partial.anew() if whole and partial.size else nullcontext():
                mark = partial.mark()
                for chunk in answer.chunks:
                    partial.append(chunk)
                    if partial.size > self.blob.bytes:
                        break
                if self._complete():
                    return
                failure = self._mismatch()
                partial.rewind(mark)
        if not offset:
            raise failure
        # what was here may be another's, or the answer to a range be wrong: one clean start
        self._receive(0)

    def _complete(self) -> bool:
        return self.partial.holds(self.blob.sha256, self.blob.bytes)

    def _mismatch(self) -> DigestMismatch:
        blob, partial = self.blob, self.partial
        got = f"sha256 {partial.sha256.hexdigest()} ({partial.size} bytes)"
        if partial.size > blob.bytes:
            got = f"more than {blob.bytes} bytes"
        return DigestMismatch(
            f"{hidden(self.source)} does not hold what the registry promises:"
            f" expected sha256 {blob.sha256} ({blob.bytes} bytes), got {got}."
            f" Nothing of it was kept. {stray(partial.head())}".rstrip()
        )


def _failure(source: str, error: SourceError) -> ZooError:
    path = local_path(source)
    if path and isinstance(error.__cause__, FileNotFoundError):
        return ZooError(
            f"There is no file {path}."
            " Put the weights there, or correct the registry that names it."
        )
    if path:
        return ZooError(f"Cannot read {path}: {error}.")
    return NetworkError(f"Cannot fetch {hidden(source)}: {error}.")


def _summary(blob: Blob, failures: list[ZooError], kept: int) -> ZooError:
    """One error for all sources: of the gravest kind among them, with a line for each."""
    if not failures:
        return ZooError(f"the registry names no source of sha256-{blob.sha256}: nothing to fetch.")
    for kind in (DigestMismatch, NetworkError, ZooError):
        if any(isinstance(failure, kind) for failure in failures):
            break
    text = "\n".join(map(str, failures))
    if kept:
        text += f"\nThe {kept} bytes that arrived are kept: the same command goes on from there."
    return kind(text)
