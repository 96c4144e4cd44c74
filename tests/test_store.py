import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from zoo_core import store as store_module
from zoo_core import transfer
from zoo_core.errors import (
    BusyError,
    DigestMismatch,
    DiskError,
    InvalidInput,
    NetworkError,
    ZooError,
)
from zoo_core.partial import Partial, partials
from zoo_core.store import Blob, Store, can_pull
from zoo_core.urls import local_path

DATA = b"".join(i.to_bytes(4, "little") for i in range(700_000))  # 2.8 MB: a few chunks
SHA = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """The first part of the address says how the server behaves."""

    protocol_version = "HTTP/1.1"
    asked: ClassVar[list[tuple[str, int]]] = []
    gate: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        way = self.path.strip("/").partition("/")[0]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append((way, start))
        getattr(self, way.replace("-", "_"))(start)

    def answer(self, body: bytes, start: int = 0, *, send: int | None = None) -> None:
        if start >= len(body):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start : None if send is None else start + send])
        self.close_connection = send is not None

    def ranges(self, start: int) -> None:
        self.answer(DATA, start)

    def no_ranges(self, start: int) -> None:
        self.answer(DATA)

    def drops(self, start: int) -> None:
        self.answer(DATA, start, send=1_000_000)

    def drops_at_once(self, start: int) -> None:
        self.answer(DATA, start, send=0)

    def drops_without_ranges(self, start: int) -> None:
        self.answer(DATA, send=1_000_000)

    def lies(self, start: int) -> None:
        self.answer(DATA[:-1] + b"!", start)

    def short(self, start: int) -> None:
        self.answer(DATA[:1_000_000], start)

    def long(self, start: int) -> None:
        self.answer(DATA * 20)

    def page(self, start: int) -> None:
        self.answer(b"<!doctype html><title>Sign in</title>")

    def unclear(self, start: int) -> None:
        """Answer in part, and do not say which part."""
        self.send_response(206)
        self.send_header("Content-Range", "bytes */*")
        self.send_header("Content-Length", str(len(DATA)))
        self.end_headers()
        self.wfile.write(DATA)

    def missing(self, start: int) -> None:
        self.send_error(404)

    def broken(self, start: int) -> None:
        self.send_error(503)

    def gated(self, start: int) -> None:
        """Send a part, then the rest once the test opens the gate."""
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : start + 2_200_000])
        self.gate.wait(30)
        self.wfile.write(DATA[start + 2_200_000 :])

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        """Clients that hang up are what several tests are about."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = []
    Handler.gate = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        Handler.gate.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "PAUSE", 0.001)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a file.safetensors"
    path.write_bytes(DATA)
    return path


def blob(*sources: object) -> Blob:
    return Blob(SHA, len(DATA), tuple(map(str, sources)))


def leave_partial(store: Store, data: bytes) -> Path:
    path = store.path(SHA).with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def held(store: Store) -> int:
    """Bytes that are here of a blob that is being pulled."""
    return sum(partial.stat().st_size for partial in partials(store.path(SHA)))


def is_stored(store: Store) -> bool:
    files = [p.name for p in (store.home / "blobs").iterdir()]
    return files == [f"sha256-{SHA}"] and store.path(SHA).read_bytes() == DATA


def pulling(home: Path, url: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from zoo_core.store import Blob, Store; "
        "home, url, sha, size = sys.argv[1:]; "
        "Store(Path(home)).fetch(Blob(sha, int(size), (url,)))"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(home), url, SHA, str(len(DATA))])


def wait_for(condition: object) -> None:
    end = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "waited 30 seconds in vain"
        time.sleep(0.01)


# What may be asked


@pytest.mark.parametrize(
    ("offline", "sources", "expected"),
    [
        (False, ["http://a/b"], True),
        (True, ["http://a/b"], False),
        (True, ["http://a/b", "/c"], True),
        (True, ["file:///c"], True),
        (True, [], True),
    ],
)
def test_sources_that_may_be_asked(offline: bool, sources: list[str], expected: bool) -> None:
    assert can_pull(blob(*sources), offline=offline) is expected


@pytest.mark.parametrize("offline", ["0", "1"])
def test_what_is_here_is_used_without_asking(
    store: Store, source: Path, offline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.fetch(blob(source))
    monkeypatch.setenv("ZOO_OFFLINE", offline)
    assert store.fetch(blob("http://a.invalid/b")) == path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/a b/c", Path("/a b/c")),
        ("file:///a%20b/c", Path("/a b/c")),
        ("https://a/b", None),
        ("s3://a/b", None),
    ],
)
def test_local_path(text: str, path: Path | None) -> None:
    assert local_path(text) == path


# Local files


def test_a_local_file_is_copied_verified_and_read_only(store: Store, source: Path) -> None:
    path = store.fetch(blob(source))
    assert path == store.path(SHA) == store.home / "blobs" / f"sha256-{SHA}"
    assert is_stored(store)
    assert path.stat().st_mode & 0o777 == 0o444
    assert store.find(blob(source)) == path
    assert store.blobs() == [path]


def test_a_file_url_is_a_path(store: Store, source: Path) -> None:
    store.fetch(blob(source.as_uri()))
    assert is_stored(store)


def test_other_schemes_are_those_of_fsspec(store: Store) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe("/weights", DATA)
    leave_partial(store, DATA[:1000])
    store.fetch(blob("memory://weights"))
    assert is_stored(store)


def test_an_unknown_scheme_is_named(store: Store) -> None:
    with pytest.raises(
        NetworkError, match=r"Cannot fetch gopher://a/b: Protocol not known: gopher"
    ):
        store.fetch(blob("gopher://a/b"))


def test_a_missing_file_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        ZooError, match=r"There is no file .*nowhere. Put the weights there"
    ) as caught:
        store.fetch(blob(tmp_path / "nowhere"))
    assert caught.value.exit_code == 1
    assert store.blobs() == []


def test_a_folder_is_no_source(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match=f"Cannot read {tmp_path}: Is a directory"):
        store.fetch(blob(tmp_path))


def test_no_source_is_an_error(store: Store) -> None:
    with pytest.raises(ZooError, match=f"names no source of sha256-{SHA}"):
        store.fetch(blob())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (DATA[:-1] + b"!", f"({len(DATA)} bytes). Nothing of it was kept."),
        (DATA[:100], "(100 bytes)"),
        (b"", "(0 bytes)"),
        (DATA + b"!", f"got more than {len(DATA)} bytes"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "git lfs pull"),
        (b"/annex/objects/SHA256E-s9--00.safetensors\n", "git annex get"),
    ],
    ids=["corrupt", "truncated", "empty", "oversized", "lfs", "annex"],
)
def test_wrong_bytes_are_refused(store: Store, source: Path, data: bytes, text: str) -> None:
    source.write_bytes(data)
    with pytest.raises(DigestMismatch) as caught:
        store.fetch(blob(source))
    assert str(source) in str(caught.value)
    assert f"expected sha256 {SHA} ({len(DATA)} bytes)" in str(caught.value)
    assert text in str(caught.value)
    assert list((store.home / "blobs").iterdir()) == []


# HTTP


@pytest.mark.parametrize("way", ["ranges", "no-ranges", "drops"])
def test_http(store: Store, server: str, way: str) -> None:
    store.fetch(blob(f"{server}/{way}/weights"))
    assert is_stored(store)


def test_a_dropped_connection_goes_on_where_it_was(store: Store, server: str) -> None:
    store.fetch(blob(f"{server}/drops/weights"))
    starts = [start for _, start in Handler.asked]
    assert starts == sorted(set(starts))
    assert len(starts) >= 3


@pytest.mark.parametrize("way", ["ranges", "no-ranges", "unclear"])
@pytest.mark.parametrize("held", [1, 1_500_000, len(DATA) - 1])
def test_a_pull_resumes(store: Store, server: str, way: str, held: int) -> None:
    leave_partial(store, DATA[:held])
    store.fetch(blob(f"{server}/{way}/weights"))
    assert is_stored(store)
    assert Handler.asked == [(way, held)]


def test_a_complete_partial_file_asks_for_nothing(store: Store, server: str) -> None:
    leave_partial(store, DATA)
    store.fetch(blob(f"{server}/ranges/weights"))
    assert is_stored(store)
    assert Handler.asked == []


@pytest.mark.parametrize("rest", [b"!" * 1000, b"!" * len(DATA), DATA + b"!"])
def test_a_foreign_partial_file_costs_a_second_try_only(
    store: Store, server: str, rest: bytes
) -> None:
    leave_partial(store, rest)
    store.fetch(blob(f"{server}/ranges/weights"))
    assert is_stored(store)


def test_a_source_shorter_than_the_partial_file_is_refused(store: Store, server: str) -> None:
    leave_partial(store, DATA[:1_500_000])
    with pytest.raises(DigestMismatch, match=r"\(1000000 bytes\)"):
        store.fetch(blob(f"{server}/short/weights"))
    assert Handler.asked[:2] == [("short", 1_500_000), ("short", 0)]


def test_a_lying_server_is_refused(store: Store, server: str) -> None:
    with pytest.raises(DigestMismatch, match=f"{server}/lies/weights does not hold"):
        store.fetch(blob(f"{server}/lies/weights"))
    assert list((store.home / "blobs").iterdir()) == []


def test_too_many_bytes_stop_early(store: Store, server: str) -> None:
    got = 0

    def count(more: int) -> None:
        nonlocal got
        got += max(more, 0)

    with pytest.raises(DigestMismatch, match=f"got more than {len(DATA)} bytes"):
        store.fetch(blob(f"{server}/long/weights"), progress=count)
    assert got < len(DATA) + 2**21


def test_a_web_page_is_named(store: Store, server: str) -> None:
    with pytest.raises(DigestMismatch, match="It is a web page"):
        store.fetch(blob(f"{server}/page/weights"))


@pytest.mark.parametrize(
    ("way", "text"), [("missing", "it is not there"), ("broken", "the server answered 503")]
)
def test_a_failing_server_is_named(store: Store, server: str, way: str, text: str) -> None:
    with pytest.raises(NetworkError, match=f"Cannot fetch {server}/{way}/weights: {text}"):
        store.fetch(blob(f"{server}/{way}/weights"))


def test_nobody_listening_is_a_network_error(store: Store) -> None:
    with pytest.raises(NetworkError, match=r"Cannot fetch http://127.0.0.1:9/weights: "):
        store.fetch(blob("http://127.0.0.1:9/weights"))


def test_a_server_that_always_drops_is_given_up_and_the_bytes_kept(
    store: Store, server: str
) -> None:
    with pytest.raises(NetworkError, match=r"The \d+ bytes that arrived are kept"):
        store.fetch(blob(f"{server}/drops-without-ranges/weights"))
    assert 2 <= len(Handler.asked) <= 20
    assert DATA.startswith(store.path(SHA).with_suffix(".partial").read_bytes())


def test_a_server_that_sends_nothing_leaves_nothing(store: Store, server: str) -> None:
    with pytest.raises(NetworkError) as caught:
        store.fetch(blob(f"{server}/drops-at-once/weights"))
    assert "kept" not in str(caught.value)
    assert list((store.home / "blobs").iterdir()) == []


# Mirrors


@pytest.mark.parametrize("first", ["missing", "lies", "long", "short", "drops-at-once"])
def test_the_next_source_is_tried(store: Store, server: str, first: str) -> None:
    store.fetch(blob(f"{server}/{first}/weights", f"{server}/ranges/weights"))
    assert is_stored(store)


def test_a_mirror_goes_on_where_another_dropped(store: Store, server: str) -> None:
    store.fetch(blob(f"{server}/drops-without-ranges/weights", f"{server}/ranges/weights"))
    assert is_stored(store)
    way, start = Handler.asked[-1]
    assert way == "ranges"
    assert start > 0


def test_all_sources_are_named_when_all_fail(store: Store, server: str, tmp_path: Path) -> None:
    sources = [f"{server}/missing/w", tmp_path / "nowhere", f"{server}/lies/w"]
    with pytest.raises(DigestMismatch) as caught:
        store.fetch(blob(*sources))
    assert all(str(source) in str(caught.value) for source in sources)
    with pytest.raises(NetworkError):
        store.fetch(blob(*sources[:2]))


# Offline


def test_offline_uses_what_is_here(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    store.fetch(blob("http://127.0.0.1:9/weights", source))
    assert is_stored(store)
    assert store.fetch(blob("http://127.0.0.1:9/weights")) == store.path(SHA)
    assert store.verify(SHA)


def test_offline_asks_no_server(store: Store, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match=f"{server}/ranges/weights because ZOO_OFFLINE"):
        store.fetch(blob(f"{server}/ranges/weights"))
    assert Handler.asked == []
    assert not store.home.exists()


# Processes


def test_a_killed_pull_resumes(store: Store, server: str) -> None:
    process = pulling(store.home, f"{server}/gated/weights")
    wait_for(lambda: held(store) > 1_000_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = held(store)
    assert not store.path(SHA).exists()
    Handler.gate.set()
    store.fetch(blob(f"{server}/ranges/weights"))
    assert is_stored(store)
    assert Handler.asked[-1] == ("ranges", before)


def test_of_two_processes_one_downloads(store: Store, server: str) -> None:
    url = f"{server}/gated/weights"
    processes = [pulling(store.home, url), pulling(store.home, url)]
    wait_for(lambda: held(store) > 0)
    time.sleep(0.5)  # for the second one to reach the lock
    Handler.gate.set()
    assert [process.wait(30) for process in processes] == [0, 0]
    assert is_stored(store)
    assert Handler.asked == [("gated", 0)]


# A store that cannot be written


def test_a_stored_blob_takes_no_lock_and_no_write(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fetch(blob(source))
    source.unlink()
    (store.home / "locks" / f"{SHA}.lock").unlink(missing_ok=True)
    (store.home / "locks").rmdir()
    for folder in (store.home / "blobs", store.home):
        folder.chmod(0o555)
    before = sorted(store.home.rglob("*"))
    assert store.fetch(blob(source)) == store.path(SHA)
    assert store.verify(SHA)
    assert sorted(store.home.rglob("*")) == before
    for folder in (store.home, store.home / "blobs"):
        folder.chmod(0o755)


def test_a_store_that_cannot_be_made_is_named(tmp_path: Path, source: Path) -> None:
    home = tmp_path / "a-file"
    home.write_text("")
    with pytest.raises(ZooError, match=f"The store {home} cannot be written: .*set ZOO_HOME"):
        Store(home).fetch(blob(source))


def test_a_full_disk_is_named(store: Store, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Partial, "append", full)
    with pytest.raises(DiskError, match=r"cannot be written: No space left on device. Make room"):
        store.fetch(blob(source))
    assert not store.path(SHA).exists()


# The rest


def test_the_store_is_where_zoo_home_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "mine"))
    assert Store().home == tmp_path / "mine"


def test_a_truncated_blob_is_pulled_again(store: Store, source: Path) -> None:
    path = store.fetch(blob(source))
    path.chmod(0o644)
    path.write_bytes(DATA[:10])
    assert store.find(blob(source)) is None
    store.fetch(blob(source))
    assert is_stored(store)


# After the pull


def flip(path: Path) -> None:
    """Change a byte, and keep size and times."""
    before = path.stat()
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"!")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_byte_is_pulled_again_and_kept_aside(
    store: Store, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.fetch(blob(source))
    flip(path)
    assert store.fetch(blob(source)) == path
    assert is_stored(store)
    assert (store.home / "damaged" / path.name).read_bytes() == b"!" + DATA[1:]
    said = capsys.readouterr().err
    assert re.search("was changed since it was pulled: it is moved to .*, and pulled again", said)
    assert store.blobs() == [path]


def test_a_flipped_byte_is_never_served_offline(
    store: Store,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flip(store.fetch(blob(source)))
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError):
        store.fetch(blob("http://a.invalid/b"))
    assert re.search("it is moved to .*, and not used", capsys.readouterr().err)


def test_a_file_that_nothing_touched_is_not_read_again(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.fetch(blob(source))
    read: list[Path] = []
    monkeypatch.setattr(store_module, "digest", lambda path: read.append(path) or SHA)
    store.fetch(blob(source))
    assert not read
    monkeypatch.setenv("ZOO_VERIFY", "always")
    store.fetch(blob(source))
    assert read == [path]


def test_verify_takes_one_word(monkeypatch: pytest.MonkeyPatch, store: Store, source: Path) -> None:
    store.fetch(blob(source))
    monkeypatch.setenv("ZOO_VERIFY", "sometimes")
    with pytest.raises(InvalidInput, match="ZOO_VERIFY is 'sometimes'; expected always"):
        store.fetch(blob(source))


# With the code


def test_weights_that_came_with_the_code_are_used_where_they_lie(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    shipped = replace(blob("http://a.invalid/b"), shipped=(source,))
    assert store.find(shipped) == source
    assert store.fetch(shipped) == source
    assert store.blobs() == []


def test_weights_of_the_code_that_are_not_what_was_promised_are_not_used(
    store: Store, source: Path
) -> None:
    good = source.with_name("good")
    good.write_bytes(DATA)
    source.write_bytes(b"!" + DATA[1:])
    path = store.fetch(replace(blob(good), shipped=(source,)))
    assert path == store.path(SHA) and is_stored(store)


def test_a_file_of_the_code_that_cannot_be_read_leaves_the_sources(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = source.with_name("shipped")
    shipped.write_bytes(DATA)
    digest = store_module.digest

    def closed(path: Path) -> str:
        if path == shipped:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return digest(path)

    monkeypatch.setattr(store_module, "digest", closed)
    assert store.fetch(replace(blob(source), shipped=(shipped,))) == store.path(SHA)
    assert is_stored(store)


def test_verify_sees_one_changed_byte(store: Store, source: Path) -> None:
    path = store.fetch(blob(source))
    assert store.verify(SHA)
    path.chmod(0o644)
    path.write_bytes(b"!" + DATA[1:])
    assert store.find(blob(source)) == path
    assert not store.verify(SHA)


def test_verify_of_nothing_is_an_error(store: Store) -> None:
    with pytest.raises(ZooError, match=f"There is no .*{SHA}: nothing to verify. `zoo pull`"):
        store.verify(SHA)


def test_remove_says_what_it_freed(store: Store, source: Path) -> None:
    store.fetch(blob(source))
    store.path(SHA).with_suffix(".partial").write_bytes(b"left")
    assert store.remove(SHA) == len(DATA) + 4
    assert store.blobs() == []
    assert list((store.home / "blobs").iterdir()) == []
    assert store.remove(SHA) == 0


@pytest.mark.parametrize("given", ["", "ab", SHA.upper(), f"../../{SHA}", SHA[:-1] + "/"])
def test_a_digest_is_64_digits(store: Store, given: str) -> None:
    with pytest.raises(InvalidInput, match="is not a sha256: expected 64"):
        store.path(given)


def test_progress_adds_up(store: Store, server: str) -> None:
    steps: list[int] = []
    leave_partial(store, DATA[:1000])
    store.fetch(blob(f"{server}/no-ranges/weights"), progress=steps.append)
    assert steps[:2] == [1000, -1000]
    assert sum(steps) == len(DATA)


def test_fsspec_is_imported_for_urls_only(store: Store, source: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from zoo_core.store import Blob, Store; "
        "home, source, sha, size = sys.argv[1:]; "
        "Store(Path(home)).fetch(Blob(sha, int(size), (source,))); "
        "print(sorted({'fsspec', 'urllib3', 'torch', 'numpy', 'filelock'} & set(sys.modules)))"
    )
    arguments = [sys.executable, "-c", code, str(store.home), str(source), SHA, str(len(DATA))]
    first, second = (
        subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    )
    assert (first, second) == ("['filelock']", "[]")


# Room, locks and the folder


def test_a_disk_without_room_is_said_before_anything_is_fetched(
    store: Store, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(DiskError, match="has 1,000 bytes free, and 2,800,000 more are needed"):
        store.fetch(blob(f"{server}/ranges/weights"))
    assert Handler.asked == []
    assert list((store.home / "blobs").iterdir()) == []
    leave_partial(store, DATA[:-999])
    store.fetch(blob(f"{server}/ranges/weights"))
    assert is_stored(store)


def test_a_lock_that_is_held_for_ever_is_given_up(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store_module, "PATIENCE", 0.2)
    with store._locked(SHA):
        other = Store(store.home)
        partial = store.path(SHA).with_name(f"sha256-{SHA}.a-host-7-1-0.partial")
        partial.write_bytes(DATA[:100])
        with pytest.raises(BusyError, match="is being pulled by process 7 on a-host, which made"):
            other.fetch(blob(source))
    assert (
        "note: waiting for process 7 on a-host, which is pulling the same"
        in capsys.readouterr().err
    )
    assert other.fetch(blob(source)) == store.path(SHA)


def test_a_file_system_without_locks_costs_no_more_than_a_transfer(
    store: Store, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **keywords: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    store.fetch(blob(source))
    assert is_stored(store)


def test_the_folder_is_tagged_as_a_cache(store: Store, source: Path) -> None:
    store.fetch(blob(source))
    tag = (store.home / "CACHEDIR.TAG").read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
