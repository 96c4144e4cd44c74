"""Train on synthetic, test on real (Esteban et al. 2017).

A small classifier that was trained on samples alone predicts the classes of held-out rows; `tstr`
is the share that is misclassified, in percent, beside that of one which learnt from as many
training rows. What samples lack, it cannot learn.

The labels of samples: `class` asks a class-conditional model for as many of each, and `pseudo`
takes those which the feature net gives. Where the protocol does not say, a model that has classes
is asked for them; the figure says which it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, Root, each, load_binarized, seeded
from zoo_core.metrics.samples import InFeatures, feature_net, samples_of
from zoo_core.options import option
from zoo_core.protocols import Classifier, Conditional, Generator

__all__ = ["OfClassifier", "tstr"]

_BATCH = 100
_LR = 3e-3
_CHANNELS = (8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class OfClassifier(InFeatures):
    """The protocol of a classifier that is trained on samples."""

    labels: str | None = option(
        None,
        "Labels of the samples: class conditions on them, pseudo are the feature net's",
        choices=("class", "pseudo"),
    )
    steps: int = option(500, "Steps of training, of a hundred rows each", minimum=1)


def tstr(model: Generator, protocol: OfClassifier, data_root: Root = None) -> Measured:
    """Share of held-out rows misclassified by a classifier trained on samples, in percent."""
    real = load_binarized(protocol, data_root)
    train = load_binarized(protocol, data_root, protocol.train, "train")
    if real.labels is None or train.labels is None:
        raise InvalidInput(f"{real.name} has no labels: there is nothing to train on samples for.")
    chosen = torch.randperm(len(train), generator=seeded(protocol.seed))[: protocol.samples]
    x, labels, settled = _sample_labelled(model, protocol)
    taught = [
        _train_classifier(x, labels, protocol),
        _train_classifier(train.floats(chosen), train.labels[chosen], protocol),
    ]
    wrong = [100.0 * (each(net, real, net.classify) != real.labels) for net in taught]
    measured, beside = map(Measured.of, wrong)
    return measured._replace(real=beside.value, settled=settled)


def _sample_labelled(
    model: Generator, protocol: OfClassifier
) -> tuple[Tensor, Tensor, dict[str, str]]:
    """Samples, (n, *event_shape), their labels, (n,), and where the labels come from."""
    able = isinstance(model, Conditional) and model.classes > 0
    if protocol.labels == "pseudo" or (protocol.labels is None and not able):
        return _pseudo(model, protocol)
    if not (isinstance(model, Conditional) and able):
        raise InvalidInput(
            f"{type(model).__name__} cannot be sampled by class: expected labels = 'pseudo'."
        )
    return *_by_class(model, protocol), {"labels": "class"}


def _pseudo(model: Generator, protocol: OfClassifier) -> tuple[Tensor, Tensor, dict[str, str]]:
    net = feature_net(protocol.features)
    if not isinstance(net.model, Classifier):
        raise InvalidInput(f"{net.name} is no classifier, so it cannot label samples.")
    x = samples_of(model, protocol)
    labels = each(net.model, Dataset("samples", "", x, None), net.model.classify)
    return x, labels, {"labels": "pseudo", "features": net.name}


def _by_class(model: Conditional, protocol: OfClassifier) -> tuple[Tensor, Tensor]:
    random = seeded(protocol.seed, model)
    labels = torch.arange(protocol.samples) % model.classes
    with torch.inference_mode():
        parts = [
            model.sample(len(part), generator=random, label=part.to(random.device)).float().cpu()
            for part in labels.split(BATCH)
        ]
    return torch.cat(parts), labels


def _train_classifier(x: Tensor, labels: Tensor, protocol: OfClassifier) -> FeatureNet:
    """Train a classifier on random batches of rows x, (n, C, H, W)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(protocol.seed)
        net = FeatureNet(x.shape[1:], [int(labels.max()) + 1], channels=_CHANNELS)
    net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _LR, total_steps=protocol.steps)
    random = torch.Generator().manual_seed(protocol.seed)
    for _ in range(protocol.steps):
        chosen = torch.randint(len(x), (_BATCH,), generator=random)
        optimizer.zero_grad()
        functional.cross_entropy(net(x[chosen])[0], labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return net.eval()
