"""Addresses: joined, and shown without what is secret."""

from pathlib import Path

import pytest

from zoo_core.urls import hidden, join, local_path


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
