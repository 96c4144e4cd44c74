"""Addresses, joined and told from paths."""

from pathlib import Path

import pytest

from zoo_core.urls import join, local_path


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
