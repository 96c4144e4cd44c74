"""Bundles: several entries in one file, and unsound ones."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core.errors import (
    DigestMismatch,
    InvalidInput,
    InvalidRegistry,
    OutputExists,
    ZooError,
)
from zoo_core.publishing import Item, pack, unpack
from zoo_core.store import Store

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


def test_a_bundle_is_a_registry_when_it_is_unpacked(item: Item, runs: Path, tmp_path: Path) -> None:
    two = Item.of(str(runs / "bernoulli.two")).licensed(LICENCES)
    size = pack([item, two], tmp_path / "class.zip")
    assert size == (tmp_path / "class.zip").stat().st_size
    assert pack([item, two], tmp_path / "again.zip") == size
    registry = unpack(tmp_path / "class.zip", tmp_path / "class")
    assert list(registry.entries) == ["bernoulli.one", "bernoulli.two"]
    for each, entry in zip((item, two), registry.entries.values(), strict=True):
        assert Store().fetch(entry.blob).read_bytes() == each.weights.read_bytes()
        assert Path(entry.recipe_file).is_file()
    assert list(tmp_path.glob(".writing-*")) == []


def test_a_bundle_may_hold_what_its_entries_need(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def write(requirements: list[str], folder: Path) -> None:
        asked.extend(requirements)
        folder.mkdir()
        (folder / "zoo_core.whl").write_bytes(b"wheel")

    monkeypatch.setattr("zoo_core.publishing.bundle.write", write)
    pack([item], tmp_path / "class.zip", wheels=True)
    assert asked == ["zoo-core", item.table["requires"]]
    unpack(tmp_path / "class.zip", tmp_path / "class")
    assert (tmp_path / "class" / "wheels" / "zoo_core.whl").read_bytes() == b"wheel"
    said = (tmp_path / "class" / "INSTALL.md").read_text()
    assert "--no-index --find-links class/wheels zoo-core zoo-autoregressive\n" in said


def test_nothing_is_replaced_without_force(item: Item, tmp_path: Path) -> None:
    path, folder = tmp_path / "class.zip", tmp_path / "class"
    pack([item], path)
    with pytest.raises(OutputExists, match="zip is there already; force=True replaces it"):
        pack([item], path)
    pack([item], path, force=True)
    folder.mkdir()
    (folder / "mine").touch()
    with pytest.raises(OutputExists, match="class is there already"):
        unpack(path, folder)
    with pytest.raises(OutputExists, match=r"holds no registry\.toml: it is no bundle, and stays"):
        unpack(path, folder, force=True)
    assert [file.name for file in folder.iterdir()] == ["mine"]


def test_a_bundle_takes_the_place_of_another_and_other_files_stay(
    item: Item, tmp_path: Path
) -> None:
    path, folder = tmp_path / "class.zip", tmp_path / "class"
    pack([item], path)
    unpack(path, folder)
    (folder / "registry.toml").write_text("schema = 1\n")
    for name in ("mine.txt", "runs/mine.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    (folder / "link").symlink_to("runs")
    assert unpack(path, folder, force=True).entries.keys() == {"bernoulli.one"}
    assert (folder / "mine.txt").read_text() == (folder / "link" / "mine.txt").read_text() == "mine"


def test_a_folder_comes_back_where_its_successor_cannot_take_its_place(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = tmp_path / "class.zip", tmp_path / "class"
    pack([item], path)
    unpack(path, folder)
    (folder / "mine.txt").write_text("mine")
    replace = Path.replace

    def fail(source: Path, target: Path) -> Path:
        if source.name == "bundle":
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        unpack(path, folder, force=True)
    assert (folder / "mine.txt").read_text() == "mine"
    left = {each.name for each in tmp_path.iterdir()} - {"zoo-home"}
    assert left == {"class", "class.zip"}


def test_an_archive_that_is_damaged_within_is_refused(item: Item, tmp_path: Path) -> None:
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("registry.toml", "schema = 1\n" * 1000)
    data = bytearray(path.read_bytes())
    data[45:60] = b"\xff" * 15  # behind the header: the compressed bytes
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="cannot be unpacked"):
        unpack(path, tmp_path / "class")


def rezipped(path: Path, change: Callable[[dict[str, bytes]], Any]) -> Path:
    with zipfile.ZipFile(path) as bundle:
        files = {name: bundle.read(name) for name in bundle.namelist()}
    change(files)
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return path


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda f: f.update({"../x": b""}), InvalidInput, "'../x' leads out of the folder"),
        (lambda f: f.update({"/tmp/x": b""}), InvalidInput, "leads out of the folder"),
        (lambda f: f.pop("registry.toml"), InvalidInput, "holds no registry.toml"),
        (lambda f: f.update({"registry.toml": b"?"}), InvalidRegistry, "not TOML"),
        (
            lambda f: f.update({n: f[n] + b"!" for n in f if n.startswith("weights")}),
            DigestMismatch,
            "does not hold the weights that its registry promises",
        ),
        (lambda f: [f.pop(n) for n in list(f) if n[:7] == "weights"], DigestMismatch, "not hold"),
        (
            lambda f: f.update(
                {"registry.toml": f["registry.toml"].replace(b"weights/", b"/etc/")}
            ),
            InvalidInput,
            "names files outside of it",
        ),
        (
            lambda f: f.update(
                {"registry.toml": f["registry.toml"].replace(b'"recipes/', b'"/etc/')}
            ),
            InvalidInput,
            "names files outside of it",
        ),
    ],
)
def test_a_bundle_that_is_not_sound_leaves_nothing(
    item: Item,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], Any],
    error: type[ZooError],
    said: str,
) -> None:
    pack([item], tmp_path / "class.zip")
    path = rezipped(tmp_path / "class.zip", change)
    with pytest.raises(error, match=said):
        unpack(path, tmp_path / "class")
    assert [file.name for file in tmp_path.iterdir() if "zoo-" not in file.name] == ["class.zip"]


def test_what_is_no_zip_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no")
    with pytest.raises(InvalidInput, match="zip cannot be unpacked: File is not a zip file"):
        unpack(tmp_path / "x.zip", tmp_path / "x")
    with pytest.raises(InvalidInput, match="cannot be unpacked: No such file"):
        unpack(tmp_path / "y.zip", tmp_path / "y")
