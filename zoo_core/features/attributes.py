"""Figures of a net with a head for each attribute: its errors, and what it sees in samples.

`attribute_error` is the share of wrong answers, a mean over the heads; `worst_attribute_error` that
of the head that errs most often. `attribute_distance` holds the histogram of each attribute in
samples against that of held-out rows, as the total variation distance: half of the sum of absolute
differences. It is the worst attribute's; 0.1 says that a tenth of the samples have another value
than they should.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import stdev

import torch
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.classification import labels_of
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, OfRows, Root, each, load, over, resample
from zoo_core.metrics.samples import InFeatures, compare_rows, feature_net
from zoo_core.options import option
from zoo_core.protocols import Generator

__all__ = [
    "OfAttributes",
    "attribute_distance",
    "attribute_error",
    "distances",
    "predict_attributes",
    "require_heads",
    "worst_attribute_error",
    "wrong",
]

_RESAMPLES = 100
"""Bootstrap samples of both sets, whose spread is a distance's standard error."""


@dataclass(frozen=True, kw_only=True)
class OfAttributes(InFeatures):
    """The protocol of a distance of attributes, which a net with a head for each one names."""

    samples: int = option(5000, "Number of samples", minimum=1)


def attribute_error(model: FeatureNet, protocol: OfRows, data_root: Root = None) -> Measured:
    """Share of wrong answers of all heads together, in percent."""
    return Measured.of(100.0 * wrong(model, protocol, data_root).mean(1))


def worst_attribute_error(model: FeatureNet, protocol: OfRows, data_root: Root = None) -> Measured:
    """Share of wrong answers of the head that has most of them, in percent."""
    errors = wrong(model, protocol, data_root)
    return Measured.of(100.0 * errors[:, errors.mean(0).argmax()])


def attribute_distance(
    model: Generator, protocol: OfAttributes, data_root: Root = None
) -> Measured:
    """The largest distance of an attribute's histogram in samples from that in held-out rows."""
    net = feature_net(protocol.features)
    judge = require_heads(net.model)

    def compare(rows: Tensor, samples: Tensor, generator: torch.Generator) -> Measured:
        x, y = predict_attributes(judge, rows), predict_attributes(judge, samples)
        spread = [
            _largest(resample(x, generator), resample(y, generator), judge.heads)
            for _ in range(_RESAMPLES)
        ]
        return Measured(_largest(x, y, judge.heads), stdev(spread), len(y))

    return net.sign(compare_rows(model, protocol, data_root, compare))


def wrong(net: FeatureNet, protocol: OfRows, data_root: Root) -> Tensor:
    """Which answers are wrong, (N, heads), 0 or 1.

    Raises InvalidInput for rows without labels.
    """
    rows = load(protocol, data_root)
    truth = torch.stack(torch.unravel_index(labels_of(rows), net.heads), 1)
    return (each(net, rows, lambda x: _answers(net, x)) != truth).float()


def require_heads(model: object) -> FeatureNet:
    """A feature net.

    Raises InvalidInput for another model.
    """
    if not isinstance(model, FeatureNet):
        raise InvalidInput(
            f"{type(model).__name__} has no heads: expected a feature net, as features.faces."
        )
    return model


def predict_attributes(net: FeatureNet, x: Tensor) -> Tensor:
    """The value of each attribute that a net sees, (N, heads), int64.

    x: images, (N, C, H, W), in [0, 1].
    """
    return over(x.split(BATCH), lambda part: _answers(net, part), len(x))


def distances(a: Tensor, b: Tensor, heads: tuple[int, ...]) -> Tensor:
    """The total variation distance of each attribute's two histograms, (heads,).

    a, b: values of each attribute, (N, heads) and (M, heads), int64.
    """
    return torch.stack(
        [
            (_histogram(a[:, k], size) - _histogram(b[:, k], size)).abs().sum() / 2
            for k, size in enumerate(heads)
        ]
    )


def _largest(a: Tensor, b: Tensor, heads: tuple[int, ...]) -> float:
    return float(distances(a, b, heads).max())


def _histogram(values: Tensor, size: int) -> Tensor:
    return torch.bincount(values, minlength=size).double() / len(values)


def _answers(net: FeatureNet, x: Tensor) -> Tensor:
    return torch.stack([logits.argmax(1) for logits in net(x)], 1)
