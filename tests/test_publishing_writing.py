"""Entries are published files first, registry last."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

import zoo_core
from zoo_core.errors import (
    InvalidInput,
    OutputExists,
    ZooError,
)
from zoo_core.output import read_provenance
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.store import Store

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_published_run_can_be_pulled_and_run(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = publish([item], place_of(str(tmp_path / "zoo")))
    stem = f"bernoulli.one-{item.sha256[:12]}"
    assert written == [
        f"weights/{stem}.safetensors",
        f"recipes/{stem}.toml",
        f"cards/{stem}.md",
        f"pictures/{stem}.png",
        "registry.toml",
    ]
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "zoo"))
    entry = Registry.load().lookup("bernoulli.one")
    assert (entry.licence.weights, entry.licence.code) == ("CC0-1.0", "Apache-2.0")
    assert Store().fetch(entry.blob).read_bytes() == item.weights.read_bytes()
    assert Path(entry.recipe_file).read_bytes() == item.recipe
    card = (tmp_path / "zoo" / "cards" / f"{stem}.md").read_text()
    assert f"![samples](../pictures/{stem}.png)" in card
    assert "# bernoulli.one" in card and item.sha256 in card and "test_nll" in card
    picture = read_provenance(tmp_path / "zoo" / "pictures" / f"{stem}.png")
    assert picture["sha256"] == item.sha256
    assert zoo_core.run("bernoulli.one", "sample", n=1).images is not None


def test_a_card_shows_a_picture_where_there_is_one(item: Item, tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "zoo"))
    publish([item], place, pictures=False)
    (card,) = (tmp_path / "zoo" / "cards").iterdir()
    assert "![samples]" not in card.read_text()
    publish([item], place)
    assert "![samples]" in card.read_text()


def test_publishing_again_changes_nothing(item: Item, tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "zoo"))
    publish([item], place)
    before = contents(tmp_path / "zoo")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "zoo").rglob("*")}
    assert publish([item], place) == []
    assert contents(tmp_path / "zoo") == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "zoo").rglob("*")} == times


def test_what_is_there_stays_as_it_was_written(item: Item, runs: Path, tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "zoo"))
    publish([item], place, pictures=False)
    path = tmp_path / "zoo" / "registry.toml"
    path.write_text("# a note of mine\n" + path.read_text())
    two = Item.of(str(runs / "bernoulli.two")).licensed(LICENCES)
    publish([two], place, pictures=False)
    assert path.read_text().startswith("# a note of mine\nschema = 1")
    assert list(Registry.load([path]).entries) == ["bernoulli.one", "bernoulli.two"]


def test_a_name_is_not_moved_without_force(item: Item, runs: Path, tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "zoo"))
    publish([item], place, pictures=False)
    before = contents(tmp_path / "zoo")
    other = Item.of(str(runs / "other" / "bernoulli.one")).licensed(LICENCES)
    with pytest.raises(OutputExists, match="one is published there with other weights"):
        publish([other], place, pictures=False)
    assert contents(tmp_path / "zoo") == before
    publish([other], place, force=True, pictures=False)
    after = contents(tmp_path / "zoo")
    assert {
        name: after[name] for name in before if name != "registry.toml"
    }.items() <= before.items()
    (entry,) = tomllib.loads(after["registry.toml"].decode())["entry"]
    assert entry["weights"]["sha256"] == other.sha256
    with pytest.raises(InvalidInput, match="one is given twice, with other weights: publish one"):
        publish([item, other], place, force=True)
    assert not publish([other, other], place, pictures=False)  # one entry, named twice


def test_a_publisher_that_fails_leaves_the_old_registry(
    item: Item, runs: Path, tmp_path: Path
) -> None:
    """Wherever it ends: all that the registry names is there."""
    two = Item.of(str(runs / "bernoulli.two")).licensed(LICENCES)
    total = 8  # files of two entries, without pictures, and the registry, and one more
    for allowed in range(total):
        folder = tmp_path / str(allowed)
        place: Any = place_of(str(folder))
        publish([item], place, pictures=False)
        old = (folder / "registry.toml").read_bytes()
        write, left = place.write, [allowed]

        def limited(name: str, data: Any, write: Any = write, left: list[int] = left) -> None:
            if not left[0]:
                raise OSError("killed")
            left[0] -= 1
            write(name, data)

        place.write = limited
        try:
            publish([two], place, pictures=False)
        except OSError:
            assert (folder / "registry.toml").read_bytes() == old
        for entry in Registry.load([folder]).entries.values():
            assert Store(tmp_path / f"store-{allowed}").fetch(entry.blob)


def test_a_registry_that_somebody_else_changed_meanwhile_is_not_overwritten(
    item: Item, tmp_path: Path
) -> None:
    place: Any = place_of(str(tmp_path / "zoo"))
    write = place.write

    def meanwhile(name: str, data: Any) -> None:
        write("registry.toml", b"schema = 1\n# theirs\n")
        write(name, data)

    place.write = meanwhile
    with pytest.raises(ZooError, match="another publisher was there meanwhile"):
        publish([item], place, pictures=False)
    assert (tmp_path / "zoo" / "registry.toml").read_bytes() == b"schema = 1\n# theirs\n"


def test_an_entry_is_published_as_it_was(tmp_path: Path) -> None:
    item = Item.of("bernoulli.nltcs")
    publish([item], place_of(str(tmp_path)), pictures=False)
    ours = Registry.load().lookup("bernoulli.nltcs").as_dict()
    theirs = Registry.load([tmp_path]).lookup("bernoulli.nltcs").as_dict()
    for place in (ours, theirs):
        place["weights"].pop("url")
        for key in ("origin", "recipe", "shipped"):
            place.pop(key)
    assert theirs == ours


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_a_signed_registry_stays_signed(
    item: Item, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"me {key.with_suffix('.pub').read_text()}")
    place = place_of(str(tmp_path / "zoo"))
    publish([item], place, key=key, pictures=False)
    monkeypatch.setenv("ZOO_TRUST", str(tmp_path / "signers"))
    assert Registry.load([tmp_path / "zoo"]).entries
    assert publish([item], place, key=key, pictures=False) == []
    two = Item.of(str(runs / "bernoulli.two")).licensed(LICENCES)
    with pytest.raises(InvalidInput, match="the registry there is signed: give the key"):
        publish([two], place, pictures=False)
    publish([two], place, key=key, pictures=False)
    assert len(Registry.load([tmp_path / "zoo"]).entries) == 2
