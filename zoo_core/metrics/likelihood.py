"""Negative log-likelihood of held-out data, for models that know it exactly.

The protocol names the rows (`data`) and how grey levels become binary (`binarize`): `fixed`, one
draw from `seed`, or `none`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, binarized
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, checked, each, load
from zoo_core.protocols import Bound, DensityModel, Scored

__all__ = ["BOUND_DRAWS", "bits_per_dim", "held_out", "log_prob_of", "nats", "nll", "values"]

BOUND_DRAWS = 100
"""Draws of the latents, for each input, where a likelihood that is bounded stands beside others."""


def nll(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Mean of -log p(x), in nats."""
    return Measured.of(nats(model, held_out(protocol, data_root)))


def bits_per_dim(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Mean of -log2 p(x) for each variable, in bits."""
    rows = held_out(protocol, data_root)
    return Measured.of(nats(model, rows) / (rows.x[0].numel() * math.log(2)))


def held_out(protocol: Mapping[str, Any], data_root: Root = None) -> Dataset:
    """The rows that a protocol names, binarized where it says so."""
    rows = load(checked(protocol, ("seed",), "A likelihood", binarizes=True), data_root)
    binarize = protocol.get("binarize", "none")
    if binarize not in ("fixed", "none"):
        raise InvalidInput(f"binarize = {binarize!r} is unknown: expected 'fixed' or 'none'.")
    return binarized(rows, int(protocol.get("seed", 0))) if binarize == "fixed" else rows


def nats(model: nn.Module, rows: Dataset) -> Tensor:
    """-log p(x) of each row, (N,), float64, on the CPU.

    Raises InvalidInput for a model that does not know it, or rows that do not fit it.
    """
    if isinstance(model, Bound):
        raise InvalidInput(
            f"{type(model).__name__} is no DensityModel: its likelihood is an integral over the "
            "latents, which is not computed, only bounded. Measure iw_bound or elbo."
        )
    if not isinstance(model, DensityModel):
        raise InvalidInput(
            f"{type(model).__name__} has no exact log-probability: a likelihood cannot be measured."
        )
    return -values(model, rows, model.log_prob)


def log_prob_of(
    model: Scored, generator: torch.Generator | None = None
) -> Callable[[Tensor], Tensor]:
    """The function that gives log p of inputs, or a bound of it where it is not computed.

    generator: of a bound's draws.
    """
    if isinstance(model, DensityModel):
        return model.log_prob
    return partial(model.log_prob_bound, k=BOUND_DRAWS, generator=generator)


def values(model: nn.Module, rows: Dataset, value: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of inputs gives for each row, (N, ...), float64, on the CPU.

    Raises InvalidInput when the rows do not fit the model.
    """
    if getattr(model, "levels", None) == 2 and rows.levels != 2:
        raise InvalidInput(
            f"{rows.name} has {rows.levels or 'no'} levels, but the model is binary: "
            "set binarize = 'fixed' in the protocol."
        )
    return each(model, rows, value).double()
