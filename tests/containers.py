"""A container registry in this process: what the protocol asks of one, and no more."""

import hashlib
import json
import re
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit


class Containers:
    """Blobs by digest, manifests by tag and digest.

    access: how it is asked: without a password, with a `basic` one, or with a `bearer` token.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.access = ""
        self.seen: list[str] = []
        """What each request was authorised by."""
        self.asked: list[tuple[str, str]] = []
        registry = self

        class Handler(_Handler):
            containers = registry

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"oci://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, data: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.blobs[digest] = data
        return digest

    def manifest(self, tag: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.manifests[tag])
        return found


class _Handler(BaseHTTPRequestHandler):
    containers: Containers

    def do_GET(self) -> None:
        self._serve(self._get)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._serve(lambda: self._answer(202, {"Location": "/v2/zoo/blobs/uploads/7?state=x"}))

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self._serve(lambda: self._put(data))

    def _put(self, data: bytes) -> None:
        here = self.containers
        if "/uploads/" in self.path:
            promised = parse_qs(urlsplit(self.path).query)["digest"][0]
            return self._answer(201 if here.keep(data) == promised else 400)
        tag = self.path.rpartition("/")[2]
        manifest = json.loads(data)
        for each in (manifest["config"], *manifest["layers"]):
            assert len(here.blobs[each["digest"]]) == each["size"]
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        here.manifests[tag] = here.manifests[digest] = data
        return self._answer(201)

    def _get(self) -> None:
        kept = self.containers.blobs if "/blobs/" in self.path else self.containers.manifests
        data = kept.get(self.path.rpartition("/")[2])
        if data is None:
            return self._answer(404)
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if start else {}
        return self._answer(206 if start else 200, ranged, data[start:])

    def _serve(self, answer: Callable[[], None]) -> None:
        here, given = self.containers, self.headers.get("Authorization", "")
        here.seen.append(given)
        here.asked.append((self.command, self.path))
        if place := re.match("/to/(.*)", self.path):
            return self._answer(307, {"Location": f"http://{place[1]}"})
        host = self.headers["Host"]
        password = f"Basic {b64encode(b'me:secret').decode()}"
        if self.path.startswith("/token?"):
            right = given == password
            return self._answer(200 if right else 401, {}, b'{"token": "t"}')
        if here.access == "basic" and given != password:
            return self._answer(401, {"WWW-Authenticate": 'Basic realm="zoo"'})
        if here.access == "bearer" and given != "Bearer t":
            asked = f'realm="http://{host}/token",service="zoo",scope="repository:zoo:pull,push"'
            return self._answer(401, {"WWW-Authenticate": f"Bearer {asked}"})
        return answer()

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, data: bytes = b""
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass
