"""What a loader may return: each fault is refused with the loader's name."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from zoo_core.data import Dataset
from zoo_core.data.boundary import check
from zoo_core.errors import InvalidInput

X = torch.zeros(4, 1, 2, 2, dtype=torch.uint8)
SOUND = Dataset("dots", "test", X, 2, torch.tensor([0, 1, 0, 1]), ("a", "b"), ("w", "x", "y", "z"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"levels": 256, "x": X + 255},
        {"x": torch.rand(4, 3), "levels": None},
        {"x": X.flatten(1), "labels": None, "classes": (), "texts": ()},
        {"labels": torch.rand(4, 7)},  # what a trainer made of captions
    ],
)
def test_a_sound_data_set_passes(changes: dict[str, Any]) -> None:
    data = replace(SOUND, **changes)
    assert check(data, "here") is data


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"x": X[0]}, r"x = (1, 2, 2); expected images, (N, C, H, W), or a table, (N, D)"),
        ({"x": [[0]]}, "x = list; expected images"),
        ({"x": X.float()}, "x of torch.float32; expected uint8 where levels is 2"),
        ({"x": X + 2}, "the value 2 in x; expected less than its levels, 2"),
        ({"levels": 1}, "levels = 1; expected 2 to 256, or None where values are real"),
        ({"levels": None}, "x of torch.uint8; expected float32 where levels is None"),
        ({"x": X.float() - 1, "levels": None}, "real values from -1 to -1; expected [0, 1]"),
        ({"x": X / 0, "levels": None}, "real values from nan to nan; expected [0, 1]"),
        ({"labels": torch.tensor([0, 1])}, "2 labels of 4 rows; expected a tensor with one"),
        ({"labels": [0, 1, 0, 1]}, "4 labels of 4 rows; expected a tensor"),
        ({"labels": torch.rand(4)}, "labels of torch.float32; expected int64"),
        ({"labels": torch.tensor([0, 1, 0, 2])}, "the label 2; expected less than its 2 classes"),
        ({"texts": ("one",)}, "1 captions of 4 rows; expected one for each, or none"),
    ],
)
def test_what_is_wrong_is_said_with_the_loader(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(replace(SOUND, **changes), "my.module:dots")
    assert str(caught.value).startswith("my.module:dots returned the data set 'dots' with " + text)


def test_what_is_no_data_set() -> None:
    with pytest.raises(InvalidInput, match=r"^it returned a tuple; expected a zoo_core.data.Data"):
        check((X, None), "it")
