"""The command play: a page on this machine alone."""

import threading
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from zoo_core.cli import play, root
from zoo_core.errors import InvalidInput
from zoo_core.export import onnx, page


def test_files_are_served_to_this_machine(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("here")
    with play._server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        assert host == "127.0.0.1"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/a.txt") as answer:
            assert answer.read() == b"here"
        server.shutdown()


def test_a_port_that_is_taken_is_refused_before_anything_is_exported(tmp_path: Path) -> None:
    with (
        play._server(tmp_path, 0) as server,
        pytest.raises(InvalidInput, match=r"port \d+ cannot be used: Address already in use"),
    ):
        play._server(tmp_path, server.server_port)


def test_the_page_is_built_and_its_address_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(folder: Path, names: tuple[str, ...], say: object) -> None:
        folder.mkdir(parents=True)
        built.extend(names)

    built: list[str] = []
    monkeypatch.setattr(onnx, "require", lambda: None)
    monkeypatch.setattr(page, "build", build)
    monkeypatch.setattr("http.server.ThreadingHTTPServer.serve_forever", lambda server: None)
    result = CliRunner().invoke(root, ["play", "nade.mnist", "--no-browser"])
    assert result.exit_code == 0, result.output
    assert built == ["nade.mnist"]
    assert result.stdout.startswith("http://127.0.0.1:")
    assert '<div id="zoo-play">' in (tmp_path / "zoo-home" / "play" / "index.html").read_text()
