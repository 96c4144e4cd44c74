"""Addresses of files, here or elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["is_url", "join", "local_path"]


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
