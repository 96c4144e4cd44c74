"""Negative log-likelihood of held-out data, for models that know it exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.data.binarization import needs_binarization
from zoo_core.data.columns import fit_columns
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, OfBinaryRows, Root, Shaped, each, parts
from zoo_core.metrics.shares import crew, put_together
from zoo_core.protocols import DensityModel, Scored

__all__ = ["BOUND_DRAWS", "bits_per_dim", "held_out", "log_prob_of", "nll", "values"]

_APART = 1_000_003
"""Between the seeds of neighbouring batches: several seeds, one after the other, do not meet."""
BOUND_DRAWS = 100
"""Samples of the latents, for each input, by which a bounded likelihood is compared with others."""


def nll(model: DensityModel, protocol: OfBinaryRows, data_root: Root = None) -> Measured:
    """Mean of -log p(x), in nats."""
    return Measured.of(-held_out(model, protocol, data_root, model.log_prob))


def bits_per_dim(model: DensityModel, protocol: OfBinaryRows, data_root: Root = None) -> Measured:
    """Mean of -log2 p(x) for each variable, in bits."""
    nats = -held_out(model, protocol, data_root, model.log_prob)
    return Measured.of(nats / (math.prod(model.event_shape) * math.log(2)))


def log_prob_of(
    model: Scored, generator: torch.Generator | None = None
) -> Callable[[Tensor], Tensor]:
    """The function that gives log p of inputs, or a bound of it where it is not computed.

    generator: of a bound's samples.
    """
    if isinstance(model, DensityModel):
        return model.log_prob
    return partial(model.log_prob_bound, k=BOUND_DRAWS, generator=generator)


def held_out(
    model: Shaped,
    protocol: OfBinaryRows,
    data_root: Root,
    value: Callable[[Tensor], Tensor],
    random: torch.Generator | None = None,
) -> Tensor:
    """What a function of inputs gives for each held-out row of a protocol; as `values`.

    The rows of a table need not fit into memory. Several processes share out the batches.

    random: what the function samples from; of several processes each batch has its own seed, since
        they cannot take their turns in one stream.
    """
    found, all_of_them = parts(model, protocol, data_root), crew()
    if all_of_them.processes == 1:
        return torch.cat([values(model, rows, value) for rows in found])
    seed = random.initial_seed() if random is not None else 0
    batches = (rows[i : i + BATCH] for rows in found for i in range(0, len(rows), BATCH))
    own = []
    for number, rows in enumerate(batches):
        if all_of_them.takes(number):
            if random is not None:
                random.manual_seed(seed + number * _APART)
            own.append((number, values(model, rows, value)))
    return put_together(own)


def values(model: Shaped, rows: Dataset, value: Callable[[Tensor], Tensor]) -> Tensor:
    """What a function of inputs gives for each row, (N, ...), float64, on the CPU.

    Raises InvalidInput when the rows do not fit the model.
    """
    rows = fit_columns(model, rows)
    if needs_binarization(getattr(model, "levels", None), rows):
        raise InvalidInput(
            f"{rows.name} has {rows.levels or 'no'} levels, but the model is binary: "
            "set binarize = 'fixed' in the protocol."
        )
    return each(model, rows, value).double()
