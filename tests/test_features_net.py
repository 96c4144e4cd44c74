"""Feature nets: the laws of every model, features, and heads."""

from typing import Any

import pytest
import torch

from toy_models import feature_net
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Classifier, Featurizer
from zoo_core.testing import Case, Law, cases, table

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


def test_features_are_of_each_image_alone_and_the_heads_read_them() -> None:
    model, x = feature_net(), torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert isinstance(model, Classifier) and isinstance(model, Featurizer)
    features = model.features(x)
    assert features.shape == (5, model.feature_dim) == (5, 8) and features.min() >= 0
    alone = torch.cat([model.features(one) for one in x.split(1)])
    torch.testing.assert_close(features, alone)
    torch.testing.assert_close(torch.cat(model(x), 1), model.head(features))
    assert [logits.shape for logits in model(x)] == [(5, 3), (5, 4)]
    assert torch.equal(model.classify(x), model(x)[0].argmax(1)) and model.classes == 3
    assert torch.equal(model.classify(x, head=1), model(x)[1].argmax(1))


@pytest.mark.parametrize("changes", [{"backbone": "no-such"}, {"backbone": "vit_tiny_patch16_224"}])
def test_a_backbone_that_there_is_not(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="is none that timm builds"):
        feature_net(**changes)
