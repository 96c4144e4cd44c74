"""What grey levels cost under a density of real variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured

__all__ = ["dequantized_bits"]

_BATCH = 500


@torch.inference_mode()
def dequantized_bits(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Any = None
) -> Measured:
    """Bits for each variable that takes 256 values: an upper bound of −log2 P, by uniform noise.

    P of a grey level is the density's integral over its part of [0, 1], and the mean of its
    logarithm is below the logarithm of the mean (Theis, van den Oord & Bethge 2016).

    Raises InvalidInput for rows of another number of values.
    """
    size, gray = protocol.get("size"), protocol.get("gray", False)
    rows = load_dataset(protocol["data"], root=data_root, size=size, gray=gray)
    if rows.levels != 256:
        raise InvalidInput(f"{rows.name} holds {rows.holds}; expected grey levels.")
    generator, nats = torch.Generator().manual_seed(protocol["seed"]), []
    for x in rows.x.split(_BATCH):
        u = torch.rand(x.shape, generator=generator)
        nats.append(-model.log_prob((x + u) / 256))
    D = rows.x[0].numel()
    return Measured.of((torch.cat(nats) / D + math.log(256)) / math.log(2))
