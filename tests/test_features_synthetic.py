"""Classifiers that learn from samples."""

from pathlib import Path
from typing import Any

import pytest

from toy_models import ClassSampler, RowSampler, save_feature_net
from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure

SIDE = 7


DATA = {"data": f"bars-and-stripes-{SIDE}:test", "samples": 256, "seed": 0}


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature net of random weights, as a file."""
    folder = tmp_path_factory.mktemp("net")
    return Path(save_feature_net(folder, shape=[1, SIDE, SIDE], channels=[8] * 4))


def test_train_on_samples_by_class_and_by_pseudo_labels(net: Path) -> None:
    short = DATA | {"steps": 30}
    right = measure("tstr", ClassSampler(), short)
    assert right.settled == {"labels": "class"}
    assert right.real is not None and right.value < 15 and right.real < 15
    assert measure("tstr", ClassSampler(errs=True), short).value > 85
    pseudo = measure("tstr", ClassSampler(), short | {"labels": "pseudo", "features": str(net)})
    assert pseudo.settled["labels"] == "pseudo" and f"{net.name}@" in pseudo.settled["features"]
    assert pseudo.real == right.real
    assert pseudo.value > 15  # a net that never learnt labels at random


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": "clas"}, "labels is 'clas'; expected class or pseudo"),
        ({"labels": "class"}, "RowSampler cannot be sampled by class: expected labels = 'pseudo'"),
    ],
)
def test_labels_that_samples_cannot_have(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("tstr", RowSampler(), DATA | changes)


def test_training_on_samples_needs_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" * 40)
    with pytest.raises(InvalidInput, match="has no labels: there is nothing to train on samples"):
        measure("tstr", RowSampler(), {"data": f"{tmp_path / 't.csv'}:test"})
