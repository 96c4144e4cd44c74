"""Addresses: joined, shown without what is secret, and opened in one place."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from zoo_core.urls import hidden, join, local_path, open_url, reason


class Handler(BaseHTTPRequestHandler):
    """Answer with what was asked, the range left out."""

    asked: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        status = 401 if "private" in self.path and "Authorization" not in self.headers else 200
        self.send_response(status)
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
    stream, position = open_url(source, offset)
    with stream:
        return stream.read(), position


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
    with pytest.raises(Exception, match="401") as caught:
        read(f"{server}/private")
    assert reason(caught.value) == "the server answered 401; passwords are read from ~/.netrc"
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    assert read(f"{server}/private") == (b"bytes", 0)
    assert Handler.asked[-1] == ("/private", "Basic bWU6c2VjcmV0")


def test_a_server_that_is_down_is_not_a_file_that_is_missing() -> None:
    with pytest.raises(OSError, match="9") as caught:
        read("http://127.0.0.1:9/x")
    assert "Cannot connect to host 127.0.0.1:9" in reason(caught.value)
    refused = FileNotFoundError("http://a")
    refused.__cause__ = ConnectionRefusedError("refused")
    assert reason(refused) == "refused"
    assert reason(FileNotFoundError("http://a")) == "it is not there"
    assert reason(TimeoutError()) == "no answer in time"
    assert reason(ValueError()) == "ValueError"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a/b?c=d@e", "a/b?c=d@e"),
        ("https://a.org/b", "https://a.org/b"),
        ("https://me:secret@a.org/b", "https://…@a.org/b"),
        ("s3://b/c?token=secret&v=secret", "s3://b/c?token=…&v=…"),
        (
            "GET 'https://x@a.org/?s=x' and https://y@b",
            "GET 'https://…@a.org/?s=…' and https://…@b",
        ),
        ("https://a.org/u@v", "https://a.org/u@v"),
    ],
)
def test_what_is_secret_in_an_address_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


@pytest.mark.parametrize(
    ("base", "url", "joined"),
    [
        ("/a/registry.toml", "w/n", "/a/w/n"),
        ("/a/registry.toml", "../w/n", "/w/n"),
        ("/a/", "n", "/a/n"),
        ("https://h/a/r.toml?k=1", "w/n", "https://h/a/w/n"),
        ("https://h/a/r.toml", "s3://b/n", "s3://b/n"),
        ("https://h/a/r.toml", "/data/n", "/data/n"),
    ],
)
def test_addresses_are_joined_as_in_a_web_page(base: str, url: str, joined: str) -> None:
    assert join(base, url) == joined


def test_a_local_path_is_told_from_an_address() -> None:
    assert local_path("a/b") == Path("a/b")
    assert local_path("file:///a%20b") == Path("/a b")
    assert local_path("hf://a/b") is None
