"""Requests over http(s): with the proxies, passwords and certificates that the environment names.

Proxies are those of `HTTPS_PROXY` and `NO_PROXY`, passwords those in `~/.netrc`, certificates those
of `SSL_CERT_FILE`. What goes wrong is a SourceError in a few words, nothing of it secret.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from zoo_core.text import hidden, printable

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["Answer", "SourceError", "failure", "get", "refusal", "request", "until_closed"]

CHUNK = 2**20
"""Bytes that are requested at once."""

HEADER = 30.0
"""Seconds for a connection, with its redirects and headers."""

WINDOW = 30.0
"""Seconds of waiting in which at least some bytes have to come."""

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
    """The requested one, or 0: a server may ignore a range."""
    chunks: Iterator[bytes]
    etag: str = ""
    """A strong one: the same bytes for as long as it is the same."""
    unchanged: bool = False
    """Whether nothing is sent, since the caller has these bytes."""


def get(
    url: str,
    offset: int = 0,
    etag: str = "",
    *,
    known: str = "",
    private: Mapping[str, str] | None = None,
) -> Answer:
    """Ask for the rest of a file in one request.

    etag: of what the range has to be; known: the ETag of what the caller has, which is not sent.
    private: headers for this host, and not for those that it redirects to.

    Raises SourceError.
    """
    # compressed on the way, a range would not be a range of the file
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if etag:
            headers["If-Range"] = etag
    if known:
        headers["If-None-Match"] = known
    response = _follow(url, headers, private or {})
    status, position = response.status, 0
    if status == 304 and known:
        response.close()
        return Answer(0, iter(()), known, unchanged=True)
    if status == 206:
        position = _position(response.headers)
    if status == 416 or position not in (0, offset):
        response.close()  # shorter than what we have, or another range: see all of it
        if offset:
            return get(url, private=private)
    if status not in (200, 206) or position not in (0, offset):
        response.close()
        raise refusal(status, response.headers)
    etag = response.headers.get("ETag", "")
    chunks = until_closed(response, lambda: response.read1(CHUNK))
    return Answer(position, chunks, "" if etag.startswith("W/") else etag)


def _follow(url: str, headers: Mapping[str, str], private: Mapping[str, str]) -> BaseHTTPResponse:
    """The answer to a request, past redirects: each has the proxy and the password of its host."""
    first = urlsplit(url).netloc
    for _ in range(REDIRECTS + 1):
        ours = private if urlsplit(url).netloc == first else {}
        response = request("GET", url, {**headers, **ours})
        place = response.get_redirect_location()
        if not place:
            return response
        response.close()
        url = urljoin(url, place)
        if not url.startswith(("http://", "https://")):
            raise SourceError(f"it redirects to {hidden(printable(url))}, which is not http(s)")
    raise SourceError(f"it redirects more than {REDIRECTS} times")


def request(
    method: str, url: str, headers: Mapping[str, str], body: bytes | IO[bytes] | None = None
) -> BaseHTTPResponse:
    """The answer of one server, whatever it is; raises SourceError where there is none."""
    import urllib3

    parts = urlsplit(url)
    headers = {"User-Agent": "zoo", **headers}
    user = _user(parts.hostname or "", parts.username, parts.password)
    if user and "Authorization" not in headers:
        headers |= urllib3.make_headers(basic_auth=user)
    try:
        response: BaseHTTPResponse = _pool(parts.scheme, parts.hostname or "").request(
            method,
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            body=body,
            headers=headers,
            preload_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=HEADER, read=WINDOW),
        )
        return response
    except urllib3.exceptions.HTTPError as error:
        raise failure(error) from error


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


def until_closed(stream: Any, more: Callable[[], bytes]) -> Iterator[bytes]:
    """Yield what comes of a stream, and close it at the end."""
    with stream:
        while chunk := more():
            yield chunk


def _position(headers: Mapping[str, str]) -> int:
    """Return where a partial answer begins: `Content-Range: bytes 500-999/1000`."""
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else 0


def refusal(status: int, headers: Mapping[str, str]) -> SourceError:
    """Say what a server answered that gave nothing."""
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


def failure(error: Exception) -> SourceError:
    """Say in a few words why a URL could not be read."""
    from urllib3 import exceptions

    if isinstance(error, FileNotFoundError):
        return SourceError("it is not there")
    if isinstance(error, exceptions.NameResolutionError):
        return SourceError(f"the host's name is not known ({_cause(error)})")
    if isinstance(error, exceptions.NewConnectionError):
        return SourceError(f"no server answers there ({_cause(error)})")
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
