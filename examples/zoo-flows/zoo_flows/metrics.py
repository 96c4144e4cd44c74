"""Bits of grey levels under a density of real variables."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import BATCH, OfRows, Root, load
from zoo_core.options import option
from zoo_core.protocols import DensityModel

__all__ = ["OfNoise", "dequantized_bits"]


@dataclass(frozen=True, kw_only=True)
class OfNoise(OfRows):
    """The protocol of a bound by noise."""

    seed: int = option(0, "Of the noise", minimum=0)


@torch.inference_mode()
def dequantized_bits(model: DensityModel, protocol: OfNoise, data_root: Root = None) -> Measured:
    """Bits for each variable that takes 256 values: an upper bound of −log2 P, by uniform noise.

    P of a grey level is the density's integral over its part of [0, 1], and the mean of its
    logarithm is below the logarithm of the mean (Theis, van den Oord & Bethge 2016).

    Raises InvalidInput for rows of another number of values.
    """
    rows = load(protocol, data_root)
    if rows.levels != 256:
        raise InvalidInput(f"{rows.name} holds {rows.holds}; expected grey levels.")
    generator, nats = torch.Generator().manual_seed(protocol.seed), []
    for x in rows.x.split(BATCH):
        u = torch.rand(x.shape, generator=generator)
        nats.append(-model.log_prob((x + u) / 256))
    D = rows.x[0].numel()
    return Measured.of((torch.cat(nats) / D + math.log(256)) / math.log(2))
