import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from zoo_core.partial import Partial
from zoo_core.store import Store

Zoo = Callable[..., Result]


def test_gc_removes_what_nobody_needs_and_no_more(
    zoo: Zoo, published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.old", "nade.new")))
    zoo("pull", "*")
    store = Store()
    old, new = (
        Path(json.loads(zoo("show", n, "--json").stdout)["path"]) for n in ("nade.old", "nade.new")
    )
    for cached in (store.home / "registries").iterdir():
        cached.unlink()
    published("nade.new")
    blobs = store.home / "blobs"
    living = Partial(new, lambda more: None)
    elsewhere = blobs / f"{new.name}.elsewhere-1-1-0.partial"
    elsewhere.write_bytes(b"being written")
    forgotten = blobs / f"{old.name}.elsewhere-1-1-0.partial"
    dead = blobs / f"{old.name}.partial"
    writing = blobs / ".writing-abc"
    damaged = store.home / "damaged" / old.name
    for folder in (writing, damaged.parent):
        folder.mkdir()
    for path in (dead, forgotten, writing / "x", damaged):
        path.write_bytes(b"12345")
    os.utime(writing, (0, 0))
    os.utime(forgotten, (0, 0))
    aliens = [store.home / folder / "notes.txt" for folder in ("blobs", "damaged", "verified")]
    for alien in aliens:
        alien.write_text("mine")
    expected = {str(path) for path in (old, dead, forgotten, writing, damaged)}
    expected.add(str(store.home / "verified" / old.name))
    rows = json.loads(zoo("gc", "--dry-run", "--json").stdout)
    assert {row["path"] for row in rows} == expected
    assert {row["bytes"] for row in rows} > {5, 19}
    freed = sum(row["bytes"] for row in rows)
    result = zoo("gc", "--dry-run")
    assert f"would free {freed} B" in result.stdout and old.exists()
    result = zoo("gc")
    assert result.exit_code == 0
    assert f"removed {old}: no registry names it" in result.stdout.replace("\n", " ")
    assert result.stdout.endswith(f"freed {freed} B\n")
    assert not any(Path(path).exists() for path in expected)
    assert all(path.exists() for path in (new, living.path, elsewhere, *aliens))
    assert zoo("gc").stdout.splitlines()[-1] == "freed 0 B"


def test_gc_keeps_what_another_registry_names(
    zoo: Zoo,
    published: Callable[..., Path],
    write_registry: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.one")))
    zoo("pull", "*")
    monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(folder="other")))
    assert zoo("gc").stdout == "freed 0 B\n"
    assert len(Store().blobs()) == 1
