"""Completions of inputs, and their masks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toy_models import nade, run
from zoo_core.errors import InvalidInput
from zoo_core.tasks.complete import known_places

BARS = "bars-and-stripes-4:test"


def test_completions_keep_what_is_given() -> None:
    result = run("complete", nade(), inputs=(f"{BARS}[0:5]",), samples=3, batch_size=2)
    completions, x = result.tensors["completions"], result.tensors["inputs"]
    assert completions.shape == (3, 5, 1, 4, 4)
    assert torch.equal(completions[..., :2, :], x[..., :2, :].expand(3, -1, -1, -1, -1))
    assert not torch.equal(completions[0], completions[1])
    assert result.images is not None
    assert result.images.shape == (5 * (2 + 3), 1, 4, 4)
    assert result.columns == 5
    assert result.names == ["input", "given", "completion 1", "completion 2", "completion 3"]
    assert torch.equal(result.images[:5], x)


def test_completions_of_a_table_are_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1,0\n1,0,0,1\n")
    result = run("complete", nade(4), inputs=(str(tmp_path / "t.csv"),), samples=3)
    assert len(result.rows) == 6
    assert all((row["x0"], row["x1"]) in ((0, 1), (1, 0)) for row in result.rows)


def test_a_mask_that_the_order_does_not_allow_is_refused() -> None:
    with pytest.raises(InvalidInput, match="can only complete what comes after"):
        run("complete", nade(), inputs=(BARS,), keep="left")


def test_a_mask_may_be_an_array_of_zeros_and_ones(tmp_path: Path) -> None:
    mask = np.array([[[0, 1], [0, 0]]], dtype=np.uint8)
    np.save(tmp_path / "mask.npy", mask)
    known = known_places(str(tmp_path / "mask.npy"), (1, 2, 2))
    assert known.tolist() == [[[False, True], [False, False]]]


def test_masks() -> None:
    assert known_places("top", (3, 4, 2)).nonzero()[:, 1].unique().tolist() == [0, 1]
    assert known_places("left", (1, 2, 4)).nonzero()[:, 2].unique().tolist() == [0, 1]
    assert known_places("top", (5,)).tolist() == [True, True, False, False, False]


def test_a_picture_is_a_mask(tmp_path: Path) -> None:
    picture = Image.new("L", (4, 4))
    picture.paste(255, (0, 0, 4, 1))
    picture.save(tmp_path / "mask.png")
    known = known_places(str(tmp_path / "mask.png"), (3, 4, 4))
    assert torch.equal(known, known_places("top", (3, 4, 4)) & (torch.arange(4) < 1).view(4, 1))


def test_masks_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no such file\. Expected top, left, or a pic"):
        known_places(str(tmp_path / "none.png"), (1, 4, 4))
    with pytest.raises(InvalidInput, match="this model is of tables, expected top"):
        known_places("left", (4,))
    Image.new("L", (4, 4), 255).save(tmp_path / "all.png")
    with pytest.raises(InvalidInput, match="all of it is white: nothing is to"):
        known_places(str(tmp_path / "all.png"), (1, 4, 4))
