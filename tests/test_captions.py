"""Captions go with the images of a data set."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from zoo_core.data import Dataset, load_dataset


def captioned(n: int = 5) -> Dataset:
    x = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2)
    texts = tuple(f"thing {i}" for i in range(n))
    return Dataset("things", "train", x, 256, torch.arange(n), texts=texts)


@pytest.mark.parametrize("rows", [slice(1, 4, 2), slice(-4, None, 2), torch.tensor([1, 3])])
def test_rows_take_labels_and_captions_along(rows: slice | torch.Tensor) -> None:
    part = captioned()[rows]
    assert part.labels is not None
    assert part.labels.tolist() == part.x[:, 0, 0, 0].tolist() == [1, 3]
    assert part.texts == ("thing 1", "thing 3")


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


def test_images_without_captions_have_none(tmp_path: Path) -> None:
    for i in range(30):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i}.png")
    assert load_dataset(str(tmp_path)).texts == ()
