"""Shared by the models of mixed columns: their inputs and outputs, and the chain rule over columns.

    binary, categorical, ordinal   p(x_i = k) by a softmax
    real                           p(x_i) = Σ_m π_m N(x_i; μ_m, σ_m²) (RNADE: Uria, Murray &
                                   Larochelle 2013), in the column's own units

A real column's log-probability is that of a density in its units, so a column in metres has other
nats than the same in feet. σ_m is at least 1/500 of the column's standard deviation: where a value
occurs again and again, a density of narrower peaks would grow without a bound.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from zoo_autoregressive.layers import keep_order, permutation, prefix_length
from zoo_core import draws
from zoo_core.checks import check_mask, check_rows, check_sampling
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type, weight_of

__all__ = [
    "SMALLEST_SCALE",
    "Filling",
    "Heads",
    "MixedChainRule",
    "MixedModel",
    "choose",
    "columns_of",
    "refuse_gaps",
]

_VALUE, _THERE = -1, -2
"""Of the inputs of a real column: its value, and whether it is there."""
SMALLEST_SCALE = math.log(1 / 500)
"""Logarithm of the least σ, in standard deviations of the column."""


def columns_of(columns: Sequence[Mapping[str, Any]], shape: Sequence[int]) -> tuple[Column, ...]:
    """The columns of a config; binary ones in the number of the shape where it has none.

    Raises InvalidInput for columns that are not sound, or of another number.
    """
    D = math.prod(shape)
    made = tuple(Column.of(table) for table in columns)
    if made and len(made) != D:
        raise InvalidInput(f"columns has {len(made)} columns; expected {D}, as shape says.")
    return made or tuple(Column(f"x{i}", "binary", ("0", "1")) for i in range(D))


class MixedModel(nn.Module):
    """What all models of mixed columns say of them.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
    """

    def __init__(self, shape: Sequence[int], columns: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self._columns = columns_of(columns, shape)
        self.columns = self._columns if columns else ()
        self.levels = 2 if all(len(column.categories) == 2 for column in self._columns) else None

    def _missing(self, n: int) -> Tensor:
        """n rows of which nothing is known, (n, D)."""
        return weight_of(self).new_full((n, len(self._columns)), torch.nan)


class Filling(MixedModel, ABC):
    """A model that fills in whatever cells are missing, given all others."""

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), encoded."""
        check_sampling(n, temperature, self.event_shape)
        return self._fill(self._missing(n), generator, temperature)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample what is unknown, or missing, given the rest.

        x: encoded rows, (B, *event_shape).
        known: mask of the known columns, event_shape, bool; any.
        """
        check_mask(self, known)
        check_rows(self, x, known)
        check_sampling(len(x), temperature)
        x = x.flatten(1).masked_fill(~known.flatten().to(x.device), torch.nan)
        return self._fill(x, generator, temperature)

    @abstractmethod
    def _fill(self, x: Tensor, generator: torch.Generator | None, temperature: float) -> Tensor:
        """Sample the missing cells of x, (B, D), given those that are there."""


class MixedChainRule(Filling):
    """A model by the chain rule, p(x) = ∏ p(x_i | the columns before i in an order).

    Cells that are missing last in the order sum to one, and are left out; others cannot be summed
    out. Subclasses implement `outputs`, and `walk` where one column costs less than all.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        components: Gaussians in the mixture of a real column.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order.
    """

    name: ClassVar[str]
    """The architecture's, for messages."""
    order: Tensor

    def __init__(
        self,
        shape: Sequence[int],
        columns: Sequence[Mapping[str, Any]],
        components: int,
        order: str | Sequence[int],
        order_seed: int,
    ) -> None:
        super().__init__(shape, columns)
        self.heads = Heads(self._columns, components)
        with torch.device("cpu"):  # also of a model that is built on the meta device
            keep_order(self, permutation(len(self._columns), order, order_seed))

    @abstractmethod
    def outputs(self, x: Tensor) -> Tensor:
        """What gives each column's conditional, (B, O); those of a column by what is before it.

        x: encoded rows, (B, D), NaN where missing.
        """

    def walk(self, x: Tensor, d: int) -> Iterator[Tensor]:
        """Yield the outputs of each column after the first d of the order in turn, (n, O_i).

        x: encoded rows, (n, D), in which each column is completed before the next one's outputs.
        """
        for i in self.order[d:].tolist():
            yield self.outputs(x)[:, self.heads.outputs_of(i)]

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each column, at its own place in x: (B, D), nats.

        x: encoded rows, (B, *event_shape).

        Raises InvalidInput where a cell is missing before one that is there.
        """
        check_rows(self, x)
        x = x.flatten(1)
        refuse_gaps(x[:, self.order], self.name)
        return self.heads.log_p(self.outputs(x), x)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each row, (B,), nats; raises as `conditionals`.

        x: encoded rows, (B, *event_shape).
        """
        return self.conditionals(x).sum(1)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample what is unknown, or missing, given the rest.

        x: encoded rows, (B, *event_shape).
        known: mask of the known columns, event_shape, bool; they must come first in the order.

        Raises InvalidInput when an unknown column, or a missing cell, comes before a known one.
        """
        check_mask(self, known)
        check_rows(self, x, known)
        prefix_length(known, self.order)
        return super().complete(x, known, generator=generator, temperature=temperature)

    @torch.no_grad()
    def _fill(self, x: Tensor, generator: torch.Generator | None, temperature: float) -> Tensor:
        """Sample the missing cells of x, (B, D), which come last in the order."""
        refuse_gaps(x[:, self.order], self.name)
        (n, D), missing, kind = x.shape, x.isnan(), single_type(x.dtype)
        d = int((~missing.any(0)[self.order]).cumprod(0).sum())
        u = draws.rand(D, n, dim=1, generator=generator, device=x.device, dtype=kind)
        noise = draws.randn(D, n, dim=1, generator=generator, device=x.device, dtype=kind)
        x, order = x.clone(), self.order[d:].tolist()
        for i, outputs, u_i, noise_i in zip(order, self.walk(x, d), u[d:], noise[d:], strict=True):
            drawn = self.heads.sample(outputs, i, u_i, noise_i, temperature).to(x.dtype)
            x[:, i] = torch.where(missing[:, i], drawn, x[:, i])
        return x.reshape(n, *self.event_shape)


def refuse_gaps(x: Tensor, name: str) -> None:
    """Raise InvalidInput where a cell of x is missing before one that is there.

    x: encoded cells in the order of the chain rule, (B, D), NaN where missing.
    name: of the architecture.
    """
    missing = x.isnan()
    gaps = _have_gaps(missing)
    if gaps.any():
        advice = ": put columns with missing cells last (config.order)"
        if _have_gaps(missing[:, missing.sum(0).argsort(stable=True)]).any():
            advice = ", whatever the order"
        raise InvalidInput(
            f"{int(gaps.sum())} of the {len(x)} rows of a batch have missing cells before others "
            f"in the order, which {name} cannot sum out{advice}. "
            "mixed-tree and hidden-tree sum out any cells exactly, and mixed-eonade by its orders."
        )


def _have_gaps(missing: Tensor) -> Tensor:
    """Which rows have a missing cell before one that is there, (B,), bool."""
    return (missing[:, :-1] & ~missing[:, 1:]).any(1)


class Heads:
    """Columns as inputs of a network, and a network's outputs as their conditionals; no parameters.

    Args:
        columns: what they are.
        components: of the mixture of a real column, M.
    """

    def __init__(self, columns: Sequence[Column], components: int) -> None:
        if components < 1:
            raise InvalidInput(f"components is {components}; expected 1 or more.")
        self.M = components
        # by NumPy, as thousands of calls of torch are refused of a model without weights
        sizes = [len(column.categories) for column in columns]  # 0 where real
        inputs = [k or 2 for k in sizes]
        outputs = [k or 3 * components for k in sizes]
        self._sizes = sizes
        self._inputs = [0, *accumulate(inputs)]
        """Where the inputs of each column begin, and where all end."""
        self._outputs = [0, *accumulate(outputs)]
        """Where the outputs of each column begin, and where all end."""
        owners, starts, K = np.arange(len(columns)), np.array(self._outputs), np.array(sizes)
        self.owner_of_input = torch.from_numpy(owners.repeat(inputs))
        """The column that each input belongs to, (E,), int64."""
        self.owner_of_output = torch.from_numpy(owners.repeat(outputs))
        """The column that each output belongs to, (O,), int64."""
        of_each = [np.arange(k) if k else np.array([_VALUE, _THERE]) for k in sizes]
        self._category = torch.from_numpy(np.concatenate(of_each))
        """The category that each input indicates, or what else it is, (E,)."""
        discrete, real = np.flatnonzero(K), np.flatnonzero(K == 0)
        self._discrete, self._real = torch.from_numpy(discrete), torch.from_numpy(real)
        k, at = np.arange(K.max()), starts[discrete, None]
        self._places = torch.from_numpy(np.where(k < K[discrete, None], at + k, starts[-1]))
        """Where the logits of each discrete column are in the outputs, (Dc, K); O where none is."""
        mixtures = starts[real, None] + np.arange(3 * components)
        self._real_places = torch.from_numpy(mixtures.reshape(-1, 3, components))
        """Where the weights, means and scales of each real column are, (Dr, 3, M)."""
        std = torch.tensor(
            [columns[i].std for i in real.tolist()], dtype=torch.float32, device="cpu"
        )
        self._log_std = std.log()

    def inputs(self, x: Tensor, of: slice = slice(None)) -> Tensor:
        """What a network is given of rows, (B, E); zeros where a cell is missing.

        Of a discrete column that is an indicator of each category; of a real one asinh of its
        value, in which outliers are no giants, and whether it is there.

        x: encoded rows, (B, D), NaN where missing.
        of: some of the inputs.
        """
        x = x[:, self.owner_of_input[of].to(x.device)]
        there = (~x.isnan()).to(x.dtype)
        value = x.nan_to_num().asinh()
        category = self._category[of].to(x.device)
        discrete = torch.where(category == _THERE, there, (x == category).to(x.dtype))
        return torch.where(category == _VALUE, value, discrete)

    def inputs_of(self, i: int) -> slice:
        """Where the inputs of column i are."""
        return slice(self._inputs[i], self._inputs[i + 1])

    def outputs_of(self, i: int) -> slice:
        """Where the outputs of column i are."""
        return slice(self._outputs[i], self._outputs[i + 1])

    def begin(self, bias: Tensor) -> None:
        """Spread the means of the mixtures, in the biases of the outputs, (O,)."""
        with torch.no_grad():
            places = self._real_places.to(bias.device)
            bias[places[:, 1]] = torch.linspace(-1.5, 1.5, self.M, device=bias.device)
            bias[places[:, 2]] = -0.5

    def log_p(self, outputs: Tensor, x: Tensor) -> Tensor:
        """log p of each cell by its column's outputs: (B, D), nats; 0 where it is missing.

        outputs: (B, O). x: encoded rows, (B, D), NaN where missing.
        """
        outputs, x = single(outputs), single(x)
        log_p = torch.zeros_like(x)
        if len(discrete := self._discrete.to(x.device)):
            logits = self._logits(outputs, self._places)
            k = x[:, discrete].nan_to_num().long()
            chosen = logits.log_softmax(2).gather(2, k.unsqueeze(2)).squeeze(2)
            log_p = log_p.index_copy(1, discrete, chosen)
        if len(real := self._real.to(x.device)):
            mixtures = outputs[:, self._real_places.to(x.device)]
            density = _log_density(mixtures, x[:, real].nan_to_num())
            log_p = log_p.index_copy(1, real, density - self._log_std.to(x.device))
        return log_p.masked_fill(x.isnan(), 0.0)

    def log_p_of(self, outputs: Tensor, i: int, x: Tensor) -> Tensor:
        """log p of column i's cells by its own outputs: (B,), nats; 0 where it is missing.

        outputs: (B, O_i). x: encoded cells, (B,), NaN where missing.
        """
        outputs, value = single(outputs), single(x).nan_to_num()
        if self._sizes[i]:
            k = value.long().unsqueeze(1)
            log_p = outputs.log_softmax(1).gather(1, k).squeeze(1)
        else:
            real = int((self._real == i).nonzero())
            log_p = _log_density(outputs.unflatten(1, (3, self.M)), value) - self._log_std[real]
        return log_p.masked_fill(x.isnan(), 0.0)

    def sample(
        self, outputs: Tensor, i: int, u: Tensor, noise: Tensor, temperature: float
    ) -> Tensor:
        """Sample column i by its outputs, (B,), encoded.

        outputs: (B, O_i). u: uniform numbers, (B,). noise: standard normal numbers, (B,).
        """
        outputs = single(outputs)
        if self._sizes[i]:
            return choose(outputs / temperature, u).to(outputs.dtype)
        log_π, μ, log_σ = _mixture(outputs.unflatten(1, (3, self.M)))
        m = choose(log_π / temperature, u).unsqueeze(1)
        σ = log_σ.gather(1, m).squeeze(1).exp() * math.sqrt(temperature)
        return μ.gather(1, m).squeeze(1) + σ * noise

    def _logits(self, outputs: Tensor, places: Tensor) -> Tensor:
        """The logits of discrete columns, (B, Dc, K), -inf where a column has fewer categories."""
        never = outputs.new_full((len(outputs), 1), -torch.inf)
        return torch.cat([outputs, never], 1)[:, places.to(outputs.device)]


def _mixture(outputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """log π, μ and log σ of real columns, (…, M) each, in standard deviations.

    outputs: (…, 3, M).
    """
    weights, μ, log_σ = outputs.unbind(-2)
    return weights.log_softmax(-1), μ, log_σ.clamp(min=SMALLEST_SCALE)


def _log_density(mixtures: Tensor, x: Tensor) -> Tensor:
    """log density of real cells, (…), by the outputs of their mixtures, (…, 3, M)."""
    log_π, μ, log_σ = _mixture(mixtures)
    z = (x.unsqueeze(-1) - μ) * torch.exp(-log_σ)
    normal = -0.5 * z * z - log_σ - 0.5 * math.log(2 * math.pi)
    return (log_π + normal).logsumexp(-1)


def choose(logits: Tensor, u: Tensor) -> Tensor:
    """Invert the CDF of a softmax at uniform numbers: categories, (B,), int64.

    logits: (B, K). u: (B,), in [0, 1).
    """
    below = logits.softmax(1).cumsum(1)[:, :-1]
    return (below <= u.unsqueeze(1)).sum(1)
