"""Independence, chain and tree of mixed columns, fitted by counting, with exact marginals.

    p(x) = ∏ p(x_i | x_parent(i)),   a forest of columns

The tree is that of Chow & Liu 1968 for variables of several values, by the mutual information of
each pair less what its table costs, (K_i - 1)(K_j - 1) / 2 · log N (Suzuki 1993): where no pair is
worth its table the columns stay independent, so it is a forest.

A real column counts as one of intervals, those between the quantiles of its training rows: within
an interval its density is constant, beyond the outer two it falls as exp(-distance / std). So the
model has a density for it, and all sums stay finite.

Missing cells are summed out exactly, and sampled given the others, by one pass up the tree and one
down (Pearl 1988). Pairs are counted where both cells are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from zoo_autoregressive.chow_liu import spanning_tree
from zoo_autoregressive.counting import check_alpha
from zoo_autoregressive.layers import keep_order, unpermute
from zoo_autoregressive.mixed import Filling, choose
from zoo_core import draws
from zoo_core.checks import check_rows
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type
from zoo_core.text import argument

__all__ = ["MixedTree"]

_STRUCTURES = ("tree", "chain", "independent")
_MOST = 2**26
"""Counts of two values, and numbers of all tables, that are held: half a gigabyte of each."""
_ONE_COLUMN = (
    "of structure = independent it has one column, where it had one for each value of a parent: "
    "such weights are trained again, which takes seconds"
)
_FEW_VALUES = 32
"""Values of a column whose indicators are multiplied as matrices."""
_ROUNDING = 1e-6
"""Nats below which the gain of an edge is none, but rounding."""


class MixedTree(Filling):
    """Columns in a forest, each with one parent or none.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        structure: `tree` learns it, in a `chain` each column depends on the one before, and
            `independent` columns on none.
        alpha: rows that are added to the counts of each conditional, spread as the column's own
            distribution; to that, one of each value.
    """

    order: Tensor
    """Parents before their children, (D,), int64."""
    parent: Tensor
    """The parent of each column, (D,), int64; -1 where it has none."""

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        structure: str = "tree",
        alpha: float = 1.0,
    ) -> None:
        super().__init__(shape, columns)
        if structure not in _STRUCTURES:
            raise InvalidInput(
                f"structure is {structure!r}; expected {', '.join(_STRUCTURES[:-1])} or "
                f"{_STRUCTURES[-1]}."
            )
        self.structure, self.alpha = structure, check_alpha(alpha)
        D = len(self._columns)
        self.sizes = [len(column.categories) or len(column.knots) + 1 for column in self._columns]
        keep_order(self, torch.arange(D))
        self.register_load_state_dict_post_hook(_check_forest)  # type: ignore[no-untyped-call] # of torch
        # a tree is a chain until it is learned
        alone = torch.full((D,), -1)
        self.register_buffer("parent", alone if structure == "independent" else torch.arange(D) - 1)
        width = 1 if structure == "independent" else max(self.sizes)
        self.logits = nn.Parameter(torch.zeros(sum(self.sizes), width))
        """Of x_i = k given the parent's value, the values of all columns below each other, (E, K);
        where there is no parent all are in the first column."""
        self.logits.requires_grad_(False)
        if width == 1:
            self.changed = {"logits": _ONE_COLUMN}
        *self._starts, E = starts = [0, *accumulate(self.sizes)]
        """Where the values of each column begin among those of all."""
        ends = {"tree": [E] * D, "chain": [*starts[2:], E], "independent": starts[1:]}[structure]
        self._later = [slice(*ends_of) for ends_of in zip(starts[1:], ends, strict=True)]
        """The values that each column's are counted with: of those after it that may be joined."""
        self._pairs = [
            k * (later.stop - later.start) for k, later in zip(self.sizes, self._later, strict=True)
        ]
        """How many pairs of values that are, for each column."""

    @property
    def free_parameters(self) -> int:
        """Number of free probabilities."""
        parents = [1 if p < 0 else self.sizes[p] for p in self.parent.tolist()]
        return sum((k - 1) * of for k, of in zip(self.sizes, parents, strict=True))

    def statistics(self, x: Tensor) -> Tensor:
        """How often each value occurs, (E,), and then each two values that are counted, int64.

        x: encoded rows, (B, *event_shape).

        Raises InvalidInput where those are too many to be held.
        """
        check_rows(self, x)
        if (needed := max(self.pairs, self.logits.numel())) > _MOST:
            raise InvalidInput(self._too_many(needed))
        values = self._values(x.flatten(1))
        on = self._indicators(values)
        counts = [on.sum(0)]
        for i, (start, k, later) in enumerate(
            zip(self._starts, self.sizes, self._later, strict=True)
        ):
            if k <= _FEW_VALUES:
                both = on[:, start : start + k].t() @ on[:, later]
            else:  # sums of rows: a product of indicators grows with the categories
                both = on.new_zeros(1 + k, later.stop - later.start)
                both = both.index_add_(0, 1 + values[:, i], on[:, later])[1:]
            counts.append(both.flatten())
        return torch.cat([each.round().long() for each in counts])

    def fit(self, counts: Tensor) -> None:
        """Find the structure, and set the tables, from the sum of the statistics."""
        if self.structure == "tree":
            order, parent = self.forest(counts)
            self.order.copy_(order)
            self.parent.copy_(parent)
        alone, pairs = self._unpack(counts)
        tables = torch.zeros_like(self.logits, device="cpu", dtype=torch.float64)
        starts = self._starts
        for i, (start, k, p) in enumerate(
            zip(starts, self.sizes, self.parent.tolist(), strict=True)
        ):
            own = slice(start, start + k)
            on = alone[own].double()
            prior = (on + 1) / (on.sum() + k)
            if p < 0:
                tables[own] = prior.log().unsqueeze(1)
                continue
            first, second = sorted((i, p))
            at = starts[second] - self._later[first].start
            both = pairs[first][:, at : at + self.sizes[second]].double()
            smoothed = (both if first == i else both.t()) + self.alpha * prior.unsqueeze(1)
            tables[own, : self.sizes[p]] = (smoothed / smoothed.sum(0)).log()
        self.logits.data.copy_(tables)

    def forest(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The forest of greatest score, from the sum of the statistics: order and parents, (D,)."""
        gain = self._gain(self._unpack(counts)[1])
        order, place = spanning_tree(gain)
        parent = torch.full_like(order, -1)
        child, above = order[1:], order[place]
        parent[child] = torch.where(gain[child, above] > 0, above, -1)
        return order, parent

    @property
    def pairs(self) -> int:
        """How many pairs of values are counted."""
        return sum(self._pairs)

    def _too_many(self, needed: int) -> str:
        tables_fit = self.structure == "tree" and self.logits.numel() <= _MOST
        others = "chain or independent" if tables_fit else "independent"
        most = max(self.sizes)
        name = self._columns[self.sizes.index(most)].name
        return (
            f"a {self.structure} of {len(self.sizes):,} columns with {sum(self.sizes):,} values "
            f"takes {needed:,} numbers for each two of them, and holds at most {_MOST:,}. Leave "
            f"columns of many values out, as {argument('columns', {name: 'skip'})} of {most:,}, or "
            f"take config.structure = {others}."
        )

    def _unpack(self, counts: Tensor) -> tuple[Tensor, list[Tensor]]:
        """How often each value occurs, (E,), and with each value after it, (K_i, E_i) each."""
        alone, *pairs = counts.cpu().split([len(self.logits), *self._pairs])
        return alone, [both.view(k, -1) for both, k in zip(pairs, self.sizes, strict=True)]

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | the cells before i in the order) of each column: (B, D), nats; 0 if missing.

        Of rows without missing cells that is log p(x_i | x_parent(i)).

        x: encoded rows, (B, *event_shape).
        """
        check_rows(self, x)
        x, place = single(x.flatten(1)), self.order.argsort()
        if not x.isnan().any():
            return self._conditionals(x)
        upto = [self._log_prob(x.masked_fill(place >= t, torch.nan)) for t in range(len(place) + 1)]
        each = [after - before for before, after in pairwise(upto)]
        return unpermute(torch.stack(each, 1), self.order)

    def _conditionals(self, x: Tensor) -> Tensor:
        values = self._values(x)
        of_parent = torch.where(self.parent < 0, 0, values[:, self.parent])
        return self._log_tables()[self._places(values), of_parent] + self._log_density(x, values)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each row's cells, (B,), nats; missing ones are summed out.

        x: encoded rows, (B, *event_shape).
        """
        check_rows(self, x)
        x = single(x.flatten(1))
        return self._log_prob(x) if x.isnan().any() else self._conditionals(x).sum(1)

    def _log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each row's cells, (B,), the missing ones summed out."""
        values = self._values(x)
        evidence = self._up(values)
        roots = (self.parent < 0).nonzero().squeeze(1).tolist()
        each = [(evidence[i] + self._log_table(i)[:, 0]).logsumexp(1) for i in roots]
        return torch.stack(each).sum(0) + self._log_density(x, values).sum(1)

    def _values(self, x: Tensor) -> Tensor:
        """The number of each cell's category or interval, (B, D), int64; -1 where it is missing."""
        values = x.nan_to_num().round().long()
        for i, column in enumerate(self._columns):
            if column.kind == "real":
                values[:, i] = torch.bucketize(x[:, i].contiguous(), self._knots(column, x))
        return values.masked_fill(x.isnan(), -1)

    def _log_density(self, x: Tensor, values: Tensor) -> Tensor:
        """log density of real cells within their intervals, (B, D); 0 of others, and if missing."""
        density = torch.zeros_like(x)
        for i, column in enumerate(self._columns):
            if column.kind == "real":
                knots = self._knots(column, x)
                widths = torch.cat([knots.new_ones(1), knots.diff(), knots.new_ones(1)])
                beyond = (knots[0] - x[:, i]).clamp(min=0) + (x[:, i] - knots[-1]).clamp(min=0)
                log_p = -widths[values[:, i]].log() - beyond
                density[:, i] = log_p - torch.tensor(column.std).log()
        return density.masked_fill(values < 0, 0.0)

    def _knots(self, column: Column, x: Tensor) -> Tensor:
        """The bounds of a real column's intervals, encoded, (K - 1,)."""
        knots = torch.tensor(column.knots, dtype=torch.float64)
        return ((knots - column.mean) / column.std).to(x.device, x.dtype)

    def _indicators(self, values: Tensor) -> Tensor:
        """Which values the cells have, (B, E), in {0, 1}; zeros where a cell is missing."""
        last = len(self.logits)
        on = self.logits.new_zeros(len(values), last + 1)
        places = torch.where(values < 0, last, self._places(values))
        return on.scatter_(1, places, 1.0)[:, :last]

    def _places(self, values: Tensor) -> Tensor:
        """Where values of the columns, (B, D), are among those of all."""
        return values + torch.tensor(self._starts, device=values.device)

    def _log_tables(self) -> Tensor:
        """log p(x_i = k | the parent's value) of all columns, (E, K), as `logits` has them."""
        return torch.cat(
            [of_one.log_softmax(0) for of_one in single(self.logits).split(self.sizes)]
        )

    def _log_table(self, i: int) -> Tensor:
        """log p(x_i = k | the parent's value s), (K_i, K_parent); (K_i, 1) without a parent."""
        start, p = self._starts[i], int(self.parent[i])
        states = 1 if p < 0 else self.sizes[p]
        return single(self.logits[start : start + self.sizes[i], :states]).log_softmax(0)

    def _gain(self, pairs: Sequence[Tensor]) -> Tensor:
        """What an edge between each two columns adds to the log-likelihood, less its cost, (D, D).

        pairs: how often two values occur together, (K_i, E_i) each.
        """
        D, sizes = len(self.sizes), torch.tensor(self.sizes)
        owner = torch.arange(D).repeat_interleave(sizes)
        gain = torch.zeros(D, D, dtype=torch.float64)
        for i, N in enumerate(pairs[:-1]):
            N, later, owners = N.double(), D - i - 1, owner[self._later[i]] - (i + 1)
            on = _sums(N, owners, later)  # how often a value occurs where another column is there
            other = N.sum(0)
            n = on.sum(0)
            surprise = _sums(_xlogx(N).sum(0) - _xlogx(other), owners, later)
            cost = 0.5 * (self.sizes[i] - 1) * (sizes[i + 1 :] - 1) * n.clamp(min=1).log()
            gain[i, i + 1 :] = surprise + (_xlogx(n) - _xlogx(on).sum(0)) - cost
        gain = gain.masked_fill(gain.abs() < _ROUNDING, 0.0)
        return gain + gain.t()

    def _up(self, values: Tensor) -> list[Tensor]:
        """log p(the known cells at and below each column | its value), (B, K_i) each.

        values: (B, D), -1 where missing.
        """
        evidence = []
        for i, k in enumerate(self.sizes):
            off = values[:, i : i + 1] != torch.arange(k, device=values.device)
            known = (values[:, i : i + 1] >= 0) & off
            evidence.append(torch.where(known, -torch.inf, single(self.logits.new_zeros(()))))
        for i in self.order.flip(0).tolist():
            p = int(self.parent[i])
            if p >= 0:
                top = evidence[i].amax(1, keepdim=True).clamp(min=-1e30)
                message = (evidence[i] - top).exp() @ self._log_table(i).exp()
                evidence[p] = evidence[p] + message.log() + top
        return evidence

    @torch.no_grad()
    def _fill(self, x: Tensor, generator: torch.Generator | None, temperature: float) -> Tensor:
        """Sample the missing cells of x, (B, D), each given its parent and all that is known."""
        evidence, (n, D) = self._up(values := self._values(x)), x.shape
        kind = single_type(x.dtype)
        u = draws.rand(2, D, n, dim=2, generator=generator, device=x.device, dtype=kind)
        x = x.clone()
        for i in self.order.tolist():
            missing, p = values[:, i] < 0, int(self.parent[i])
            above = self._log_table(i).t()[
                values[:, p] if p >= 0 else torch.zeros_like(missing).long()
            ]
            drawn = choose((evidence[i] + above) / temperature, u[0, i])
            values[:, i] = torch.where(missing, drawn, values[:, i])
            x[:, i] = torch.where(
                missing, self._within(i, values[:, i], u[1, i]).to(x.dtype), x[:, i]
            )
        return x.reshape(n, *self.event_shape)

    def _within(self, i: int, values: Tensor, u: Tensor) -> Tensor:
        """The encoded cells of categories, or of intervals at uniform numbers, (B,) each."""
        column = self._columns[i]
        if column.kind != "real":
            return values.to(u.dtype)
        knots = self._knots(column, u)
        low, high = knots[(values - 1).clamp(min=0)], knots[values.clamp(max=len(knots) - 1)]
        beyond = -torch.log1p(-u)  # how far from the knot, in standard deviations
        inner = torch.lerp(low, high, u)
        outer = torch.where(values == 0, knots[0] - beyond, knots[-1] + beyond)
        return torch.where((values == 0) | (values == len(knots)), outer, inner)


def _check_forest(tree: nn.Module, _: object) -> None:
    """Refuse weights whose parents do not come before their children."""
    parent, order = tree.get_buffer("parent"), tree.get_buffer("order")
    if parent.is_meta:
        return
    D, place = len(parent), order.argsort()
    if not ((parent >= -1) & (parent < D)).all():
        raise ValueError("parent is no forest: it names columns that there are not")
    if not ((parent < 0) | (place[parent.clamp(min=0)] < place)).all():
        raise ValueError("parent is no forest: a parent does not come before its child")


def _sums(x: Tensor, owner: Tensor, columns: int) -> Tensor:
    """The sums over each column's values, (…, columns), of numbers of all of them, (…, E)."""
    return x.new_zeros(*x.shape[:-1], columns).index_add_(-1, owner, x)


def _xlogx(x: Tensor) -> Tensor:
    return torch.xlogy(x, x)
