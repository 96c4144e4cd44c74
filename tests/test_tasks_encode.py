"""Latents of inputs, as a table and as arrays."""

from pathlib import Path

import numpy as np
import torch

from toy_models import Invertible, latents, run
from zoo_core.data import Dataset


def test_latents_come_with_names_and_labels(pets: Path, tmp_path: Path) -> None:
    result = run("encode", Invertible(), pets, batch_size=2)
    assert torch.allclose(result.tensors["z"], latents(10, 60, 110, 160, 210))
    assert [row["label"] for row in result.rows] == list("aabbb")
    assert result.rows[0]["input"] == str(pets / "a" / "0.png")
    assert list(result.rows[0]) == ["input", "label", "z0", "z1"]
    result.save(tmp_path / "z.npz")
    with np.load(tmp_path / "z.npz", allow_pickle=False) as saved:
        assert saved["names"].tolist() == [row["input"] for row in result.rows]
        assert saved["classes"][saved["labels"]].tolist() == list("aabbb")
        assert saved["z"].shape == (5, 2)


def test_inputs_without_labels_have_none(pets: Path) -> None:
    result = run("encode", Invertible(), pets / "a" / "0.png")
    assert list(result.rows[0]) == ["input", "z0", "z1"]
    assert set(result.tensors) == {"z"}


def test_a_label_that_is_missing_has_no_name() -> None:
    x, labels = torch.zeros(3, 1, 1, 2, dtype=torch.uint8), torch.tensor([1, -1, 0])
    for classes, expected in ((("cat", "dog"), ["dog", "", "cat"]), ((), ["1", "", "0"])):
        data = Dataset("pets", "test", x, 256, labels, classes)
        result = run("encode", Invertible(), inputs=(data,))
        assert [row["label"] for row in result.rows] == expected
        assert result.tensors["labels"].tolist() == [1, -1, 0]
