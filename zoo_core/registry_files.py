"""Registry files: found here or on a server, read, and kept for the next time.

A validated registry is kept as JSON in the cache folder, so that a thousand entries list at once;
of a remote one there is a copy, which serves where its server does not.
"""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo_core import environment
from zoo_core.errors import InvalidRegistry, NetworkError, UntrustedRegistry
from zoo_core.files import digest, open_regular, user_path, write_atomic
from zoo_core.text import hidden, quoted
from zoo_core.urls import is_url, join, local_path

__all__ = [
    "FRESH",
    "MAX_BYTES",
    "add_source",
    "cached_digests",
    "origin_of",
    "read_document",
    "save_sources",
    "signer_of",
]

CACHE_FORMAT = 3
"""Raised when the schema or its rules change: what older versions cached is parsed again."""

FRESH = 3600.0
"""Seconds for which the copy of a remote registry is used without asking its server."""

MAX_BYTES = 1 << 20
"""Size limit of a registry: what comes from a stranger's server is read whole and parsed."""

_REMOTE = ("http", "https", "hf", "oci")
"""Schemes of addresses that a registry from elsewhere may name."""

PATIENCE = 30.0
"""Seconds in which a server has to send a registry."""


def origin_of(source: str) -> str:
    """The file that a source names, where a folder means the registry in it: a URL, or a path."""
    if source.startswith("oci://"):
        return _in_model(source)
    if is_url(source):
        return f"{source.removesuffix('/')}/registry.toml" if _is_folder(source) else source
    path = user_path(source).absolute()
    return str(path / "registry.toml" if path.is_dir() else path)


def _is_folder(url: str) -> bool:
    """Whether a URL names no file: no suffix at its end, nor a query, which a server may answer."""
    path = url.partition("://")[2].partition("/")[2]
    return "." not in path.rpartition("/")[2] and not {"?", "#"} & {*url}


def _in_model(source: str) -> str:
    """The registry of a model in a container registry, unless a file of it is named."""
    from zoo_core.oci import Address
    from zoo_core.web import SourceError

    try:
        address = Address.of(source)
    except SourceError as error:
        raise InvalidRegistry(f"{hidden(source)} names no registry: {error}.") from None
    return str(replace(address, file=address.file or "registry.toml"))


def read_document(origin: str, *, refresh: bool = False, trusted: bool = False) -> dict[str, Any]:
    """Read and validate a registry.

    refresh: ask a remote one's server even when the copy here is fresh.
    trusted: whether it came with the code, or was written by a training here: it needs no
        signature.

    Raises InvalidRegistry for a file that breaks the schema, UntrustedRegistry for one that the
    user's policy does not allow, and NetworkError when a remote one cannot be had.
    """
    if not is_url(origin):
        data = _local(origin)
        return _validate(data, origin) if trusted else _accept(data, origin)
    return _remote(origin, refresh)


def add_source(origin: str) -> None:
    """Read a registry beside the default ones from now on."""
    save_sources([*environment.added_registries(), origin])


def save_sources(origins: Iterable[str]) -> None:
    """Read these registries beside the default ones, and no others."""
    folder = environment.config()
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"{origin}\n" for origin in dict.fromkeys(origins))
    write_atomic(folder / "registries", "".join(lines).encode())


def signer_of(origin: str) -> str:
    """Who signed a registry that is read; "not checked" where no policy asks, else empty."""
    from zoo_core.signatures import check, is_signed

    copy = _cache_path(origin, ".toml") if is_url(origin) else Path(origin)
    data = copy.read_bytes() if copy.is_file() else b""
    if not is_signed(data):
        return ""
    if not (signers := environment.trust()):
        return "not checked"
    with suppress(UntrustedRegistry):  # what came with the code is read without a signature
        return check(data, signers, hidden(origin)).signer
    return ""


def cached_digests() -> set[str]:
    """The sha256 of all weights that a registry names which was read here before."""
    digests: set[str] = set()
    for path in (environment.home() / "registries").glob("*.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            document = json.loads(path.read_bytes().partition(b"\n")[2])
            digests.update(entry["weights"]["sha256"] for entry in document["entry"])
    return digests


def _local(origin: str) -> bytes:
    try:
        with open_regular(origin) as stream:
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InvalidRegistry(
            f"no registry at {origin}: expected a registry.toml, a folder that holds one, or a URL."
            + (
                " ZOO_REGISTRY holds paths or URLs separated by commas; unset it for zoo's own."
                if environment.registry_sources()
                else ""
            )
        ) from None
    except OSError as error:
        raise InvalidRegistry(f"cannot read the registry {origin}: {error.strerror}.") from None


def _remote(origin: str, refresh: bool) -> dict[str, Any]:
    copy = _cache_path(origin, ".toml")
    if _age(copy) < (0 if refresh else FRESH) or (environment.offline() and copy.is_file()):
        return _accept(copy.read_bytes(), origin)
    tag = _cache_path(origin, ".etag")
    try:
        data, etag = _download(origin, _etag(tag, copy))
    except NetworkError as error:
        if not copy.is_file():
            raise
        sys.stderr.write(f"warning: {error} The copy of {_day(copy)} is used.\n")
        return _accept(copy.read_bytes(), origin)
    data = copy.read_bytes() if data is None else data
    document = _accept(data, origin)  # a bad answer must not replace the last good copy
    _keep(copy, data)
    _keep(tag, f"{hashlib.sha256(data).hexdigest()} {etag}".encode())
    return document


def _etag(path: Path, copy: Path) -> str:
    """The ETag that a server gave a copy; none where it was of other bytes."""
    try:
        sha256, _, etag = path.read_text("utf-8").partition(" ")
        return etag if sha256 == digest(copy) else ""
    except (OSError, ValueError):
        return ""


def _accept(data: bytes, origin: str) -> dict[str, Any]:
    """Check a registry against the user's policy, where there is one, and validate it."""
    if signers := environment.trust():
        from zoo_core.signatures import check

        signature = check(data, signers, hidden(origin))
        path = _cache_path(origin, ".serial")
        seen = _number(path)
        if signature.serial < seen:
            raise UntrustedRegistry(
                f"the registry {hidden(origin)} is not used: it is older than the one that was "
                f"read before (serial {signature.serial}, not {seen}). If that is meant, sign it "
                f"again, or remove {path}."
            )
        document = _validate(data, origin)
        if signature.serial > seen:
            _keep(path, f"{signature.serial}\n".encode())
        return document
    return _validate(data, origin)


def _number(path: Path) -> int:
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return 0


def _download(origin: str, known: str) -> tuple[bytes | None, str]:
    """A registry's bytes and ETag; no bytes where it is still the one that has the known ETag.

    Where there is no copy, a server that may answer in a moment is asked again.
    """
    if environment.offline():
        raise NetworkError(
            f"the registry {hidden(origin)} has not been read before and ZOO_OFFLINE is set. "
            "Unset it once, or copy the registry here and name its path in ZOO_REGISTRY."
        )
    from zoo_core.sources import SourceError  # not where all registries are files
    from zoo_core.transfer import pauses, wait

    for pause in pauses():
        try:
            return _read(origin, known)
        except SourceError as error:
            failure = NetworkError(f"cannot read the registry {hidden(origin)}: {error}.")
            if pause is None or _has_copy(origin) or not error.transient:
                raise failure from None
            wait(failure, pause, error.pause)
    raise AssertionError("the last pause is None")


def _has_copy(origin: str) -> bool:
    return _cache_path(origin, ".toml").is_file()


def _read(origin: str, known: str) -> tuple[bytes | None, str]:
    from zoo_core.sources import read

    data = b""
    with read(origin, known=known, total=PATIENCE) as answer:
        if answer.unchanged:
            return None, known
        for chunk in answer.chunks:
            data += chunk
            if len(data) > MAX_BYTES:
                break
    return data, answer.etag


def _validate(data: bytes, origin: str) -> dict[str, Any]:
    """Parse a registry, or take the cached result for the same bytes."""
    key = f"{CACHE_FORMAT} {hashlib.sha256(data).hexdigest()}\n".encode()
    path = _cache_path(origin, ".json")
    if (cached := _load_cached(path, key)) is not None:
        return cached
    if len(data) > MAX_BYTES:
        raise InvalidRegistry(
            f"{hidden(origin)}: more than the {MAX_BYTES:,} bytes that a registry may have. "
            "Split it into several."
        )
    from zoo_core.schema import parse

    document = parse(data, hidden(origin))
    if is_url(origin) and not local_path(origin):
        _check_reach(document, origin)
    _keep(path, key + json.dumps(document).encode())
    return document


def _check_reach(document: dict[str, Any], origin: str) -> None:
    """Refuse a registry from elsewhere that names files of this machine, or a chain of systems.

    What it names is opened by whoever lists it: a path, a device or a socket of theirs is none of a
    server's business. Addresses relative to the registry, and any of http(s), hf and oci, are.
    """
    named = [("mirrors", mirror) for mirror in document.get("mirrors", ())]
    for entry in document["entry"]:
        named += [(f"entry '{entry['name']}': weights.url", entry["weights"]["url"])]
        named += [(f"entry '{entry['name']}': recipe", entry.get("recipe", "."))]
    for where, url in named:
        source = join(origin, url)
        if "::" in source or "\\" in source or not _is_allowed(source, origin):
            raise InvalidRegistry(
                f"{hidden(origin)}: {where} is {quoted(hidden(url))}; a registry from elsewhere "
                f"names addresses of {', '.join(_REMOTE)}, or relative to itself."
            )


def _is_allowed(source: str, origin: str) -> bool:
    scheme, _, rest = source.partition("://")
    own, _, place = origin.partition("://")
    return bool(rest) and (
        scheme.lower() in _REMOTE
        or (scheme == own and rest.partition("/")[0] == place.partition("/")[0])
    )


def _load_cached(path: Path, key: bytes) -> dict[str, Any] | None:
    try:
        with path.open("rb") as stream:
            if stream.readline() != key:
                return None
            document = json.load(stream)
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "entry" in document else None


def _cache_path(origin: str, suffix: str) -> Path:
    name = hashlib.sha256(os.fsencode(origin)).hexdigest()[:16] + suffix
    return environment.home() / "registries" / name


def _keep(path: Path, data: bytes) -> None:
    """Write a cache file; a cache that cannot be written is only slower."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _day(path: Path) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(path.stat().st_mtime))
