"""A server with the faults of servers, and the count of what became of each.

`ZOO_FAULTS=20` tries each row twenty times, and those that take long as often as their page says; a
table at the end of the session says how often each was tried, and what came of it.
"""

from __future__ import annotations  # pytest 8.0 has no TerminalReporter

import hashlib
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from zoo_core import transfer, web
from zoo_core.store import Blob

DATA = random.Random(0).randbytes(1_500_000)
TRIES = int(os.environ.get("ZOO_FAULTS", "1"))

_ROWS: dict[str, Counter[str]] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if TRIES > 1 and _ROWS:
        terminalreporter.section("faults: tries and outcomes")
        for row, outcomes in _ROWS.items():
            said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
            terminalreporter.write_line(f"{row:<44} {outcomes.total():>4}  {said}")


@pytest.fixture
def tries() -> int:
    return TRIES


@pytest.fixture
def count() -> Callable[[str, str], None]:
    """Note what came of one try of a row."""

    def note(row: str, outcome: str) -> None:
        _ROWS.setdefault(row, Counter())[outcome] += 1

    return note


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.001)
    monkeypatch.setattr(transfer, "LONGEST", 0.2)
    monkeypatch.setattr(web, "HEADER", 0.4)
    monkeypatch.setattr(web, "WINDOW", 0.4)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass
class Request:
    """A connection, with what was asked on it."""

    way: str
    number: int
    """How many requests of this way came before."""
    start: int
    """Where the range begins; 0 without one."""
    headers: dict[str, str]
    socket: socket.socket
    body: bytes
    """The file that is asked for."""

    def send(self, *parts: bytes | str) -> None:
        for part in parts:
            self.socket.sendall(part.encode() if isinstance(part, str) else part)

    def answer(
        self, body: bytes | None = None, *, stop: int | None = None, **headers: object
    ) -> None:
        """Answer as a sound server does, with ranges; stop: bytes after which it breaks off."""
        body, start = self.body if body is None else body, self.start
        if self.headers.get("if-range", headers.get("etag")) != headers.get("etag"):
            start = 0
        lines = [f"HTTP/1.1 {'206' if start else '200'} x", f"Content-Length: {len(body) - start}"]
        if start:
            lines.append(f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}")
        lines += [f"{key}: {value}" for key, value in headers.items()]
        self.send("\r\n".join(lines) + "\r\n\r\n", body[start:][:stop])

    def status(self, code: int, *headers: str) -> None:
        self.send("\r\n".join([f"HTTP/1.1 {code} x", "Content-Length: 0", *headers]) + "\r\n\r\n")

    def reset(self) -> None:
        """Break off with a reset in place of an end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def slowly(self, seconds: float) -> None:
        """Answer over some time, so that processes meet."""
        self.answer(stop=0)
        step = len(self.body) // 50 + 1
        for begin in range(self.start, len(self.body), step):
            self.send(self.body[begin : begin + step])
            time.sleep(seconds / 50)

    def drip(self, data: bytes) -> None:
        """Send a byte at a time, for ever."""
        for i in range(len(data)):
            self.send(data[i : i + 1])
            time.sleep(0.02)


@dataclass
class Server:
    """Behaves as the first part of the address says; the functions are in `ways`."""

    ways: dict[str, Callable[[Request], None]]
    body: bytes = DATA
    asked: list[Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := connection.recv(4096)):
                    return
                head += more
            first, *lines = head.decode().strip().split("\r\n")
            way = first.split()[1].split("/")[1]
            headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
            start = int(headers.get("range", "bytes=0-")[6:-1])
            number = sum(request.way == way for request in self.asked)
            request = Request(way, number, start, headers, connection, self.body)
            self.asked.append(request)
            self.ways[way](request)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start a server of these ways."""
    started: list[Server] = []

    def start(ways: dict[str, Callable[[Request], None]], body: bytes = DATA) -> Server:
        started.append(Server(ways, body))
        return started[-1]

    yield start
    for server in started:
        server.listener.close()


@pytest.fixture
def blob() -> Callable[..., Blob]:
    def make(*places: object, body: bytes = DATA) -> Blob:
        return Blob(hashlib.sha256(body).hexdigest(), len(body), tuple(map(str, places)))

    return make


@pytest.fixture
def check() -> Callable[..., bool]:
    """Whether a store holds the blob; fails for a wrong one, which no fault may leave."""

    def holds(home: Path, body: bytes = DATA) -> bool:
        path = home / "blobs" / f"sha256-{hashlib.sha256(body).hexdigest()}"
        if not path.exists():
            return False
        assert path.read_bytes() == body
        return True

    return holds
