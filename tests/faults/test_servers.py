"""What servers do, each alone and with a good mirror behind it: a blob is right, or there is none.

The first column says what the store makes of a server that does nothing else; with the mirror it is
stored in every row.
"""

import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core import transfer
from zoo_core.errors import DigestMismatch, NetworkError, ZooError
from zoo_core.store import Store

HALF = 800_000
BUSY = {429: "Too Many Requests", 500: "", 502: "", 503: "", 504: ""}


def good(request: Any) -> None:
    request.answer()


def drops(then: Callable[[Any], None]) -> Callable[[Any], None]:
    """Break off in the middle of the first answer, and do this to the next; then be good."""

    def way(request: Any) -> None:
        if request.number == 0:
            request.answer(stop=HALF, etag='"a"')
        elif request.number == 1:
            then(request)
        else:
            request.answer(etag='"a"')

    return way


def busy(code: int, *headers: str, times: int = 2) -> Callable[[Any], None]:
    return lambda r: r.status(code, *headers) if r.number < times else r.answer()


def drip_header(request: Any) -> None:
    request.drip(b"HTTP/1.1 200 x\r\n" + b"X: y\r\n" * 10_000)


def drip_body(request: Any) -> None:
    request.send(f"HTTP/1.1 200 x\r\nContent-Length: {1_500_000}\r\n\r\n")
    request.drip(b"x" * 1_500_000)


def drip_chunk_line(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n")
    request.drip(b"1;" + b"x" * 100_000)


def silent(request: Any) -> None:
    time.sleep(2)


def silent_body(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nContent-Length: 1500000\r\n\r\n")
    time.sleep(2)


def reset_at_once(request: Any) -> None:
    request.reset()


def resets_twice(request: Any) -> None:
    if request.number < 2:
        request.reset()
    else:
        request.answer()


def reset_in_body(request: Any) -> None:
    if request.start:
        return request.answer()
    request.answer(stop=HALF)
    return request.reset()


def byte_by_byte(request: Any) -> None:
    request.answer(stop=1)


def endless(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nConnection: close\r\n\r\n")
    for _ in range(100):
        request.send(b"x" * 100_000)


def chunked_break(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n", "186a0\r\n", b"x" * 1000)


def claims_less(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000)


def page(request: Any) -> None:
    request.send("HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n<html>no!")


def other_range(request: Any) -> None:
    request.send("HTTP/1.1 206 x\r\nContent-Range: bytes 7-10/1500000\r\nContent-Length: 4\r\n\r\n")
    request.send(b"1234")


def wrong_bytes(request: Any) -> None:
    request.answer(bytes(1_500_000))


def zipped(request: Any) -> None:
    body = gzip.compress(b"x" * 1000)
    request.send(f"HTTP/1.1 200 x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n")
    request.send(body)


def nonsense(request: Any) -> None:
    request.send(b"\x00\xff" * 5000)


def long_header(request: Any) -> None:
    request.send(b"HTTP/1.1 200 x\r\nA: " + b"x" * 200_000 + b"\r\n\r\n")


def many_headers(request: Any) -> None:
    request.send(b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 1000 + b"\r\n")


ROWS: dict[str, tuple[Callable[[Any], None], type[ZooError] | None]] = {
    "sound": (good, None),
    "a byte at a time, the header": (drip_header, NetworkError),
    "a byte at a time, the body": (drip_body, NetworkError),
    "a byte at a time, the line of a chunk": (drip_chunk_line, NetworkError),
    "accepts and is silent": (silent, NetworkError),
    "silent after the header": (silent_body, NetworkError),
    "resets each connection": (reset_at_once, NetworkError),
    "resets two connections": (resets_twice, None),
    "resets in the body": (reset_in_body, None),
    "one byte, then it drops": (byte_by_byte, NetworkError),
    "sends without an end": (endless, DigestMismatch),
    "breaks off in a chunk": (chunked_break, NetworkError),
    "claims less than the registry": (claims_less, DigestMismatch),
    "a web page": (page, DigestMismatch),
    "a part that was not asked for": (other_range, NetworkError),
    "wrong bytes": (wrong_bytes, DigestMismatch),
    "compressed all the same": (zipped, DigestMismatch),
    "no HTTP": (nonsense, NetworkError),
    "a header line of 200 kB": (long_header, NetworkError),
    "a thousand header lines": (many_headers, NetworkError),
    "404": (lambda r: r.status(404), NetworkError),
    **{f"{code} twice": (busy(code), None) for code in (408, 429, 500, 502, 503, 504)},
    "429, Retry-After in seconds": (busy(429, "Retry-After: 99999"), None),
    "503, Retry-After as a date": (
        busy(503, "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", times=1),
        None,
    ),
    "503, Retry-After nonsense": (busy(503, "Retry-After: soon"), None),
    "503 always": (busy(503, times=99), NetworkError),
    "redirects in a circle": (lambda r: r.status(302, "Location: /redirects"), NetworkError),
    "redirects to a file": (lambda r: r.status(302, "Location: file:///etc/hosts"), NetworkError),
    "drops": (drops(good), None),
    "drops, then wrong bytes": (drops(wrong_bytes), None),
    "drops, then a web page": (drops(page), None),
    "drops, then another range": (drops(other_range), None),
    "drops, then 416": (drops(lambda r: r.status(416)), None),
    "drops, then 404": (drops(lambda r: r.status(404)), NetworkError),
    "drops, then 503": (drops(lambda r: r.status(503)), None),
    "drops, then a reset": (drops(lambda r: r.reset()), None),
    "drops, then another file by its ETag": (drops(lambda r: r.answer(etag='"b"')), None),
    "drops, then ignores ranges": (
        drops(lambda r: (setattr(r, "start", 0), r.answer())[1]),
        None,
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_server(
    row: str,
    serve: Any,
    blob: Any,
    check: Any,
    count: Any,
    tries: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way, expected = ROWS[row]
    if expected:  # a server that is sound in the end takes three rounds: the others get no more
        monkeypatch.setattr(transfer, "ROUNDS", 3)
    for number in range(tries):
        server = serve({"redirects": way})
        home = tmp_path / str(number)
        begin = time.monotonic()
        if expected is None:
            Store(home).fetch(blob(f"{server.url}/redirects/w"))
        else:
            with pytest.raises(expected):
                Store(home).fetch(blob(f"{server.url}/redirects/w"))
        assert time.monotonic() - begin < 10
        assert check(home) is (expected is None)
        count(row, expected.__name__ if expected else "stored")


@pytest.mark.parametrize("row", ROWS)
def test_a_good_mirror_is_asked(
    row: str, serve: Any, blob: Any, check: Any, count: Any, tries: int, tmp_path: Path
) -> None:
    for number in range(tries):
        server = serve({"redirects": ROWS[row][0], "good": good})
        home = tmp_path / str(number)
        Store(home).fetch(blob(f"{server.url}/redirects/w", f"{server.url}/good/w"))
        assert check(home)
        assert [path.name for path in (home / "blobs").iterdir()] == [f"sha256-{blob().sha256}"]
        count(f"{row}, and a mirror", "stored")


def test_a_correct_prefix_is_not_thrown_away(
    serve: Any, blob: Any, check: Any, tmp_path: Path
) -> None:
    """Neither by a mirror whose range is wrong, nor by one that begins anew and drops."""

    def begins_anew(request: Any) -> None:
        request.start = 0
        request.answer(stop=1000)

    server = serve(
        {
            "drops": lambda r: r.answer(stop=HALF) if r.number == 0 else r.status(404),
            "wrong": wrong_bytes,
            "anew": begins_anew,
            "good": good,
        }
    )
    names = ("drops", "wrong", "anew", "good")
    Store(tmp_path).fetch(blob(*(f"{server.url}/{name}/w" for name in names)))
    assert check(tmp_path)
    assert [r.start for r in server.asked if r.way == "good"] == [HALF]


def test_a_range_is_asked_of_the_same_file_only(
    serve: Any, blob: Any, check: Any, tmp_path: Path
) -> None:
    server = serve({"drops": drops(lambda r: r.answer(etag='"a"'))})
    Store(tmp_path).fetch(blob(f"{server.url}/drops/w"))
    assert check(tmp_path)
    assert [r.headers.get("if-range") for r in server.asked] == [None, '"a"']
