"""EoNADE of mixed columns: one network for every order, so that any cells can be missing.

    p(x_i | x_o) for any set o of known columns, by a network that sees which ones they are
    (Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator)

Training samples how many columns are known, d uniform on 0 … n - 1 of the n cells that a row has,
and which; the others are predicted at once, weighted by n / (n - d): an unbiased estimate of
-log p(x) under a random order. The density is the equal mixture of the networks of K fixed orders:
the mean of their p, so it is exact, and sums to one, of rows without missing cells.

Of a row with missing cells the K orders have these last, where they sum to one: they are left out.
So over the cells that are there it sums to one too, but other missing cells mean other orders, and
the network does not hold one joint density for all. Such a figure is not what the density of whole
rows gives when these cells are summed out, and marginals of different rows need not agree.

Differences from the paper. Columns may be categorical or real (RNADE's mixtures). The optimiser is
the recipe's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import keep_order
from zoo_autoregressive.mixed import Filling, Heads
from zoo_core import draws
from zoo_core.checks import check_rows, check_sampling
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type
from zoo_core.training.objective import Objective

__all__ = ["AnyOrder", "MixedEoNADE"]


class MixedEoNADE(Filling):
    """A mixture over orders that knows what is missing.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        hidden: number of units of each hidden layer.
        components: Gaussians in the mixture of a real column.
        dropout: share of the hidden units that training drops.
        orders: number of orders in the mixture, K.
        order_seed: seed of the orders.
    """

    marginals_agree = False
    """Rows with missing cells are scored by orders that depend on which they are."""
    orders: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        hidden: Sequence[int] = (200, 200),
        components: int = 10,
        dropout: Rate = 0.0,
        orders: int = 4,
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns)
        if orders < 1 or not hidden or min(hidden) < 1:
            raise InvalidInput(
                f"mixed-eonade needs at least one order and one hidden layer; given orders = "
                f"{orders}, hidden = {list(hidden)}."
            )
        self.dropout = dropout
        D = len(self._columns)
        generator = torch.Generator().manual_seed(order_seed)
        drawn = [torch.randperm(D, generator=generator, device="cpu") for _ in range(orders)]
        keep_order(self, torch.stack(drawn), "orders")
        self.heads = Heads(self._columns, components)
        inputs, outputs = len(self.heads.owner_of_input), len(self.heads.owner_of_output)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((inputs, *hidden)))
        self.V = nn.Linear(hidden[-1], outputs)
        nn.init.zeros_(self.V.bias)
        self.heads.begin(self.V.bias)

    def log_p(self, x: Tensor, known: Tensor) -> Tensor:
        """log p(x_i | the known columns) of each cell, (B, D), nats; 0 where it is missing.

        x: encoded rows, (B, D). known: which cells are given, (B, D) or (D,), bool.
        """
        return self.heads.log_p(self._outputs(x.masked_fill(~known, torch.nan)), x)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each row's cells under the mixture over orders, (B,), nats.

        x: encoded rows, (B, *event_shape); cells that are missing, NaN, come last in each order.
        """
        check_rows(self, x)
        x = x.flatten(1)
        each = torch.stack([self._log_prob_in(x, order) for order in self.orders])
        return each.logsumexp(0) - math.log(len(self.orders))

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), encoded; each in a random order of the mixture."""
        check_sampling(n, temperature, self.event_shape)
        of = draws.randint(len(self.orders), n, generator=generator, device=self.orders.device)
        return self._ancestral(self._missing(n), self.orders[of], generator, temperature)

    def _outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D), NaN where a cell is not given."""
        outputs: Tensor = self.V(self._hidden(self._first(self.heads.inputs(x))))
        return outputs

    @property
    def _first(self) -> nn.Linear:
        return cast("nn.Linear", self.layers[0])

    def _hidden(self, a: Tensor) -> Tensor:
        """The last hidden units, (B, H), by what is before the first nonlinearity."""
        h = self._active(a)
        for layer in self.layers[1:]:
            h = self._active(layer(h))
        return h

    def _active(self, a: Tensor) -> Tensor:
        return functional.dropout(torch.relu(a), self.dropout, self.training)

    def _log_prob_in(self, x: Tensor, order: Tensor) -> Tensor:
        """Log-probability of each row's cells in one order, (B,), nats.

        Only the outputs of the column in turn are computed: those of all grow with D².
        """
        total, inputs, first = single(x.new_zeros(len(x))), self.heads.inputs(x), self._first
        a = first.bias.expand(len(x), -1)
        for i in order.tolist():
            own, given = self.heads.outputs_of(i), self.heads.inputs_of(i)
            outputs = functional.linear(self._hidden(a), self.V.weight[own], self.V.bias[own])
            total = total + self.heads.log_p_of(outputs, i, x[:, i])
            a = a + inputs[:, given] @ first.weight[:, given].t()
        return total

    def _fill(self, x: Tensor, generator: torch.Generator | None, temperature: float) -> Tensor:
        """Sample the missing cells of x, (B, D), each row in a random order."""
        order = draws.rand(*x.shape, generator=generator, device=x.device).argsort(1)
        return self._ancestral(x, order, generator, temperature)

    @torch.no_grad()
    def _ancestral(
        self, x: Tensor, order: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample what is missing of each row in its own order, (n, D): (n, *event_shape)."""
        x, (n, D) = x.clone(), x.shape
        kind = single_type(x.dtype)
        u = draws.rand(D, n, dim=1, generator=generator, device=x.device, dtype=kind)
        noise = draws.randn(D, n, dim=1, generator=generator, device=x.device, dtype=kind)
        for t in range(D):
            column, outputs = order[:, t], self._outputs(x)
            for i in column.unique().tolist():
                rows = ((column == i) & x[:, i].isnan()).nonzero().squeeze(1)
                if len(rows):
                    own = outputs[rows][:, self.heads.outputs_of(i)]
                    drawn = self.heads.sample(own, i, u[t, rows], noise[t, rows], temperature)
                    x[rows, i] = drawn.to(x.dtype)
        return x.reshape(n, *self.event_shape)


class AnyOrder(Objective):
    """Minimises an unbiased estimate of -log p(x) under a random order, in nats.

    Args:
        model: a MixedEoNADE.
    """

    monitor: ClassVar[str] = "order_nll"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the weighted -log p of the cells that are left out of each row, (B,)."""
        x = x.flatten(1)
        there = ~x.isnan()
        n = there.sum(1)
        # how many are known is stratified over the batch: less variance
        start = torch.rand(1, generator=generator, device=x.device)
        share = (start + torch.arange(len(x), device=x.device) / len(x)).frac()
        d = (share * n).floor()
        u = torch.rand(x.shape, generator=generator, device=x.device).masked_fill(~there, 2.0)
        known = u.argsort(1).argsort(1) < d.unsqueeze(1)
        log_p = self.model.log_p(x, known).masked_fill(known, 0.0)
        return {"order_nll": -log_p.sum(1) * n / (n - d).clamp(min=1)}
