"""Servers as they are installed, each started by the test: nginx, docker-registry, one of S3.

Published to, with the publisher killed at random requests: what is there is the old registry or the
new one, and running it again completes. One that is not installed is skipped.
"""

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
from pathlib import Path
from typing import Any

import pytest

from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.store import Store

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}

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
                if re.match(rb"(GET|HEAD|POST|PUT|PATCH) /", data):
                    self.count += 1
                    if self.victim and self.count == self.at:
                        if self.at % 2:  # the server has it, and nobody waits for its answer
                            target.sendall(data)
                        self.victim.send_signal(signal.SIGKILL)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(params=["docker-registry", "moto_server"])
def relay(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Relay, str]]:
    """A server behind a relay, and the address of what is published there."""
    port, command = free_port(), request.param
    if not shutil.which(command):
        pytest.skip(f"{command} is not installed")
    if command == "moto_server":
        pytest.importorskip("s3fs", reason="zoo-core[buckets] is not installed")
        line = (command, "-H", "127.0.0.1", "-p", str(port))
    else:
        (tmp_path / "server.yml").write_text(
            f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
            f"storage: {{filesystem: {{rootdirectory: {tmp_path}/server}}}}\n"
            f"http: {{addr: 127.0.0.1:{port}}}\n"
        )
        line = (command, "serve", str(tmp_path / "server.yml"))
    with started(port, *line):
        relay = Relay(port)
        if command == "docker-registry":
            yield relay, f"oci://127.0.0.1:{relay.port}/zoo"
        else:
            import urllib3

            url = f"http://127.0.0.1:{relay.port}"
            for name, value in (
                ("AWS_ENDPOINT_URL", url),
                ("AWS_ACCESS_KEY_ID", "x"),
                ("AWS_SECRET_ACCESS_KEY", "x"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
            ):
                monkeypatch.setenv(name, value)
            assert urllib3.request("PUT", f"{url}/bucket").status == 200
            yield relay, "s3://bucket/zoo"
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
    total, moments = there.count, random.Random(0)
    for number in range(1, 16 if tries > 1 else 3):
        place = prepare(number)
        there.at = moments.randint(1, total)
        there.victim = start(place)
        there.victim.wait(120)
        assert there.victim.returncode == -signal.SIGKILL
        there.victim = None
        found = names(place, tmp_path / f"home-{number}")
        assert found in (["bernoulli.one"], ["bernoulli.one", "bernoulli.two"])
        count(f"SIGKILL of a publisher, {url.partition(':')[0]}", f"{len(found)} entries")
        process = start(place)
        assert process.wait(120) == 0, process.communicate()[1]
        assert names(place, tmp_path / f"home-{number}") == ["bernoulli.one", "bernoulli.two"]


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
