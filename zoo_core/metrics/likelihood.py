"""Negative log-likelihood of held-out data, for models that know it exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.data.binarization import levels_of, needs_binarization
from zoo_core.data.columns import fit_columns
from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, OfBinaryRows, Root, Shaped, each, parts
from zoo_core.metrics.shares import crew, put_together
from zoo_core.protocols import Bound, DensityModel, Scored

__all__ = [
    "BOUND_DRAWS",
    "always_exact",
    "bits_per_dim",
    "caveats",
    "held_out",
    "kind_of",
    "log_prob_of",
    "nll",
    "values",
]

_APART = 1_000_003
"""Between the seeds of neighbouring batches: several seeds, one after the other, do not meet."""
BOUND_DRAWS = 100
"""Samples of the latents, for each input, by which a bounded likelihood is compared with others."""


_CAVEATS = {
    "bound": f"nats are bounds (k = {BOUND_DRAWS} samples of the latents): −log p is no more than "
    "that, in expectation; it is an integral, which is not computed",
    "by orders": "rows with missing cells are scored by orders: the mean of p over the model's "
    "orders, in each of which the missing cells come last and sum to one; those orders depend on "
    "which cells are missing, so this is no marginal of the density of complete rows, which is "
    "exact",
}


def kind_of(model: object, missing: bool = False) -> str:
    """What the likelihood of rows is: `exact`, `by orders`, `bound`, or nothing for none.

    A model whose `marginals_agree` is false has an exact one of complete rows; cells that are
    missing it sums out by orders that depend on which they are.

    missing: whether the rows have missing cells.
    """
    if isinstance(model, DensityModel):
        by_orders = missing and not getattr(model, "marginals_agree", True)
        return "by orders" if by_orders else "exact"
    return "bound" if isinstance(model, Bound) else ""


def always_exact(model: object) -> bool:
    """Whether the likelihood of all rows is, those with missing cells included."""
    return kind_of(model) == kind_of(model, missing=True) == "exact"


def caveats(*kinds: str) -> tuple[str, ...]:
    """What to say of likelihoods of these kinds, a sentence for each that is not exact."""
    return tuple(_CAVEATS[kind] for kind in dict.fromkeys(kinds) if kind in _CAVEATS)


def nll(model: DensityModel, protocol: OfBinaryRows, data_root: Root = None) -> Measured:
    """Mean of -log p(x), in nats."""
    log_p, kind = _log_p(model, protocol, data_root)
    return Measured.of(-log_p, kind)


def bits_per_dim(model: DensityModel, protocol: OfBinaryRows, data_root: Root = None) -> Measured:
    """Mean of -log2 p(x) for each variable, in bits."""
    log_p, kind = _log_p(model, protocol, data_root)
    return Measured.of(-log_p / (math.prod(model.event_shape) * math.log(2)), kind)


def _log_p(model: DensityModel, protocol: OfBinaryRows, root: Root) -> tuple[Tensor, str]:
    """Log p of each held-out row, (N,), nats, and what kind of likelihood it is."""

    def with_missing(x: Tensor) -> Tensor:
        log_p = model.log_prob(x)
        return torch.stack([log_p, x.flatten(1).isnan().any(1).to(log_p)], 1)

    log_p, missing = held_out(model, protocol, root, with_missing).unbind(1)
    return log_p, kind_of(model, bool(missing.any()))


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
    if needs_binarization(levels_of(model), rows):
        raise InvalidInput(
            f"{rows.name} has {rows.levels or 'no'} levels, but the model is binary: "
            "set binarize = 'fixed' in the protocol."
        )
    return each(model, rows, value).double()
