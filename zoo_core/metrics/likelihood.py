"""Negative log-likelihood of held-out data, for models that know it exactly.

The protocol names the rows (`data`) and how grey levels become binary (`binarize`): `fixed`, one
draw from `seed`, or `none`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, binarized, load_dataset
from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.metrics.measured import Measured
from zoo_core.protocols import Bound, DensityModel

__all__ = ["bits_per_dim", "held_out", "nats", "nll"]

_KEYS = ("data", "binarize", "seed", "size", "gray")
_BATCH = 500


def nll(
    model: nn.Module, protocol: Mapping[str, Any], data_root: str | os.PathLike[str] | None = None
) -> Measured:
    """Mean of -log p(x), in nats."""
    return Measured.of(nats(model, held_out(protocol, data_root)))


def bits_per_dim(
    model: nn.Module, protocol: Mapping[str, Any], data_root: str | os.PathLike[str] | None = None
) -> Measured:
    """Mean of -log2 p(x) for each variable, in bits."""
    rows = held_out(protocol, data_root)
    return Measured.of(nats(model, rows) / (rows.x[0].numel() * math.log(2)))


def held_out(
    protocol: Mapping[str, Any], data_root: str | os.PathLike[str] | None = None
) -> Dataset:
    """The rows that a protocol names, binarized where it says so."""
    for key in protocol:
        if key not in _KEYS:
            raise InvalidInput(
                f"protocol key {key!r} is unknown.{did_you_mean(key, _KEYS)} "
                f"A likelihood's protocol takes {', '.join(_KEYS)}."
            )
    if "data" not in protocol:
        raise InvalidInput("the protocol names no data: expected data = 'mnist:test' or the like.")
    rows = load_dataset(
        protocol["data"],
        root=data_root,
        size=protocol.get("size"),
        gray=protocol.get("gray", False),
    )
    binarize = protocol.get("binarize", "none")
    if binarize not in ("fixed", "none"):
        raise InvalidInput(f"binarize = {binarize!r} is unknown: expected 'fixed' or 'none'.")
    return binarized(rows, int(protocol.get("seed", 0))) if binarize == "fixed" else rows


@torch.inference_mode()
def nats(
    model: nn.Module, rows: Dataset, log_prob: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """-log p(x) of each row, (N,), float64, on the CPU.

    log_prob: what gives log p or a bound of it; the model's exact one where it is not given.

    Raises InvalidInput when there is none, or the rows do not fit the model.
    """
    if log_prob is None and isinstance(model, Bound):
        raise InvalidInput(
            f"{type(model).__name__} is no DensityModel: its likelihood is an integral over the "
            "latents, which is not computed, only bounded. Measure iw_bound or elbo."
        )
    if log_prob is None and not isinstance(model, DensityModel):
        raise InvalidInput(
            f"{type(model).__name__} has no exact log-probability: a likelihood cannot be measured."
        )
    density = cast("DensityModel", model)
    log_prob = log_prob or density.log_prob
    _check_fit(density, rows)
    weight = next(model.parameters(), torch.empty(0))
    values = [
        -log_prob(rows.floats(slice(start, start + _BATCH)).to(weight.device, weight.dtype))
        .double()
        .cpu()
        for start in range(0, len(rows), _BATCH)
    ]
    return torch.cat(values)


def _check_fit(model: DensityModel, rows: Dataset) -> None:
    if rows.event_shape != tuple(model.event_shape):
        raise InvalidInput(
            f"{rows.name} has rows of shape {rows.event_shape}, but the model takes "
            f"{tuple(model.event_shape)}."
        )
    if getattr(model, "levels", None) == 2 and rows.levels != 2:
        raise InvalidInput(
            f"{rows.name} has {rows.levels or 'no'} levels, but the model is binary: "
            "set binarize = 'fixed' in the protocol."
        )
