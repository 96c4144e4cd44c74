"""Where bytes come from: a path, a web server, or a bucket by way of fsspec, read in one way.

Whatever is not of this machine is read by a thread, and waited for by the caller: a server that
sends its header, or its file, a byte at a time is given up, and so is a library that hangs. Proxies
(`HTTPS_PROXY`, `NO_PROXY`), the passwords in `~/.netrc` and `SSL_CERT_FILE` are the environment's,
for registries and for weights alike.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from zoo_core.text import printable
from zoo_core.urls import hidden, local_path

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["MINIMUM", "Answer", "SourceError", "read"]

CHUNK = 2**20
"""Bytes that are asked for at once."""

HEADER = 30.0
"""Seconds for a connection, with its redirects and headers."""

WINDOW = 30.0
"""Seconds of waiting in which at least `RATE` bytes a second have to come."""

RATE = 1024

MINIMUM = int(RATE * WINDOW)
"""Bytes that are progress: what comes of a window, or before a connection drops."""

AHEAD = 8
"""Chunks that are read before they are used."""

REDIRECTS = 10

TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
"""Status codes of a server that may answer in a moment."""


class SourceError(Exception):
    """A path or URL that could not be read, in a few words.

    Args:
        text: why; nothing of it is secret.
        transient: whether another try may succeed.
        pause: seconds after which the server asks to be tried again.
    """

    def __init__(self, text: str, *, transient: bool = False, pause: float = 0.0) -> None:
        super().__init__(text)
        self.transient, self.pause = transient, pause


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source gives from a position on."""

    position: int
    """The one that was asked for, or 0: a server may ignore a range."""
    chunks: Iterator[bytes]
    etag: str = ""
    """A strong one: the same bytes for as long as it is the same."""


@contextmanager
def read(
    source: str, offset: int = 0, *, etag: str = "", total: float | None = None
) -> Iterator[Answer]:
    """Read a path or URL.

    offset: where to begin.
    etag: what the range has to be of: with another file a server begins at 0.
    total: seconds after which a server is given up even if it still sends.

    Raises SourceError, also while the chunks are read.
    """
    if path := local_path(source):
        yield Answer(offset, _local(path, offset))
        return
    is_http = source.startswith(("http://", "https://"))
    opening = (lambda: _http(source, offset, etag)) if is_http else lambda: _other(source, offset)
    feed = _Feed(opening, total)
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
        answer = self._next(HEADER, "no answer in time")
        assert isinstance(answer, Answer)
        return Answer(answer.position, self._chunks(), answer.etag)

    def abandon(self) -> None:
        self.abandoned.set()

    def _chunks(self) -> Iterator[bytes]:
        waited, got = 0.0, 0
        while True:
            begin = time.monotonic()
            slow = f"fewer than {RATE} bytes a second for {WINDOW:.0f} seconds"
            chunk = self._next(WINDOW - waited, slow)
            if chunk is None:
                return
            assert isinstance(chunk, bytes)
            # only waiting counts: a disk of ours may be slow
            waited, got = waited + time.monotonic() - begin, got + len(chunk)
            if got >= MINIMUM:
                waited, got = 0.0, 0
            elif waited >= WINDOW:
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
            self._put(_failure(error), last=True)

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


def _other(source: str, offset: int) -> Answer:
    """Open what fsspec knows: hf, s3, gs and what is installed beside it."""
    import fsspec

    system, place = fsspec.url_to_fs(source)
    stream = system.open(place, "rb")
    return Answer(stream.seek(offset), _until_closed(stream, lambda: stream.read(CHUNK)))


def _http(url: str, offset: int, etag: str) -> Answer:
    """Ask for the rest of a file in one request."""
    # compressed on the way, a range would not be a range of the file
    headers = {"Accept-Encoding": "identity", "User-Agent": "zoo"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if etag:
            headers["If-Range"] = etag
    response = _follow(url, headers)
    status, position = response.status, 0
    if status == 206:
        position = _position(response.headers)
    if status == 416 or position not in (0, offset):
        response.close()  # shorter than what we have, or another range: see all of it
        if offset:
            return _http(url, 0, "")
    if status not in (200, 206) or position not in (0, offset):
        response.close()
        raise _refusal(status, response.headers)
    etag = response.headers.get("ETag", "")
    chunks = _until_closed(response, lambda: response.read1(CHUNK))
    return Answer(position, chunks, "" if etag.startswith("W/") else etag)


def _follow(url: str, headers: dict[str, str]) -> BaseHTTPResponse:
    """The answer to a request, past redirects: each has the proxy and the password of its host."""
    for _ in range(REDIRECTS + 1):
        response = _request(url, headers)
        place = response.get_redirect_location()
        if not place:
            return response
        response.close()
        url = urljoin(url, place)
        if not url.startswith(("http://", "https://")):
            raise SourceError(f"it redirects to {hidden(printable(url))}, which is not http(s)")
    raise SourceError(f"it redirects more than {REDIRECTS} times")


def _request(url: str, headers: dict[str, str]) -> BaseHTTPResponse:
    import urllib3

    parts = urlsplit(url)
    if user := _user(parts.hostname or "", parts.username, parts.password):
        headers = headers | urllib3.make_headers(basic_auth=user)
    try:
        response: BaseHTTPResponse = _pool(parts.scheme, parts.hostname or "").request(
            "GET",
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            headers=headers,
            preload_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=HEADER, read=WINDOW),
        )
        return response
    except urllib3.exceptions.HTTPError as error:
        raise _failure(error) from error


def _pool(scheme: str, host: str) -> Any:
    """Connections to a host, through a proxy where the environment names one."""
    from urllib.request import getproxies, proxy_bypass

    import urllib3

    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return urllib3.PoolManager()
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    parts = urlsplit(proxy)
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else None
    return urllib3.ProxyManager(
        proxy, proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None
    )


def _user(host: str, name: str | None, password: str | None) -> str:
    """`name:password` for a host: of the address, or else of `~/.netrc`."""
    if name:
        return f"{unquote(name)}:{unquote(password or '')}"
    from netrc import NetrcParseError, netrc

    try:
        known = netrc(os.environ.get("NETRC")).authenticators(host)
    except (OSError, NetrcParseError):
        return ""
    return f"{known[0]}:{known[2]}" if known else ""


def _until_closed(stream: Any, more: Callable[[], bytes]) -> Iterator[bytes]:
    with stream:
        while chunk := more():
            yield chunk


def _position(headers: Mapping[str, str]) -> int:
    """Return where a partial answer begins: `Content-Range: bytes 500-999/1000`."""
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else 0


def _refusal(status: int, headers: Mapping[str, str]) -> SourceError:
    if status == 404:
        return SourceError("it is not there")
    advice = "; passwords are read from ~/.netrc" if status in (401, 403) else ""
    return SourceError(
        f"the server answered {status}{advice}",
        transient=status in TRANSIENT,
        pause=_pause(headers.get("Retry-After", "")),
    )


def _pause(text: str) -> float:
    """Seconds of a header `Retry-After`: a number of them, or a date."""
    from email.utils import parsedate_to_datetime

    if text.isdecimal():
        return float(text[:9])
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _failure(error: Exception) -> SourceError:
    """Say in a few words why a URL could not be read."""
    from urllib3 import exceptions

    if isinstance(error, FileNotFoundError):
        return SourceError("it is not there")
    if isinstance(error, exceptions.NameResolutionError):
        return SourceError(f"the host's name is not known ({_cause(error)})")
    if isinstance(error, exceptions.NewConnectionError):
        return SourceError(f"nobody answers there ({_cause(error)})")
    if isinstance(error, (exceptions.ProxyError, exceptions.SSLError)):
        return SourceError(_cause(error))
    if isinstance(error, (TimeoutError, exceptions.TimeoutError)):
        return SourceError("no answer in time", transient=True)
    if isinstance(error, (ConnectionError, exceptions.ProtocolError)):
        return SourceError(f"the connection broke off ({_cause(error)})", transient=True)
    return SourceError(_cause(error))


def _cause(error: BaseException) -> str:
    """The words of the error that another one was raised from, where there is one."""
    while error.__cause__ is not None:
        error = error.__cause__
    shown = getattr(error, "strerror", None) or error
    return hidden(printable(shown)) or type(error).__name__
