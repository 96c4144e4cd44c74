"""What is published: a run or an entry, under a licence."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from zoo_core.errors import UnknownName, ZooError
from zoo_core.publishing import Item, items

LICENCES = {"weights": "CC0-1.0", "code": "Apache-2.0"}


def test_a_run_is_an_item_under_the_licence_that_is_given(runs: Path) -> None:
    item = Item.of(str(runs / "bernoulli.one"))
    assert item.name == "bernoulli.one"
    assert item.weights.read_bytes()
    assert len(item.sha256) == 64
    assert item.licensed(LICENCES).sha256 == item.sha256


def test_an_entry_is_an_item_too(runs: Path) -> None:
    assert Item.of("bernoulli.nltcs").name == "bernoulli.nltcs"


def test_what_is_no_run_and_no_entry(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no entry is named 'bernoulli\.nltsc'"):
        Item.of("bernoulli.nltsc")
    with pytest.raises(ZooError):
        Item.of(str(tmp_path))


def test_no_published_file_holds_the_password_of_an_address(runs: Path, tmp_path: Path) -> None:
    run = tmp_path / "bernoulli.one"
    shutil.copytree(runs / "bernoulli.one", run)
    for name in ("entry.toml", "recipe.toml"):
        text = (run / name).read_text()
        address = '"https://me:secret@a.org/x.csv?sig=secret"'
        assert '"bars-and-stripes"' in text
        (run / name).write_text(text.replace('"bars-and-stripes"', address))
    item = Item.of(str(run))
    files = dict(item.files(pictured=False))
    texts = [repr(item.published()), *(f.decode() for f in files.values() if isinstance(f, bytes))]
    assert all("secret" not in text for text in texts)
    assert sum("https://…@a.org/x.csv?sig=…" in text for text in texts) == len(texts) == 3


def test_weights_of_a_store_that_is_named_from_here_are_linked(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blob, folder = Path("cache/sha256-1"), tmp_path / "folder"
    blob.parent.mkdir()
    blob.write_bytes(b"weights")
    folder.mkdir()
    item = replace(Item.of(str(runs / "bernoulli.one")), weights=blob)
    assert item.weights_as_file(folder).read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("data", "text", "left"),
    [
        ("/faces.csv", "/faces.csv https://a.org", "faces.csv https://a.org"),
        ("/home/me/faces.csv", "/home/me/faces.csv https://a.org", "faces.csv https://a.org"),
        ("mnist", "mnist https://a.org", "mnist https://a.org"),
    ],
)
def test_folders_of_data_are_left_out(data: str, text: str, left: str) -> None:
    assert items._without_folder(text, data) == left
