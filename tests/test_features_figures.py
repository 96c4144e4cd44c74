"""The error of one head."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from toy_models import feature_net
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured, measure

BARS = {"data": "bars-and-stripes:test"}


LABELS = load_dataset("bars-and-stripes:test").labels


@pytest.mark.parametrize(("heads", "errs"), [([2, 1], 0), ([1, 2], 1)])
def test_a_head_is_held_against_its_own_classes(heads: list[int], errs: int) -> None:
    model = feature_net(heads=heads, shape=[1, 3, 3])
    one = measure("head_error", model, BARS | {"head": errs})
    wrong = model.classify(load_dataset("bars-and-stripes:test").floats(), errs) != LABELS
    assert one == Measured.of(100.0 * wrong) and one.n == 16
    assert measure("head_error", model, BARS | {"head": 1 - errs}).value == 0.0  # of one class
    if errs == 0:
        assert one == measure("classification_error", model, BARS)


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        (
            nn.Linear(2, 2),
            {},
            "head_error measures a model of the class FeatureNet, which Linear is not",
        ),
        (feature_net(), {"head": 2}, "head is 2; expected 0 to 1"),
        (feature_net(), {"heads": 1}, "head_error: unknown option 'heads'. Did you mean head?"),
    ],
)
def test_a_head_that_cannot_be_measured(
    model: nn.Module, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("head_error", model, BARS | changes)


def test_rows_without_labels_have_no_heads(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" * 20)
    with pytest.raises(InvalidInput, match="has no labels: there are no classes to compare"):
        measure("head_error", feature_net(), {"data": f"{tmp_path / 't.csv'}:test"})
