"""How often one head of a feature net is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, checked, each, load

__all__ = ["head_error"]


def head_error(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Share of rows whose class is not the one that a head gives, in percent.

    The protocol's `head` is its place, from 0; the rows' labels are those of all heads.

    Raises InvalidInput for a model without heads, a head that there is not, or rows without labels.
    """
    checked(protocol, ("head",), "A head's error")
    if not isinstance(model, FeatureNet):
        raise InvalidInput(f"{type(model).__name__} has no heads: measure classification_error.")
    head = int(protocol["head"])
    if not 0 <= head < len(model.heads):
        raise InvalidInput(f"head is {head}; expected 0 to {len(model.heads) - 1}.")
    rows = load(protocol, data_root)
    if rows.labels is None:
        raise InvalidInput(f"{rows.name} has no labels: there is nothing to hold classes against.")
    truth = torch.unravel_index(rows.labels, model.heads)[head]
    return Measured.of(100.0 * (each(model, rows, lambda x: model.classify(x, head)) != truth))
