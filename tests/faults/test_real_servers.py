"""Servers as they are installed, each started by the test: nginx, docker-registry, one of S3; and
as much of the hub's protocol as its client uses.

Published to, with the publisher killed at random requests: what is there is the old registry or the
new one, and running it again completes. One that is not installed is skipped.
"""

import base64
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from zoo_core import web
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.store import Store

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


@pytest.fixture(autouse=True)
def _time_to_answer(_short_waits: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers without a fault answer as soon as they can, on a busy machine late."""
    monkeypatch.setattr(web, "HEADER", 30.0)
    monkeypatch.setattr(web, "WINDOW", 30.0)


PUBLISH = """
import sys
from zoo_core.publishing import Item, place_of, publish
item = Item.of(sys.argv[1]).licensed({"weights": "CC0-1.0", "code": "Apache-2.0"})
publish([item], place_of(sys.argv[2]), pictures=False)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(port: int, *command: str) -> Iterator[None]:
    """Run a server until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None and time.monotonic() < end, f"{command[0]} did not start"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(20)


class Relay:
    """Hands on to a server what it is sent, and kills a process at one of its requests."""

    def __init__(self, port: int) -> None:
        self.to, self.count, self.at = port, 0, 0
        self.is_answered, self.is_due = False, False
        """Whether the request is answered before the kill; whether that answer is awaited."""
        self.victim: subprocess.Popen[bytes] | None = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.to))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(2**16):
                if self._is_moment(data) and self.victim:
                    self.victim.send_signal(signal.SIGKILL)
                    break
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _is_moment(self, data: bytes) -> bool:
        if re.match(rb"(GET|HEAD|POST|PUT|PATCH) /", data):
            self.count += 1
            self.is_due = self.count == self.at and self.is_answered
            return self.count == self.at and not self.is_answered
        return self.is_due and bool(re.match(rb"HTTP/1\.\d [2-5]", data))


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol that publishing and fetching use; every repository exists."""

    protocol_version = "HTTP/1.1"
    files: dict[str, dict[str, bytes]]
    """Of each repository, by their paths."""
    uploaded: dict[str, bytes]
    """Large files by their sha256, which a commit names."""

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if match := re.match(r"/api/models/(\w+/\w+)(/revision/main)?$", self.path):
            return self._json({"id": match[1], "sha": "0" * 40})
        if match := re.match(r"/api/models/(\w+/\w+)/tree/main(?:/([^?]+))?", self.path):
            return self._json(self._listed(match[1], unquote(match[2] or "")))
        match = re.match(r"/(\w+/\w+)/resolve/main/([^?]+)", self.path)
        data = self.files.get(match[1], {}).get(unquote(match[2])) if match else None
        if data is None:
            return self._send(404, b"", "X-Error-Code: EntryNotFound")
        start, _, end = self.headers.get("Range", "bytes=0-")[6:].partition("-")
        part = data[int(start) : int(end) + 1 if end else None]
        where = f"Content-Range: bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        return self._send(206 if "Range" in self.headers else 200, part, where, 'ETag: "0"')

    def do_PUT(self) -> None:
        self.uploaded[self.path.rpartition("/")[2]] = self._body()
        self._send(200, b"")

    def do_POST(self) -> None:
        body = self._body()
        repository = re.sub(r"^/(api/models/)?(\w+/\w+).*", r"\2", self.path)
        if "/paths-info/" in self.path:
            wanted = parse_qs(body.decode())["paths"]
            return self._json([row for path in wanted for row in self._listed(repository, path)])
        if "/preupload/" in self.path:
            rows = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            return self._json({"files": rows})
        if self.path.endswith("/objects/batch"):
            objects = [self._upload(file) for file in json.loads(body)["objects"]]
            return self._json({"transfer": "basic", "objects": objects})
        files = dict(self.files.get(repository, {}))
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.uploaded[value["oid"]]
        self.files[repository] = files
        url = f"http://{self.headers['Host']}/{repository}/commit/{'0' * 40}"
        return self._json({"commitUrl": url, "commitOid": "0" * 40})

    def _upload(self, file: dict[str, Any]) -> dict[str, Any]:
        href = f"http://{self.headers['Host']}/uploaded/{file['oid']}"
        return {**file, "actions": {"upload": {"href": href}}}

    def _listed(self, repository: str, path: str) -> list[dict[str, Any]]:
        """The file of this path, or the files and folders right below it."""
        rows: dict[str, dict[str, Any]] = {}
        for name, data in self.files.get(repository, {}).items():
            if name == path or not path or name.startswith(f"{path}/"):
                below = name[len(path) :].strip("/").split("/")
                is_file = len(below) == 1
                shown = name if is_file else f"{path}/{below[0]}".strip("/")
                rows[shown] = {"type": "file" if is_file else "directory", "path": shown}
                rows[shown] |= {"size": len(data) if is_file else 0, "oid": "0" * 40}
        return list(rows.values())

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), "Content-Type: application/json")

    def _send(self, code: int, body: bytes, *headers: str) -> None:
        self.send_response(code)
        for header in (f"Content-Length: {len(body)}", *headers):
            self.send_header(*header.split(": ", 1))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def registry_of_containers(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    (tmp_path / "server.yml").write_text(
        f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
        f"storage: {{filesystem: {{rootdirectory: {tmp_path}/server}}}}\n"
        f"http: {{addr: 127.0.0.1:{port}}}\n"
    )
    with started(port, "docker-registry", "serve", str(tmp_path / "server.yml")):
        yield port


@contextmanager
def server_of_buckets() -> Iterator[int]:
    port = free_port()
    with started(port, "moto_server", "-H", "127.0.0.1", "-p", str(port)):
        yield port


@contextmanager
def hub() -> Iterator[int]:
    handler = type("OneHub", (Hub,), {"files": {}, "uploaded": {}})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def set_environment(patch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        patch.setenv(name, value)


def bucket(relay: Relay, patch: pytest.MonkeyPatch) -> str:
    import urllib3

    url = f"http://127.0.0.1:{relay.port}"
    set_environment(
        patch,
        AWS_ENDPOINT_URL=url,
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
        AWS_DEFAULT_REGION="us-east-1",
    )
    assert urllib3.request("PUT", f"{url}/bucket").status == 200
    return "s3://bucket/zoo"


def hub_repository(relay: Relay, patch: pytest.MonkeyPatch, home: Path) -> str:
    from huggingface_hub import HfFileSystem, constants

    url = f"http://127.0.0.1:{relay.port}"
    set_environment(
        patch, HF_ENDPOINT=url, HF_HOME=str(home), HF_TOKEN="hf_x", HF_HUB_DISABLE_XET="1"
    )
    # what the client read of the environment when it was imported
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_OFFLINE", False)
    HfFileSystem.clear_instance_cache()
    return "hf://org/zoo"


@pytest.fixture(params=["docker-registry", "moto_server", "hub"])
def relay(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Relay, str]]:
    """A server behind a relay, and the address of what is published there."""
    kind = request.param
    if kind == "hub":
        pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
        server = hub()
    elif not shutil.which(kind):
        pytest.skip(f"{kind} is not installed")
    elif kind == "docker-registry":
        server = registry_of_containers(tmp_path)
    else:
        pytest.importorskip("s3fs", reason="zoo-core[buckets] is not installed")
        server = server_of_buckets()
    with server as port:
        relay = Relay(port)
        if kind == "hub":
            yield relay, hub_repository(relay, monkeypatch, tmp_path / "hub")
        elif kind == "docker-registry":
            yield relay, f"oci://127.0.0.1:{relay.port}/zoo"
        else:
            yield relay, bucket(relay, monkeypatch)
        relay.listener.close()


def names(url: str, home: Path) -> list[str]:
    """What a registry names, after all of its weights were fetched."""
    origin = url if url.startswith("oci") else f"{url}/registry.toml"
    entries = Registry.load([origin], refresh=True).entries
    for entry in entries.values():
        Store(home).fetch(entry.blob)
    return list(entries)


def test_a_publisher_is_killed(
    relay: tuple[Relay, str], item: Item, runs: Path, tries: int, count: Any, tmp_path: Path
) -> None:
    there, url = relay
    run = str(runs / "bernoulli.two")

    def start(place: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", PUBLISH, run, place], stderr=-1)

    def prepare(number: int) -> str:
        place = f"{url}{number}"
        publish([item], place_of(place), pictures=False)
        there.count, there.victim = 0, None
        return place

    process = start(prepare(0))
    assert process.wait(120) == 0, process.communicate()[1]
    total, last = there.count, 15 if tries > 1 else 2
    seen = set()
    for number in range(1, last + 1):
        place = prepare(number)
        # one moment of each share of the requests; the last one is the last request, answered
        low, high = total * (number - 1) // last + 1, max(1, total * number // last)
        there.at = total if number == last else random.Random(number).randint(min(low, high), high)
        there.is_answered = (last - number) % 2 == 0
        there.victim = start(place)
        there.victim.wait(120)
        assert there.victim.returncode == -signal.SIGKILL
        there.victim = None
        found = names(place, tmp_path / f"home-{number}")
        assert found in (["bernoulli.one"], ["bernoulli.one", "bernoulli.two"])
        seen.add(len(found))
        outcome = "the old registry" if len(found) == 1 else "the new registry"
        count(f"SIGKILL of a publisher, {url.partition(':')[0]}", outcome)
        process = start(place)
        assert process.wait(120) == 0, process.communicate()[1]
        assert names(place, tmp_path / f"home-{number}") == ["bernoulli.one", "bernoulli.two"]
    assert seen == {1, 2}


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_nginx(item: Item, tmp_path: Path, check: Callable[..., bool], blob: Any) -> None:
    """A registry beside its weights, past a redirect, slowly, and by a range."""
    port, folder = free_port(), tmp_path / "www"
    publish([item], place_of(str(folder)), pictures=False)
    scratch = tmp_path / "nginx"
    scratch.mkdir()
    paths = "".join(
        f"{kind}_temp_path {scratch}/{kind}; "
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (scratch / "conf").write_text(
        f"daemon off; worker_processes 1; pid {scratch}/pid; error_log {scratch}/log;\n"
        f"{'user root;' if os.getuid() == 0 else ''}\n"
        f"events {{}}\nhttp {{ access_log off; {paths} server {{ listen 127.0.0.1:{port};\n"
        f"root {folder};\nlocation /moved/ {{ rewrite ^/moved/(.*)$ /$1 redirect; }}\n"
        f"location /slow/ {{ alias {folder}/; limit_rate 2m; }} }} }}\n"
    )
    body = random.Random(4).randbytes(1_500_000)
    (folder / "w").write_bytes(body)
    url = f"http://127.0.0.1:{port}"
    with started(port, "nginx", "-e", f"{scratch}/log", "-c", f"{scratch}/conf"):
        for way in ("", "/moved", "/slow"):
            promised = blob(f"{url}{way}/w", body=body)
            home = tmp_path / f"home{way}"
            path = Store(home).path(promised.sha256)
            path.parent.mkdir(parents=True)
            path.with_name(f"{path.name}.partial").write_bytes(body[:700_000])
            Store(home).fetch(promised)
            assert check(home, body)
            (entry,) = Registry.load([f"{url}{way}/registry.toml"]).entries.values()
            assert Store(home).fetch(entry.blob).stat().st_size == entry.weights.bytes
