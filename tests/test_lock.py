"""A lock names bytes, whatever a registry has by then."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core import lock
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.registry import Registry
from zoo_core.store import Store

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def registry(published: Write) -> Registry:
    return Registry.load([published("nade.b", "nade.a")])


def test_what_is_written_is_read(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "zoo.lock"
    lock.write(registry.entries.values(), path)
    entries = lock.read(path)
    assert [entry.name for entry in entries] == ["nade.a", "nade.b"]
    for entry in entries:
        weights = registry.lookup(entry.name).weights
        assert (entry.sha256, entry.bytes) == (weights.sha256, weights.bytes)
        assert Store().fetch(entry.blob(registry)).stat().st_size == weights.bytes
    before = path.read_bytes()
    lock.write(reversed(registry.entries.values()), path)
    assert path.read_bytes() == before


def test_urls_are_kept_and_paths_and_passwords_are_not(
    entry: Make, write_registry: Write, tmp_path: Path
) -> None:
    registry = Registry.load(
        [write_registry(entry(), mirrors=["https://a.org/zoo", "https://me:secret@b.org/zoo"])]
    )
    lock.write(registry.entries.values(), tmp_path / "zoo.lock")
    (locked,) = lock.read(tmp_path / "zoo.lock")
    assert locked.sources == ("https://a.org/zoo/weights/nade.bin",)


def test_bytes_are_found_by_their_digest_under_any_name(
    registry: Registry, published: Write, entry: Make, write_registry: Write, tmp_path: Path
) -> None:
    lock.write([registry.lookup("nade.a")], tmp_path / "zoo.lock")
    (locked,) = lock.read(tmp_path / "zoo.lock")
    known = registry.lookup("nade.a").as_dict()["weights"]
    weights = {key: value for key, value in known.items() if value is not None}
    renamed = Registry.load([write_registry(entry(name="nade.c", weights=weights))])
    assert Store().fetch(locked.blob(renamed)).read_text() == "weights of nade.a"
    moved = Registry.load([write_registry(entry(name="nade.a"))])
    assert locked.blob(moved).sources == ()
    assert locked.blob(moved).sha256 == locked.sha256


def test_entries_are_chosen_by_name(registry: Registry, tmp_path: Path) -> None:
    lock.write(registry.entries.values(), tmp_path / "zoo.lock")
    entries = lock.read(tmp_path / "zoo.lock")
    assert [entry.name for entry in lock.select(entries, ["nade.b"])] == ["nade.b"]
    assert lock.select(entries, []) == entries
    with pytest.raises(UnknownName, match=r"nade.c is not in the lock file\. Did you mean nade"):
        lock.select(entries, ["nade.c"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no .*; `zoo lock ENTRY...` writes one"),
        ("?", "is not TOML"),
        ("schema = 2\nentry = []", "schema"),
        ("schema = 1", "entry"),
        ("schema = 1\n[[entry]]\nname = 'a'", "sha256"),
        (f"schema = 1\n[[entry]]\nname='a'\nbytes=1\nrequires='b'\nsha256='{'A' * 64}'", "sha256"),
    ],
)
def test_a_lock_that_is_not_sound_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "zoo.lock"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=said):
        lock.read(path)
