"""Requests over http(s)."""

import pytest

from containers import Containers
from zoo_core import web


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", 0), ("7", 7), ("-7", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_a_server_says_how_long_to_wait(text: str, seconds: float) -> None:
    assert web._pause(text) == seconds


def test_what_is_private_stays_with_its_host(containers: Containers) -> None:
    """A container registry sends elsewhere for its blobs, as those of clouds do."""
    digest = containers.keep(b"bytes")
    port = containers.url.rpartition(":")[2]
    url = f"http://127.0.0.1:{port}/to/localhost:{port}/v2/zoo/blobs/{digest}"
    answer = web.get(url, private={"Authorization": "Bearer secret"})
    assert b"".join(answer.chunks) == b"bytes"
    assert containers.seen == ["Bearer secret", ""]
