"""Feature nets: the laws of every model, heads, and images that are moved a little."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zoo_core import plugins
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.features.trainer import CrossEntropy
from zoo_core.metrics import Measured, measure
from zoo_core.protocols import Classifier, Featurizer
from zoo_core.testing import Case, Law, cases, table

BARS = {"data": "bars-and-stripes:test"}
LABELS = load_dataset("bars-and-stripes:test").labels
SMALL = {"channels": [4, 4, 4, 8], "stem": 4}
CONFIGS = {
    "features": [
        {"heads": [2], **SMALL},
        {"heads": [2, 3], "shape": [3, 8, 8], "backbone": "resnet14t", **SMALL},
    ]
}


@pytest.mark.parametrize(("law", "case"), table(cases("features", CONFIGS)))
def test_law(law: Law, case: Case) -> None:
    law(case)


def net(**changes: Any) -> FeatureNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FeatureNet(**{"shape": [1, 8, 8], "heads": [3, 4], **SMALL, **changes}).eval()


def images(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def test_the_core_offers_it_through_the_door_of_any_family() -> None:
    family, architecture = plugins.find("features")
    assert (family.distribution, architecture.path) == (
        "zoo-core",
        "zoo_core.features.net:FeatureNet",
    )


def test_features_are_of_each_image_alone_and_the_heads_read_them() -> None:
    model, x = net(), images(5)
    assert isinstance(model, Classifier) and isinstance(model, Featurizer)
    features = model.features(x)
    assert features.shape == (5, model.feature_dim) == (5, 8) and features.min() >= 0
    alone = torch.cat([model.features(one) for one in x.split(1)])
    torch.testing.assert_close(features, alone)
    torch.testing.assert_close(torch.cat(model(x), 1), model.head(features))
    assert [logits.shape for logits in model(x)] == [(5, 3), (5, 4)]
    assert torch.equal(model.classify(x), model(x)[0].argmax(1)) and model.classes == 3
    assert torch.equal(model.classify(x, head=1), model(x)[1].argmax(1))


def test_the_objective_is_the_sum_over_the_heads() -> None:
    model, x, labels = net(), images(6), torch.tensor([0, 3, 4, 7, 8, 11])
    values = CrossEntropy(model).validation_step(x, torch.Generator(), labels)
    log_p = [logits.log_softmax(1) for logits in model(x)]
    targets = torch.tensor([[0, 0, 1, 1, 2, 2], [0, 3, 0, 3, 0, 3]])  # 4 · first + second
    expected = -sum(p[torch.arange(6), y] for p, y in zip(log_p, targets, strict=True))
    torch.testing.assert_close(values["nats"], expected)
    wrong = [(p.argmax(1) != y).float() for p, y in zip(log_p, targets, strict=True)]
    torch.testing.assert_close(values["error"], (wrong[0] + wrong[1]) / 2)


def test_a_half_of_the_training_images_is_mirrored() -> None:
    seen: list[Tensor] = []
    model, x = net(), images(400)
    model.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    random, labels = torch.Generator().manual_seed(0), torch.zeros(400).long()
    CrossEntropy(model, flip=True).training_step(x, {"model": Tensor.backward}, random, labels)
    mirrored = (seen[0] == x.flip(3)).flatten(1).all(1)
    assert ((seen[0] == x).flatten(1).all(1) ^ mirrored).all()
    assert 160 < mirrored.sum() < 240


def test_labels_are_smoothed_in_training_alone() -> None:
    model, x, labels = net(), images(6), torch.arange(6)
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
        CrossEntropy(net()).validation_step(images(2), torch.Generator(), labels)


@pytest.mark.parametrize(("heads", "errs"), [([2, 1], 0), ([1, 2], 1)])
def test_a_head_is_held_against_its_own_classes(heads: list[int], errs: int) -> None:
    model = net(heads=heads, shape=[1, 3, 3])
    one = measure("head_error", model, BARS | {"head": errs})
    wrong = model.classify(load_dataset("bars-and-stripes:test").floats(), errs) != LABELS
    assert one == Measured.of(100.0 * wrong) and one.n == 16
    assert measure("head_error", model, BARS | {"head": 1 - errs}).value == 0.0  # of one class
    if errs == 0:
        assert one == measure("classification_error", model, BARS)


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        (nn.Linear(2, 2), {}, "head_error measures a FeatureNet, which Linear is not"),
        (net(), {"head": 2}, "head is 2; expected 0 to 1"),
        (net(), {"heads": 1}, "head_error has no option 'heads'. Did you mean head?"),
    ],
)
def test_a_head_that_cannot_be_measured(
    model: nn.Module, changes: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("head_error", model, BARS | changes)


def test_rows_without_labels_have_no_heads(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" * 20)
    with pytest.raises(InvalidInput, match="has no labels: there is nothing to hold classes"):
        measure("head_error", net(), {"data": f"{tmp_path / 't.csv'}:test"})


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


@pytest.mark.parametrize("changes", [{"backbone": "no-such"}, {"backbone": "vit_tiny_patch16_224"}])
def test_a_backbone_that_there_is_not(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is none that timm builds"):
        net(**changes)
