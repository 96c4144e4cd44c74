"""Places to publish to: folders and buckets, and those that cannot be written to."""

import pytest

from zoo_core.errors import (
    InvalidInput,
    NetworkError,
)
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.store import Store


def test_a_bucket_is_a_place(item: Item) -> None:
    place = place_of("memory://bucket/zoo")
    assert publish([item], place, pictures=False)
    assert publish([item], place, pictures=False) == []
    entry = Registry.load(["memory://bucket/zoo/registry.toml"]).lookup("bernoulli.one")
    assert Store().fetch(entry.blob).read_bytes() == item.weights.read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://a.org/zoo", "https is not written to"),
        ("oci://a.org/zoo", "oci is not written to"),
        ("nope://a", "Protocol not known: nope"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"cannot publish to {text}: {said}"):
        place_of(text)


def test_nothing_is_published_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(NetworkError, match="ZOO_OFFLINE is set"):
        place_of("memory://bucket")
