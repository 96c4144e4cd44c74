"""What a classifier learns from samples: train on synthetic, test on real (Esteban et al. 2017).

A small classifier that has seen nothing but samples names the classes of held-out rows; `tstr` is
the share that it names wrong, in percent, and beside it stands that of one which learnt from as
many training rows. What samples lack, it cannot learn.

The labels of samples: `class` asks a class-conditional model for as many of each, and `pseudo`
takes those which the feature net gives. Where the protocol does not say, a model that has classes
is asked for them; the figure says which it was. `steps` is how long a classifier learns, a hundred
rows each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, Root, checked, each, seeded
from zoo_core.metrics.samples import count, drawn, feature_net, rows
from zoo_core.protocols import Classifier, Conditional

__all__ = ["tstr"]

_BATCH = 100
_LR = 3e-3
_CHANNELS = (8, 16, 32, 64)


def tstr(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Share of held-out rows that a classifier taught by samples names wrong, in percent."""
    keys = ("samples", "seed", "train", "features", "labels", "steps")
    checked(protocol, keys, "A test on real rows", binarizes=True)
    real, train = (rows(protocol, data_root, key) for key in ("data", "train"))
    if real.labels is None or train.labels is None:
        raise InvalidInput(f"{real.name} has no labels: there is nothing to train on samples for.")
    chosen = torch.randperm(len(train), generator=seeded(protocol))[: count(protocol)]
    x, labels, settled = _labelled(model, protocol)
    taught = [
        _wrong(x, labels, real, protocol),
        _wrong(train.floats(chosen), train.labels[chosen], real, protocol),
    ]
    measured, beside = (Measured.of(100.0 * wrong) for wrong in taught)
    return measured._replace(real=beside.value, settled=settled)


def _labelled(
    model: nn.Module, protocol: Mapping[str, Any]
) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Samples, (n, *event_shape), their labels, (n,), and what was settled about these."""
    able = isinstance(model, Conditional) and model.classes > 0
    labels = protocol.get("labels", "class" if able else "pseudo")
    if labels not in ("class", "pseudo"):
        raise InvalidInput(f"labels = {labels!r} is unknown: expected 'class' or 'pseudo'.")
    if labels == "pseudo":
        return _pseudo(model, protocol)
    if not able:
        raise InvalidInput(
            f"{type(model).__name__} draws no samples of a class: expected labels = 'pseudo'."
        )
    return *_by_class(cast("Conditional", model), protocol), {"labels": "class"}


def _pseudo(model: nn.Module, protocol: Mapping[str, Any]) -> tuple[Tensor, Tensor, dict[str, str]]:
    net = feature_net(protocol)
    if not isinstance(net.model, Classifier):
        raise InvalidInput(f"{net.name} gives no classes, which samples could be labelled by.")
    x = drawn(model, protocol)
    labels = each(net.model, Dataset("samples", "", x, None), net.model.classify)
    return x, labels, {"labels": "pseudo", "features": net.name}


def _by_class(model: Conditional, protocol: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    random = seeded(protocol, cast("nn.Module", model))
    labels = torch.arange(count(protocol)) % model.classes
    with torch.inference_mode():
        parts = [
            model.sample(len(part), generator=random, label=part.to(random.device)).float().cpu()
            for part in labels.split(BATCH)
        ]
    return torch.cat(parts), labels


def _wrong(x: Tensor, labels: Tensor, real: Dataset, protocol: Mapping[str, Any]) -> Tensor:
    """Which rows a classifier that was taught by x, (n, C, H, W), names wrong, (N,), bool."""
    net = _taught(x, labels, int(protocol["steps"]), int(protocol.get("seed", 0)))
    return torch.ne(each(net, real, net.classify), cast("Tensor", real.labels))


def _taught(x: Tensor, labels: Tensor, steps: int, seed: int) -> FeatureNet:
    """A classifier after so many steps on random rows."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = FeatureNet(x.shape[1:], [int(labels.max()) + 1], channels=_CHANNELS)
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=steps)
    random = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(len(x), (_BATCH,), generator=random)
        optimizer.zero_grad()
        functional.cross_entropy(net(x[chosen])[0], labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return net.eval()
