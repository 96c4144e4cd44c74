"""Emoji, labelled by style and group."""

from pathlib import Path

import pytest
from PIL import Image

from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput


def test_a_row_is_labelled_by_its_style_and_its_group(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    names = {"style": ["flat", "round"], "group": ["food", "flags", "faces"]}
    kinds = {key: datasets.ClassLabel(names=known) for key, known in names.items()}
    features = datasets.Features({"image": datasets.Image(), **kinds})
    rows = {
        "image": [Image.new("RGB", (4, 4), (i, 0, 0)) for i in range(4)],
        "style": [0, 0, 1, 1],
        "group": [0, 2, 1, 2],
    }
    (tmp_path / "emoji").mkdir()
    table = datasets.Dataset.from_dict(rows, features=features)
    table.to_parquet(str(tmp_path / "emoji" / "test-00000-of-00001.parquet"))
    test = load_dataset("emoji-kinds:test", root=tmp_path)
    assert test.labels is not None and test.labels.tolist() == [0, 2, 4, 5]
    assert test.classes[4] == "round, flags" and len(test.classes) == 6
    assert load_dataset("emoji:test", root=tmp_path).classes == ("flat", "round")
    with pytest.raises(InvalidInput, match=r"holds no such folder. Give the folder that does as"):
        load_dataset("emoji-kinds", root=tmp_path / "emoji")
