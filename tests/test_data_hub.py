"""Hugging Face data sets: parquet folders, class numbers over all files, and no network."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from factories import deep_png, picture, pictures
from zoo_core import errors
from zoo_core.data import load_dataset, load_images


def write(folder: Path, split: str, names: Sequence[str], labels: Sequence[int | None]) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    features = {"image": datasets.Image(), "kind": datasets.ClassLabel(names=list(names))}
    images = [Image.new("L", (8, 8), i) for i in range(len(labels))]
    rows = {"image": images, "kind": list(labels)}
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    folder.mkdir(exist_ok=True)
    table.to_parquet(str(folder / f"{split}.parquet"))


def test_classes_have_one_number_in_all_splits(tmp_path: Path) -> None:
    kinds = ("cat", "dog", "eel")
    write(tmp_path, "train", kinds, [0, 1, 2])
    write(tmp_path, "validation", kinds, [0])
    write(tmp_path, "test", kinds, [1, 2, None, -1])
    data = load_dataset(f"{tmp_path}:test")
    assert data.classes == kinds
    assert data.labels is not None
    assert data.labels.tolist() == [1, 2, -1, -1]


def test_files_that_number_classes_differently_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "train", ("cat", "dog", "eel"), [0, 1, 2])
    write(tmp_path, "test", ("dog", "eel"), [0, 1])
    with pytest.raises(errors.InvalidInput) as caught:
        load_dataset(f"{tmp_path}:test")
    assert str(caught.value) == (
        "the column 'kind' numbers its classes differently in test.parquet (dog, eel) and in "
        "train.parquet (cat, dog, eel): write all files with one list of names."
    )


def test_damaged_files_are_named(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "train.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(errors.InvalidInput, match="could not be loaded as a Hugging Face data set"):
        load_dataset(str(tmp_path))


OFFLINE = """
import socket, sys
asked = []
def refuse(*args, **options):
    asked.append(args)
    raise OSError("no network in this test")
socket.getaddrinfo = socket.socket.connect = refuse
{before}
from zoo_core.data import load_dataset
from zoo_core.errors import NetworkError
try:
    load_dataset("hf://user/name")
except NetworkError as error:
    assert "ZOO_OFFLINE or HF_HUB_OFFLINE is set" in str(error), error
else:
    raise AssertionError("it was loaded")
assert not asked, asked
"""


@pytest.mark.parametrize(
    "before",
    ["", "import huggingface_hub.constants", "import datasets", "import timm"],
)
def test_no_request_is_made_offline_whatever_is_imported_first(tmp_path: Path, before: str) -> None:
    pytest.importorskip("datasets")
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    environment |= {"ZOO_OFFLINE": "1", "ZOO_HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    code = OFFLINE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_hugging_face_is_told_by_the_first_import(tmp_path: Path) -> None:
    environment = os.environ | {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "0"}
    code = "import zoo_core, os; print(os.environ['HF_HUB_OFFLINE'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "text": datasets.Value("string"),
         "label": datasets.ClassLabel(names=["a", "b"])}
    )  # fmt: skip
    for split, n in (("train", 60), ("test", 4)):
        rows = {
            "image": [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(n)],
            "text": [f"thing {i // 4}" for i in range(n)],
            "label": [i % 2 for i in range(n)],
        }
        table = datasets.Dataset.from_dict(rows, features=features)
        folder = tmp_path / "hub" / "data"
        folder.mkdir(parents=True, exist_ok=True)
        table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return tmp_path / "hub"


def test_a_parquet_folder(parquet: Path) -> None:
    test = load_dataset(f"{parquet}:test")
    assert test.x.shape == (4, 3, 8, 8)
    assert test.x[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert test.classes == ("a", "b")
    assert test.labels is not None
    assert test.labels.tolist() == [0, 1, 0, 1]
    assert load_dataset(f"{parquet}:test", size=4, gray=True).event_shape == (1, 4, 4)


def test_pictures_of_one_caption_stay_in_one_split(parquet: Path) -> None:
    train, validation = (load_dataset(str(parquet), split=s) for s in ("train", "validation"))
    things = [set((part.x[:, 0, 0, 0] // 4).tolist()) for part in (train, validation)]
    assert things[0].isdisjoint(things[1])
    assert len(train) + len(validation) == 60


def test_a_table_without_images(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(str(tmp_path / "train.parquet"))
    with pytest.raises(errors.InvalidInput, match=r"no column of images: its columns are text"):
        load_dataset(str(tmp_path))


def test_the_extra_is_named_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(errors.InvalidInput, match=r"pip install 'zoo-core\[datasets\]'"):
        load_dataset("hf://user/name")


def test_a_hub_name_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*args: object, **options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(errors.NetworkError) as caught:
        load_dataset("hf://user/name")
    assert "no route" in str(caught.value)
    assert "ZOO_OFFLINE or HF_HUB_OFFLINE is set" in str(caught.value)


def test_a_hub_name_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")

    def fail(*args: object, **options: object) -> None:
        raise datasets.exceptions.DatasetNotFoundError("doesn't exist on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(errors.UnknownName, match="doesn't exist on the Hub"):
        load_dataset("hf://user/name")


def test_a_parquet_folder_has_captions(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(60)]
    rows = {"image": images, "caption": [f"thing {i}" for i in range(60)]}
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    table = datasets.Dataset.from_dict(rows, features=features)
    (tmp_path / "hub" / "data").mkdir(parents=True)
    table.to_parquet(str(tmp_path / "hub" / "data" / "train-00000-of-00001.parquet"))
    for split in ("train", "validation", "test"):
        part = load_dataset(f"{tmp_path / 'hub'}:{split}")
        assert part.texts == tuple(f"thing {i}" for i in part.x[:, 0, 0, 0].tolist())


def test_stored_images_follow_the_rules_of_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Upright by EXIF, no more pixels than the bytes are worth, and no colours of 12 in 16 bits."""
    datasets = pytest.importorskip("datasets")
    turned, exif = Image.new("L", (8, 4)), Image.Exif()
    turned.putpixel((0, 0), 255)
    exif[0x0112] = 6
    files = [tmp_path / f"{i}.png" for i in range(4)]
    Image.new("L", (4, 8)).save(files[0])
    turned.save(files[1], exif=exif)
    Image.new("1", (12_000, 12_000)).save(files[2])
    deep_png(files[3], np.full((8, 4, 3), 4095, np.uint16))
    rows = {"image": [{"bytes": file.read_bytes(), "path": None} for file in files]}
    table = datasets.Dataset.from_dict(
        rows, features=datasets.Features({"image": datasets.Image(decode=False)})
    ).cast_column("image", datasets.Image())
    (tmp_path / "hub").mkdir()
    for split in ("train", "validation", "test"):
        table.to_parquet(str(tmp_path / "hub" / f"{split}.parquet"))
    data = load_dataset(str(tmp_path / "hub"), split="test")
    assert data.x.shape == (2, 3, 8, 4) and data.x[1, 0].nonzero().tolist() == [[0, 3]]
    said = capsys.readouterr().err
    assert "row 2 (144,000,000 pixels in" in said and "row 3 (its colours are at most 4,095" in said
    assert "turned upright by EXIF" in said


def stored(folder: Path, cells: Sequence[dict[str, Any]], **feature: Any) -> Path:
    """Parquet files of images as they are stored."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table(
        {"image": pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))}
    )
    features = {"info": {"features": {"image": {"_type": "Image", **feature}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    folder.mkdir()
    for split in ("train", "validation", "test"):
        parquet.write_table(table, folder / f"{split}.parquet")
    return folder


def test_an_image_may_lie_in_an_archive_or_nowhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(tmp_path / "a.png", fill=9)
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "a.png")
    paths = [None, f"zip://a.png::{tmp_path / 'a.zip'}", tmp_path / "a.png", "https://a.org/a.png"]
    cells = [{"bytes": None, "path": path and str(path)} for path in paths]
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    data = load_dataset(str(stored(tmp_path / "hub", cells)), split="test")
    assert data.x.shape == (2, 1, 8, 8) and set(data.x.flatten().tolist()) == {9}
    said = capsys.readouterr().err
    assert "row 0 (missing)" in said and "row 3 (it lies at https://a.org/a.png, and ZOO_" in said


@pytest.mark.parametrize(("mode", "C"), [("L", 1), ("RGB", 3), (None, 3)])
def test_the_mode_that_a_table_declares_holds(tmp_path: Path, mode: str | None, C: int) -> None:
    file = picture(tmp_path / "a.png", mode="RGB", fill=(255, 0, 0))
    grey = picture(tmp_path / "b.png")
    cells = [{"bytes": each.read_bytes(), "path": None} for each in (file, grey)]
    assert (
        load_dataset(str(stored(tmp_path / "hub", cells, mode=mode)), split="test").x.shape[1] == C
    )


def test_a_table_beside_images_is_no_data_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    folder = pictures(tmp_path / "mine", 6, size=(8, 8))
    pq.write_table(pytest.importorskip("pyarrow").table({"nats": [1.0]}), folder / "scores.parquet")
    assert len(load_images([str(folder)], shape=(1, 8, 8)).data) == 6
    assert "tables beside images are left out: scores.parquet" in capsys.readouterr().err
