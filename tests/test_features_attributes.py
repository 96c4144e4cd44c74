"""Errors of all heads together, and how far attributes of samples are from those of data."""

from pathlib import Path

import pytest
import torch
from torch import nn

from toy_models import Copyist, feature_net, save_feature_net
from zoo_core import loading
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.attributes import distances, predict_attributes, require_heads
from zoo_core.metrics import measure

BARS = {"data": "bars-and-stripes:test"}


def test_a_distance_is_half_of_the_sum_of_absolute_differences() -> None:
    a = torch.tensor([[0, 0], [0, 1], [0, 1], [0, 1]])
    b = torch.tensor([[1, 0], [2, 1]])
    assert distances(a, b, (3, 2)).tolist() == [1.0, 0.25]
    assert distances(a, a, (3, 2)).tolist() == [0.0, 0.0]


def test_errors_are_the_mean_over_the_heads_and_that_of_the_worst() -> None:
    net = feature_net(heads=[2, 1], shape=[1, 3, 3])  # a head of one class never errs
    first = measure("head_error", net, BARS | {"head": 0}).value
    assert measure("attribute_error", net, BARS).value == pytest.approx(first / 2)
    assert measure("worst_attribute_error", net, BARS).value == pytest.approx(first)


def test_attributes_are_the_heads_answers() -> None:
    net, x = feature_net(), torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    answers = torch.stack([logits.argmax(1) for logits in net(x)], 1)
    assert torch.equal(predict_attributes(net, x), answers)


def test_the_distance_of_samples_is_that_of_the_worst_attribute(tmp_path: Path) -> None:
    path = save_feature_net(tmp_path, heads=[5, 5])  # of which one differs
    protocol = {"data": "bars-and-stripes-4:test", "features": path, "samples": 64, "seed": 0}
    measured = measure("attribute_distance", Copyist(), protocol)
    net = require_heads(loading.load(path))
    samples = Copyist().sample(64, generator=torch.Generator().manual_seed(0))
    rows = load_dataset("bars-and-stripes-4:test").floats()
    expected = distances(
        predict_attributes(net, rows), predict_attributes(net, samples), net.heads
    ).max()
    assert measured.value == pytest.approx(float(expected))
    assert measured.value > 0
    assert measured.settled["features"].startswith(f"{path}@")
    # of a share of 64 samples and of 16 rows, beside one another
    assert 0.03 < measured.error < (0.25 / 64 + 0.25 / len(rows)) ** 0.5


def test_another_model_has_no_heads() -> None:
    with pytest.raises(InvalidInput, match="Linear has no heads: expected a feature net, as feat"):
        require_heads(nn.Linear(2, 2))
