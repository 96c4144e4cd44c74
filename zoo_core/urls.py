"""Addresses of files, here or elsewhere, and the one place where they are opened.

Schemes are those of fsspec. Proxies (`HTTPS_PROXY`, `NO_PROXY`) and the passwords in `~/.netrc` are
the environment's; a name, password or token in an address is never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from zoo_core.text import printable

__all__ = ["hidden", "is_url", "join", "local_path", "open_url", "reason"]

SILENCE = 60.0
"""Seconds without a byte after which a server is given up."""


def is_url(text: str) -> bool:
    """Whether it has a scheme; anything else is a path."""
    return "://" in text


def local_path(source: str) -> Path | None:
    """Return the path that a source names on this machine, None when it is a URL of elsewhere."""
    if source.startswith("file://"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(source).path))
    return None if is_url(source) else Path(source)


def join(base: str, url: str) -> str:
    """Resolve a URL against the folder of `base`; absolute ones pass through."""
    if is_url(url) or Path(url).is_absolute():
        return url
    if is_url(base):
        return f"{base.partition('?')[0].rpartition('/')[0]}/{url}"
    return os.path.normpath(Path(base) / url if base.endswith("/") else Path(base).parent / url)


def hidden(text: str) -> str:
    """A text as it may be shown: addresses in it without passwords and without query values."""
    if not is_url(text):
        return text
    text = re.sub(r"(?<=://)[^/\s@]+@", "…@", text)
    return re.sub(r"([?&][^=&\s]*=)[^&\s'\"]+", r"\1…", text)


def open_url(source: str, offset: int = 0, *, total: float | None = None) -> tuple[IO[bytes], int]:
    """Open a path or URL for reading; return the stream, and the position at which it begins.

    offset: where to begin; a server may ignore it and begin at 0.
    total: seconds after which a server is given up even if it still sends.

    Raises OSError for a path, and what the scheme's file system raises for a URL.
    """
    if path := local_path(source):
        stream: IO[bytes] = path.open("rb")
    elif source.startswith(("http://", "https://")):
        return _open_http(source, offset, total)
    else:
        import fsspec

        system, place = fsspec.url_to_fs(source)
        stream = system.open(place, "rb")
    return stream, stream.seek(offset)


def _open_http(url: str, offset: int, total: float | None) -> tuple[IO[bytes], int]:
    """Ask for the rest of a file in one request, rather than for block after block of it."""
    import aiohttp
    import fsspec

    limits = aiohttp.ClientTimeout(total=total, sock_connect=SILENCE, sock_read=SILENCE)
    system = fsspec.filesystem("http", client_kwargs={"timeout": limits, "trust_env": True})
    # Compressed on the way, a range would not be a range of the file.
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        stream: Any = system.open(url, "rb", block_size=0, size=-1, headers=headers)
    except aiohttp.ClientResponseError as error:
        if offset and error.status == 416:  # it is shorter than what we have: see all of it
            return _open_http(url, 0, total)
        raise
    return stream, _position(stream.r.headers) if stream.r.status == 206 else 0


def _position(headers: Mapping[str, str]) -> int:
    """Return where a partial answer begins: `Content-Range: bytes 500-999/1000`."""
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else 0


def reason(error: Exception) -> str:
    """Say in a few words why a URL could not be read."""
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    if isinstance(cause, Exception):  # fsspec turns a refused connection into FileNotFoundError
        return reason(cause)
    if isinstance(error, FileNotFoundError):
        return "it is not there"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if status := getattr(error, "status", None):
        advice = "; passwords are read from ~/.netrc" if status in (401, 403) else ""
        return f"the server answered {status}{advice}"
    return hidden(printable(error)) or type(error).__name__
