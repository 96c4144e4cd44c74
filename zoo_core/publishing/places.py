"""Where entries are published: a folder, a container registry, or what fsspec can write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from urllib3.exceptions import HTTPError

from zoo_core import environment
from zoo_core.errors import InvalidInput, NetworkError, ZooError
from zoo_core.files import atomic, digest, user_path
from zoo_core.oci import Address, Layer, Repository
from zoo_core.sources import file_system
from zoo_core.text import hidden, printable
from zoo_core.urls import is_url, local_path
from zoo_core.web import SourceError, failure

__all__ = ["Place", "place_of"]


class Place(Protocol):
    """A folder of any kind: files in it appear whole."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes; None where there is none."""
        ...

    def holds(self, name: str, source: Path) -> bool:
        """Whether there is this file already."""
        ...

    def write(self, name: str, data: bytes | Path) -> None:
        """Write a file, or the copy of one; it appears when it is whole."""
        ...

    def finish(self) -> None:
        """Let what was written be seen, where that is not at once."""
        ...


def place_of(text: str) -> Place:
    """The place that a path or URL names.

    Raises InvalidInput for one that cannot be written to.
    """
    folder, _, name = text.rpartition("/")
    if name == "registry.toml" or Path(text).is_file():
        raise InvalidInput(
            f"cannot publish to {hidden(text)}: it is a file. Give the folder that its "
            f"registry.toml is in: {hidden(folder) or '.'}."
        )
    if path := local_path(text):
        return _Folder(user_path(path))
    scheme = text.partition("://")[0]
    if scheme in ("http", "https"):
        raise InvalidInput(
            f"cannot publish to {hidden(text)}: {scheme} is not written to. Give a folder, or a "
            "URL such as hf://ORGANISATION/REPOSITORY, s3://BUCKET/FOLDER or oci://HOST/REPOSITORY."
        )
    if environment.offline():
        raise NetworkError(f"cannot publish to {hidden(text)}: ZOO_OFFLINE is set.")
    return _Model(text) if scheme == "oci" else _Remote(text.rstrip("/"))


class _Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def holds(self, name: str, source: Path) -> bool:
        path = self.path / name
        return path.is_file() and digest(path) == digest(source)

    def write(self, name: str, data: bytes | Path) -> None:
        import shutil

        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as partial:
            if isinstance(data, Path):
                shutil.copyfile(data, partial)
            else:
                partial.write_bytes(data)

    def finish(self) -> None:
        pass


class _Remote:
    """An object is written whole, or is not there; so it is in buckets, and in a commit."""

    def __init__(self, url: str) -> None:
        assert is_url(url)
        self.url = url
        try:
            self.system, self.root = file_system(url)
        except Exception as error:  # an unknown scheme, or a package that is not installed
            raise InvalidInput(f"cannot publish to {hidden(url)}: {printable(error)}.") from error

    def read(self, name: str) -> bytes | None:
        try:
            data: bytes = self.system.cat_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:  # each file system has its own
            raise self._failure(name, error) from error
        return data

    def holds(self, name: str, source: Path) -> bool:
        try:
            return bool(self.system.size(f"{self.root}/{name}") == source.stat().st_size)
        except Exception:  # it is written, and what is wrong shows there
            return False

    def write(self, name: str, data: bytes | Path) -> None:
        content: Any = data.read_bytes() if isinstance(data, Path) else data
        try:
            self.system.makedirs(f"{self.root}/{name}".rpartition("/")[0], exist_ok=True)
            self.system.pipe_file(f"{self.root}/{name}", content)
        except Exception as error:
            raise self._failure(name, error) from error

    def finish(self) -> None:
        pass

    def _failure(self, name: str, error: Exception) -> NetworkError:
        where = hidden(f"{self.url}/{name}")
        return NetworkError(f"cannot publish {where}: {hidden(printable(error))}.")


class _Model:
    """A model of a container registry: its tag goes to a manifest of all files at the end."""

    def __init__(self, url: str) -> None:
        try:
            self.address = Address.of(url)
        except SourceError as error:
            raise InvalidInput(f"cannot publish to {hidden(url)}: {error}.") from None
        if self.address.is_fixed or self.address.file:
            raise InvalidInput(
                f"cannot publish to {hidden(url)}: a digest is of what is there already, and a "
                "file is no place; give oci://HOST/REPOSITORY:TAG."
            )
        self.repository = Repository(self.address)
        self.written: dict[str, Layer] = {}

    @cached_property
    def before(self) -> dict[str, Layer]:
        """The files that the tag has; read once, and compared with the tag at the end."""
        return self.repository.layers()

    def read(self, name: str) -> bytes | None:
        with self._explained(name):
            layer = (self.before | self.written).get(name)
            return None if layer is None else b"".join(self.repository.get(layer).chunks)

    def holds(self, name: str, source: Path) -> bool:
        with self._explained(name):
            layer = self.before.get(name)
            return layer is not None and layer.digest == f"sha256:{digest(source)}"

    def write(self, name: str, data: bytes | Path) -> None:
        with self._explained(name):
            self.written[name] = self.repository.push(name, data)

    def finish(self) -> None:
        with self._explained(""):
            if self.repository.layers() != self.before:
                raise ZooError("another publisher was there meanwhile: publish again.")
            self.repository.name(list((self.before | self.written).values()))

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except (SourceError, HTTPError) as error:  # the library's, of an answer that is cut off
            where = replace(self.address, file=name)
            reason = error if isinstance(error, SourceError) else failure(error)
            raise NetworkError(f"cannot publish {where}: {printable(reason)}.") from error
