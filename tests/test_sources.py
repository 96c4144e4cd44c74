"""Paths and URLs are read in one way, for as long as they come on."""

import io
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from zoo_core import sources
from zoo_core.sources import SourceError


class Handler(BaseHTTPRequestHandler):
    """Answer with what was asked, the range left out."""

    asked: ClassVar[list[tuple[str, str]]] = []
    proxy: ClassVar[str] = ""

    def do_GET(self) -> None:
        Handler.proxy = self.headers.get("Proxy-Authorization", "")
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", f"http://{self.path.removeprefix('/to/')}")
            self.end_headers()
            return
        if self.path == "/slow":
            time.sleep(1)
        if self.path == "/tagged" and self.headers.get("If-None-Match") == '"a"':
            self.send_response(304)
            self.end_headers()
            return
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        status = 401 if "private" in self.path and "Authorization" not in self.headers else 200
        self.send_response(status)
        self.send_header("ETag", '"a"')
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"bytes")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    Handler.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def read(source: str, offset: int = 0) -> tuple[bytes, int]:
    with sources.read(source, offset) as answer:
        return b"".join(answer.chunks), answer.position


def test_a_path_is_opened_where_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a b"
    path.write_bytes(b"12345")
    assert read(str(path), 2) == (b"345", 2)
    assert read(path.as_uri()) == (b"12345", 0)


def test_a_server_may_ignore_where_to_begin(server: str) -> None:
    assert read(f"{server}/a", 2) == (b"bytes", 0)


def test_a_proxy_is_the_environments(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server)
    assert read("http://nowhere.invalid/weights") == (b"bytes", 0)
    assert Handler.asked == [("http://nowhere.invalid/weights", "")]


def test_a_password_is_taken_from_netrc(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="server answered 401; passwords are read from"):
        read(f"{server}/private")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    assert read(f"{server}/private") == (b"bytes", 0)
    assert Handler.asked[-1] == ("/private", "Basic bWU6c2VjcmV0")


def test_a_password_of_the_address_comes_first_and_is_not_sent_elsewhere(
    server: str, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login you password secret\n")
    address = server.replace("://", "://me:secret@")
    assert read(f"{address}/private") == (b"bytes", 0)
    assert Handler.asked[-1] == ("/private", "Basic bWU6c2VjcmV0")
    port = server.rpartition(":")[2]
    assert read(f"{address}/to/localhost:{port}/a") == (b"bytes", 0)
    assert Handler.asked[-1] == ("/a", "")


def test_a_proxys_password_is_the_proxys(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.replace("://", "://me:secret@"))
    assert read("http://nowhere.invalid/weights") == (b"bytes", 0)
    assert Handler.proxy == "Basic bWU6c2VjcmV0"


def test_no_proxy_names_hosts_that_are_asked_directly(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match="refused"):
        read(f"{server}/a")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert read(f"{server}/a") == (b"bytes", 0)


class Remembering(MemoryFileSystem):
    """Files whose sizes are asked for once, as those of a hub and of a bucket."""

    protocol = "remembering"
    sizes: ClassVar[dict[str, int]] = {}

    def invalidate_cache(self, path: str | None = None) -> None:
        self.sizes.clear()

    def open(self, path: str, mode: str = "rb", **_: object) -> io.BytesIO:
        data = self.cat_file(path.removeprefix("remembering:/"))
        return io.BytesIO(data[: self.sizes.setdefault(path, len(data))])


def test_a_file_that_grew_since_it_was_read_is_read_whole() -> None:
    fsspec.register_implementation("remembering", Remembering, clobber=True)
    fsspec.filesystem("memory").pipe_file("/x", b"one")
    assert read("remembering://x") == (b"one", 0)
    fsspec.filesystem("memory").pipe_file("/x", b"one, two")
    assert read("remembering://x") == (b"one, two", 0)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("http://127.0.0.1:9/x", "no server answers there \\(Connection refused\\)"),
        ("http://a.invalid/x", "the host's name is not known"),
        ("gopher://a/b", "Protocol not known: gopher"),
        ("memory://nothing/here", "it is not there"),
        ("/nowhere", "No such file or directory"),
    ],
)
def test_what_cannot_be_read_says_why(server: str, source: str, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        read(source)


def test_a_whole_answer_has_a_time(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(SourceError, match="no answer in time"),
        sources.read(f"{server}/slow", total=0.2) as answer,
    ):
        list(answer.chunks)


def test_what_is_known_is_not_sent_again(server: str) -> None:
    with sources.read(f"{server}/tagged", known='"a"') as answer:
        assert answer.unchanged and list(answer.chunks) == []
    with sources.read(f"{server}/tagged", known='"b"') as answer:
        assert not answer.unchanged and answer.etag == '"a"' and list(answer.chunks) == [b"bytes"]
