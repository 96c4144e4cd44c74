"""Files in container registries (`oci://`), laid out as ModelPack does, the CNCF's format.

A manifest names files as layers, by digest and path; a tag names a manifest. So a new manifest
takes the place of the old one at once, and other tools for ModelPack read what is pushed here.
Registries of this machine are accessed by http, all others by https. Names and passwords are those
that `docker login` wrote, or of `~/.netrc`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin

from zoo_core import web
from zoo_core.text import printable
from zoo_core.web import Answer, SourceError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

__all__ = ["MODEL", "Address", "Layer", "Repository", "read"]

MODEL = "application/vnd.cncf.model.manifest.v1+json"
"""Type of the artifacts that are models."""

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.cncf.model.config.v1+json"
_PATH = "org.cncf.model.filepath"
_LIMIT = 2**22
"""Bytes of a manifest: what registries take."""

_KINDS = {".safetensors": "weight", ".md": "doc", ".png": "doc"}
"""What a file is by its suffix; any other is of the weights' config."""


@dataclass(frozen=True, slots=True)
class Address:
    """`oci://HOST/REPOSITORY:TAG/FILE`, with `@sha256:…` of a manifest in the place of a tag."""

    host: str
    repository: str
    reference: str
    file: str = ""

    @classmethod
    def of(cls, text: str) -> Address:
        """Parse one: a tag that is left out is `latest`; raises SourceError."""
        match = re.fullmatch(
            r"oci://([^/@\s\[\]]+|\[[0-9a-fA-F:.]+\](?::\d+)?)/([a-z0-9][a-z0-9._/-]*)"
            r"(?:(?::([\w][\w.-]{0,127})|@(sha256:[0-9a-f]{64}))(?:/(.*))?)?",
            text,
        )
        if not match:
            raise SourceError(
                "an address is oci://HOST/REPOSITORY:TAG or …@sha256:DIGEST, and a file's ends in "
                "/FILE; a repository is in lower case"
            )
        host, repository, tag, digest, file = match.groups()
        return cls(host, repository.rstrip("/"), tag or digest or "latest", file or "")

    def __str__(self) -> str:
        mark = "@" if self.is_fixed else ":"
        return f"oci://{self.host}/{self.repository}{mark}{self.reference}/{self.file}"

    @property
    def is_fixed(self) -> bool:
        """Whether it is of one manifest, that never changes."""
        return self.reference.startswith("sha256:")

    @property
    def url(self) -> str:
        """The address of the repository."""
        is_here = re.fullmatch(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?", self.host)
        return f"{'http' if is_here else 'https'}://{self.host}/v2/{self.repository}/"


@dataclass(frozen=True, slots=True)
class Layer:
    """A file of a manifest."""

    path: str
    digest: str
    """`sha256:` and 64 hexadecimal digits."""
    size: int

    def describe(self) -> dict[str, Any]:
        """The descriptor, as in a manifest."""
        kind = _KINDS.get(Path(self.path).suffix, "weight.config")
        return {
            "mediaType": f"application/vnd.cncf.model.{kind}.v1.raw",
            "digest": self.digest,
            "size": self.size,
            "annotations": {_PATH: self.path},
        }


def read(source: str, offset: int, etag: str) -> Answer:
    """Read a file from a position on.

    Raises SourceError, also while the chunks are read.
    """
    address = Address.of(source)
    repository = Repository(address)
    layer = repository.layers().get(address.file)
    if layer is None:
        raise SourceError("it is not there")
    return repository.get(layer, offset, etag)


def _check(chunks: Iterator[bytes], layer: Layer) -> Iterator[bytes]:
    sha256 = hashlib.sha256()
    for chunk in chunks:
        sha256.update(chunk)
        yield chunk
    if f"sha256:{sha256.hexdigest()}" != layer.digest:
        raise SourceError("it is not what its manifest names: damaged, or cut off", transient=True)


class Repository:
    """A repository of a registry, accessed with the passwords that are known of its host."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.authorization: dict[str, str] = {}

    def layers(self) -> dict[str, Layer]:
        """The files of the manifest by path; none where there is no manifest.

        Raises SourceError for an artifact that is no model.
        """
        reference = self.address.reference
        response = self._send("GET", f"manifests/{reference}", {"Accept": _MANIFEST})
        with response:
            if response.status == 404:
                return {}
            data = self._expect(response, 200).read(_LIMIT)
        if self.address.is_fixed and _digest(data) != reference:
            raise SourceError("the manifest has another digest than the requested one")
        try:
            manifest = json.loads(data)
            if manifest.get("artifactType") != MODEL:
                raise SourceError("there is another kind of artifact, and no model")
            layers = [
                Layer(str(each["annotations"][_PATH]), str(each["digest"]), int(each["size"]))
                for each in manifest["layers"]
                if _PATH in each.get("annotations", {})
            ]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SourceError("its manifest is not sound") from error
        return {layer.path: layer for layer in layers}

    def get(self, layer: Layer, offset: int = 0, etag: str = "") -> Answer:
        """A file's bytes; whole, they are checked against their digest.

        `layers` asked before, and what the server wanted to know is sent again.
        """
        url = f"{self.address.url}blobs/{layer.digest}"
        answer = web.get(url, offset, etag, private=self.authorization)
        if answer.position:
            return answer
        return replace(answer, chunks=_check(answer.chunks, layer))

    def push(self, path: str, data: bytes | Path) -> Layer:
        """Push the bytes of a file unless they are there; they have a name with a manifest."""
        digest = _digest(data)
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        with self._send("HEAD", f"blobs/{digest}") as there:
            if there.status >= 400:
                self._upload(data, digest, size)
        return Layer(path, digest, size)

    def _upload(self, data: bytes | Path, digest: str, size: int) -> None:
        with self._send("POST", "blobs/uploads/", {"Content-Length": "0"}) as response:
            place = self._expect(response, 202).headers.get("Location")
        if not place:
            raise SourceError("the server does not say where to upload")
        place += ("&" if "?" in place else "?") + urlencode({"digest": digest})
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._send("PUT", place, headers, data) as response:
            self._expect(response, 201)

    def name(self, layers: Sequence[Layer]) -> None:
        """Give the tag to a manifest of these files."""
        config = {
            "descriptor": {"name": self.address.repository.rpartition("/")[2]},
            "config": {"format": "safetensors"},
            "modelfs": {"type": "layers", "diffIds": [layer.digest for layer in layers]},
        }
        pushed = self.push("", json.dumps(config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "artifactType": MODEL,
            "config": {"mediaType": _CONFIG, "digest": pushed.digest, "size": pushed.size},
            "layers": [layer.describe() for layer in layers],
        }
        place, data = f"manifests/{self.address.reference}", json.dumps(manifest).encode()
        with self._send("PUT", place, {"Content-Type": _MANIFEST}, data) as response:
            self._expect(response, 201)

    def _expect(self, response: BaseHTTPResponse, status: int) -> BaseHTTPResponse:
        if response.status == 401:
            raise SourceError(
                f"the server answered 401; passwords are read from ~/.docker/config.json, where "
                f"`docker login {self.address.host}` writes them, and from ~/.netrc"
            )
        if response.status != status:
            raise web.refusal(response.status, response.headers)
        return response

    def _send(
        self,
        method: str,
        place: str,
        headers: Mapping[str, str] | None = None,
        data: bytes | Path | None = None,
    ) -> BaseHTTPResponse:
        """The answer to a request; once more with what the server wants to know, if it does."""
        for _ in range(2):
            response = self._send_once(method, place, headers or {}, data)
            challenge = response.headers.get("WWW-Authenticate", "")
            if response.status != 401 or not self._authorize(challenge):
                break
            response.close()
        return response

    def _send_once(
        self, method: str, place: str, headers: Mapping[str, str], data: bytes | Path | None
    ) -> BaseHTTPResponse:
        url = urljoin(self.address.url, place)
        if url.startswith(urljoin(self.address.url, "/")):
            headers = {**headers, **self.authorization}
        if not isinstance(data, Path):
            return web.request(method, url, headers, data)
        with data.open("rb") as file:
            return web.request(method, url, headers, file)

    def _authorize(self, challenge: str) -> bool:
        """Answer a server's challenge; False where nothing more is known than was sent."""
        before, known = self.authorization, _password(self.address.host)
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "bearer":
            self.authorization = _token(dict(re.findall(r'(\w+)="([^"]*)"', rest)), known)
        elif known:
            self.authorization = {"Authorization": f"Basic {known}"}
        return self.authorization != before


def _token(asked: Mapping[str, str], password: str) -> dict[str, str]:
    """Ask the server that gives out tokens for one."""
    realm = asked.get("realm", "")
    query = {key: asked[key] for key in ("service", "scope") if key in asked}
    headers = {"Authorization": f"Basic {password}"} if password else {}
    with web.request("GET", f"{realm}?{urlencode(query)}", headers) as response:
        if response.status != 200:
            return {}
        try:
            answer = json.loads(response.read(_LIMIT))
            token = answer.get("token") or answer["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            raise SourceError(f"{printable(realm)} gives no token") from error
    return {"Authorization": f"Bearer {token}"}


def _password(host: str) -> str:
    """What `docker login` wrote of a host, in base64; nothing where it was not called."""
    folder = os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker"
    try:
        known = json.loads((Path(folder) / "config.json").read_bytes())["auths"]
        return str(known[host]["auth"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _digest(data: bytes | Path) -> str:
    if isinstance(data, bytes):
        return f"sha256:{hashlib.sha256(data).hexdigest()}"
    with data.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
