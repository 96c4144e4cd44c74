"""Cross-entropy over the heads, with mirrored images and smoothed labels."""

import pytest
import torch
from torch import Tensor

from toy_models import feature_net
from zoo_core.errors import InvalidInput
from zoo_core.features.trainer import CrossEntropy


def images(n: int) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_the_objective_is_the_sum_over_the_heads() -> None:
    model, x, labels = feature_net(), images(6), torch.tensor([0, 3, 4, 7, 8, 11])
    values = CrossEntropy(model).validation_step(x, torch.Generator(), labels)
    log_p = [logits.log_softmax(1) for logits in model(x)]
    targets = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 3, 0, 3, 0, 3]])  # 4 · first + second
    expected = -sum(p[torch.arange(6), y] for p, y in zip(log_p, targets, strict=True))
    torch.testing.assert_close(values["nats"], expected)
    wrong = [(p.argmax(1) != y).float() for p, y in zip(log_p, targets, strict=True)]
    torch.testing.assert_close(values["error"], (wrong[0] + wrong[1]) / 2)


def test_a_half_of_the_training_images_is_mirrored() -> None:
    seen: list[Tensor] = []
    model, x = feature_net(), images(400)
    model.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    random, labels = torch.Generator().manual_seed(0), torch.zeros(400).long()
    CrossEntropy(model, flip=True).training_step(x, {"model": Tensor.backward}, random, labels)
    mirrored = (seen[0] == x.flip(3)).flatten(1).all(1)
    assert ((seen[0] == x).flatten(1).all(1) ^ mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_labels_are_smoothed_in_training_alone() -> None:
    model, x, labels = feature_net(), images(6), torch.arange(6)
    plain, smooth = (CrossEntropy(model, smoothing=share) for share in (0.0, 0.2))
    values = [one.values(x, torch.Generator(), labels)["nats"] for one in (plain, smooth)]
    torch.testing.assert_close(values[0], values[1])
    model.train()
    values = [one.values(x, torch.Generator(), labels)["nats"] for one in (plain, smooth)]
    spread = sum(-logits.log_softmax(1).mean(1) for logits in model(x))
    torch.testing.assert_close(values[1], 0.8 * values[0] + 0.2 * spread)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (None, "a classifier learns from labels, and the data have none"),
        (torch.tensor([0, 12]), r"labels run from 0 to 12, but the heads \[3, 4\] have 12 classes"),
        (torch.tensor([-1, 3]), "labels run from -1 to 3"),
    ],
)
def test_labels_that_it_cannot_learn(labels: Tensor | None, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        CrossEntropy(feature_net()).validation_step(images(2), torch.Generator(), labels)
