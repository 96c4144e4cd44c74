"""How much a label that was found without labels says about attributes of its samples.

InfoGAN (Chen et al. 2016) maximises a bound of the information between its category and an image;
which property of images the category came to be is looked at afterwards. A net names each attribute
of samples of every label, and the mutual information is that of the table of counts, in nats. From
n samples it is too large by about (labels − 1)(values − 1) / 2n.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.features.attributes import predict_attributes, require_heads
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, Root, over, seeded
from zoo_core.metrics.samples import feature_net, features_option
from zoo_core.options import option
from zoo_core.protocols import Conditional

__all__ = ["OfInformation", "attribute_information", "mutual_information"]


@dataclass(frozen=True, kw_only=True)
class OfInformation:
    """The protocol of the information in a label about an attribute."""

    features: str = features_option()
    head: int | None = option(
        None, "Place of the attribute's head, from 0; by default that of the largest", minimum=0
    )
    samples: int = option(3000, "Number of samples, over all labels in equal parts", minimum=1)
    seed: int = option(0, "Seed of the samples", minimum=0)


def attribute_information(
    model: Conditional, protocol: OfInformation, data_root: Root = None
) -> Measured:
    """Mutual information of the label and an attribute of its samples, in nats.

    Raises InvalidInput for a model without labels, and for an unknown head.
    """
    net = feature_net(protocol.features)
    judge = require_heads(net.model)
    if not model.classes:
        raise InvalidInput(
            "this model has no labels: expected one that is conditioned on them, as InfoGAN."
        )
    if (protocol.head or 0) >= len(judge.heads):
        raise InvalidInput(f"head is {protocol.head}; expected 0 to {len(judge.heads) - 1}.")
    random = seeded(protocol.seed, model)
    labels = torch.arange(protocol.samples) % model.classes

    def draw(y: Tensor) -> Tensor:
        return model.sample(len(y), generator=random, label=y).float()

    seen = predict_attributes(judge, over(labels.split(BATCH), draw, len(labels)))
    found = [
        mutual_information(labels, seen[:, head], model.classes, values)
        for head, values in enumerate(judge.heads)
    ]
    head = max(range(len(found)), key=found.__getitem__) if protocol.head is None else protocol.head
    measured = Measured(found[head], float("nan"), protocol.samples, settled={"head": head})
    return net.sign(measured)


def mutual_information(a: Tensor, b: Tensor, A: int, B: int) -> float:
    """Mutual information of two variables in their table of counts, in nats.

    a, b: their values, (n,) each, int64; a from 0 to A − 1, b from 0 to B − 1.
    """
    p = torch.bincount(a * B + b, minlength=A * B).view(A, B).double() / len(a)
    independent = p.sum(1, keepdim=True) * p.sum(0)
    return float(torch.special.xlogy(p, p / independent.clamp_min(1e-300)).sum())
