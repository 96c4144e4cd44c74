"""How often one head of a feature net is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.classification import labels_of
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import OfRows, Root, each, load
from zoo_core.options import option

__all__ = ["OfHead", "head_error"]


@dataclass(frozen=True, kw_only=True)
class OfHead(OfRows):
    """The protocol of a head's error rate: rows whose labels are those of all heads together."""

    head: int = option(0, "Place of the head, from 0", minimum=0)


def head_error(model: FeatureNet, protocol: OfHead, data_root: Root = None) -> Measured:
    """Share of rows that a head misclassifies, in percent.

    Raises InvalidInput for an unknown head, or rows without labels.
    """
    head = protocol.head
    if head >= len(model.heads):
        raise InvalidInput(f"head is {head}; expected 0 to {len(model.heads) - 1}.")
    rows = load(protocol, data_root)
    truth = torch.unravel_index(labels_of(rows), model.heads)[head]
    return Measured.of(100.0 * (each(model, rows, lambda x: model.classify(x, head)) != truth))
