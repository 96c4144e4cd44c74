"""What a label says about attributes of its samples is known where samples are known."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from toy_models import save_feature_net
from zoo_core import loading
from zoo_core.errors import InvalidInput
from zoo_core.features.attributes import predict_attributes, require_heads
from zoo_core.features.information import mutual_information
from zoo_core.metrics import measure


class Labelled(nn.Module):
    """Each label's sample is one image, which a seed makes."""

    event_shape = (1, 8, 8)

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.classes = classes

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(3))
        assert isinstance(label, Tensor)
        return images[label]


def test_information_of_equal_variables_is_their_entropy_and_of_independent_ones_none() -> None:
    a = torch.arange(60) % 4
    assert mutual_information(a, a, 4, 4) == pytest.approx(math.log(4))
    assert mutual_information(a, a // 2, 4, 2) == pytest.approx(math.log(2))
    assert mutual_information(a, torch.arange(60) // 4 % 5, 4, 6) == pytest.approx(0, abs=1e-12)


def test_information_is_that_of_what_a_net_sees(tmp_path: Path) -> None:
    path = save_feature_net(tmp_path, shape=[1, 8, 8], heads=[3, 4])
    net = require_heads(loading.load(path))
    labels = torch.arange(500) % 5
    seen = predict_attributes(net, Labelled().sample(500, label=labels))
    each = [mutual_information(labels, seen[:, i], 5, k) for i, k in enumerate(net.heads)]
    protocol = {"features": path, "samples": 500}
    for head, expected in enumerate(each):
        measured = measure("attribute_information", Labelled(), protocol | {"head": head})
        assert measured.value == pytest.approx(expected)
    largest = measure("attribute_information", Labelled(), protocol)
    assert largest.value == pytest.approx(max(each))
    assert largest.settled["head"] == each.index(max(each))


def test_a_model_without_labels_and_an_unknown_head_are_refused(tmp_path: Path) -> None:
    path = save_feature_net(tmp_path, shape=[1, 8, 8], heads=[3, 4])
    protocol = {"features": path, "samples": 5}
    with pytest.raises(InvalidInput, match="this model has no labels"):
        measure("attribute_information", Labelled(0), protocol)
    with pytest.raises(InvalidInput, match="head is 2; expected 0 to 1"):
        measure("attribute_information", Labelled(), protocol | {"head": 2})
