"""Hugging Face data sets: class numbers over all files, rows without a label, and no network."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from zoo_core import errors
from zoo_core.data import load_dataset


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
    ["", "import huggingface_hub.constants", "import datasets", "import timm", "import zoo_core"],
)
def test_no_request_is_made_offline_whatever_is_imported_first(tmp_path: Path, before: str) -> None:
    pytest.importorskip("datasets")
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    environment |= {"ZOO_OFFLINE": "1", "ZOO_HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf")}
    code = OFFLINE.format(before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_hugging_face_is_told_by_the_first_import(tmp_path: Path) -> None:
    environment = os.environ | {"ZOO_OFFLINE": "1", "HF_HUB_OFFLINE": "0"}
    code = "import zoo_core, os; print(os.environ['HF_HUB_OFFLINE'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
