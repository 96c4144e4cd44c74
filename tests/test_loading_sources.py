"""What a name stands for: an entry, a run folder or a file."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import zoo_core
from factories import save_nade
from zoo_core.errors import InvalidInput, InvalidRegistry, UnknownName
from zoo_core.loading import Source, entry_beside, entry_of_run, open_source, resolve
from zoo_core.registry import Entry


def test_a_path_is_a_file_or_a_run_folder(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "model.safetensors")
    for name in (path, str(path), tmp_path):
        source = resolve(name)
        assert isinstance(source, Source) and source.path == path and source.entry is None
        assert (source.name, source.architecture) == ("model", "nade")
        assert source.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert open_source(name) == source


def test_a_name_is_an_entry_whose_weights_are_pulled(two: Path) -> None:
    entry = resolve("nade")
    assert isinstance(entry, Entry) and entry.name == "nade.mnist"
    source = open_source("nade.mnist")
    assert source.path.read_bytes() == b"weights of nade.mnist"
    assert source.entry == entry and source.sha256 == entry.weights.sha256


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nothing/model.safetensors", "does not exist; expected a run folder or a safetensors fi"),
        (".", r"holds no model\.safetensors: it is not a run folder, or its training has not re"),
        ("nade.mnits", "no entry is named 'nade.mnits'"),
        ("my run", r"no entry is named 'my run'\. A file or folder is given as '\./my run'\."),
        ("a" * 6000, "no entry is named 'a"),
    ],
)
def test_what_stands_for_nothing(
    name: str, text: str, two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my run").mkdir()
    with pytest.raises(UnknownName, match=text):
        open_source(name)


def test_the_entry_of_a_run_is_beside_its_weights_and_of_those(
    tmp_path: Path, entry: Callable[..., dict[str, object]], write_registry: Callable[..., Path]
) -> None:
    source = resolve(save_nade(tmp_path / "model.safetensors"))
    assert isinstance(source, Source) and entry_beside(source.path) is None
    with pytest.raises(InvalidInput, match="is no entry of a registry, and of no run that has end"):
        entry_of_run(source)
    for sha256, sound in ((source.sha256, True), ("a" * 64, False)):
        weights = {"url": "model.safetensors", "sha256": sha256, "bytes": 9, "parameters": 1}
        record = write_registry(entry(weights=weights))
        record.rename(tmp_path / "entry.toml")
        if sound:
            assert entry_of_run(source).name == "nade.mnist"
        else:
            with pytest.raises(InvalidInput, match=r"is of other weights than .* --resume /"):
                entry_of_run(source)


def test_a_damaged_entry_of_a_run_is_named_alone_with_what_writes_it_again(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "model.safetensors")
    (tmp_path / "entry.toml").write_text("schema = ")
    with pytest.raises(InvalidRegistry) as caught:
        zoo_core.load(path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path}/entry.toml: not TOML: Invalid value")
    assert text.endswith(f". Write it again: zoo train --resume {tmp_path}")
    assert "model.safetensors" not in text


def test_data_in_the_place_of_a_model_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InvalidInput, match=r"my\.csv is data, not a model\. .* --input my\.csv"):
        resolve("my.csv")


def test_an_address_is_no_path_and_its_password_is_not_shown() -> None:
    with pytest.raises(UnknownName) as caught:
        resolve("http://me:secret@a.org/x.safetensors?sig=secret")
    assert str(caught.value).startswith(
        "http://…@a.org/x.safetensors?sig=… is an address; expected"
    )
    assert "`zoo registry add URL`" in str(caught.value)
