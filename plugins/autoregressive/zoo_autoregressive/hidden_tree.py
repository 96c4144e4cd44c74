"""A hidden Chow-Liu tree, a probabilistic circuit: Liu & Van den Broeck 2021 (NeurIPS 34).

    p(x) = Σ_z ∏ p(z_i | z_parent(i)) p(x_i | z_i),   z_i one of K states

One pass from the leaves to the root sums over all z: the cells at and below column i have, given
the parent's state l, the probability

    Σ_k p(z_i = k | z_parent(i) = l) p(x_i | z_i = k) ∏_{children c} p(cells at and below c | k)

So any cells can be missing, and are summed out exactly; with as many states as values, the tree of
Chow & Liu is one of these. A real column is Gaussian given its state: a mixture of K.

The tree is that of Chow & Liu over the columns' values, rooted in its middle, where the passes are
shortest. Which columns are independent of all others stays so (see `mixed_tree`).

Differences from the paper. Parameters are softmaxes, trained by gradients instead of EM, and weight
decay takes the place of pseudocounts. The tree is counted while the first steps are taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.counting import Total, exact
from zoo_autoregressive.layers import keep_order
from zoo_autoregressive.mixed import SMALLEST_SCALE, Filling, choose, columns_of
from zoo_autoregressive.mixed_tree import MixedTree
from zoo_core import draws
from zoo_core.checks import check_rows
from zoo_core.config import Rate, Size
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type
from zoo_core.training.likelihood import MaximumLikelihood
from zoo_core.training.objective import network_of
from zoo_core.training.protocols import Update

__all__ = ["HiddenTree", "TreeLikelihood"]

_TINY = 1e-38
_MOST_PAIRS = 2**24
"""Of values that are counted at each of the first steps."""
_HALF_LOG_2π = 0.5 * math.log(2 * math.pi)


class HiddenTree(Filling):
    """Columns that depend on each other through a tree of hidden states.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        states: number of states behind each column, K.
    """

    order: Tensor
    """The columns as they stand, (D,), int64: what `conditionals` follows."""
    parent: Tensor
    """The parent of each column, (D,), int64; -1 where it has none."""

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        states: int = 16,
    ) -> None:
        super().__init__(shape, columns)
        if states < 1:
            raise InvalidInput(f"states is {states}; expected 1 or more.")
        self.states = states
        D = len(self._columns)
        keep_order(self, torch.arange(D))
        self.register_buffer("parent", _root_in_middle([i - 1 for i in range(D)]))
        self.register_load_state_dict_post_hook(_check_forest)  # type: ignore[no-untyped-call] # of torch
        self.logits = nn.Parameter(torch.randn(D, states, states))
        """Of z_i = k given that the parent's state is l, (D, K, K); of a root, those at l = 0."""
        discrete = [i for i, column in enumerate(self._columns) if column.categories]
        real = [i for i, column in enumerate(self._columns) if not column.categories]
        self.cells = nn.ModuleList(
            cls({i: self._columns[i] for i in own}, states)
            for cls, own in ((Categories, discrete), (Normals, real))
            if own
        )

    @property
    def free_parameters(self) -> int:
        """Number of free probabilities, means and scales."""
        K, children = self.states, int((self.parent >= 0).sum())
        of_states = (K - 1) * (K * children + len(self.parent) - children)
        return of_states + sum(part.free_parameters for part in self._parts())

    def connect(self, parent: Tensor) -> None:
        """Lay the tree anew along these edges, (D,), int64: parents, or -1; it is rerooted."""
        self.parent.copy_(_root_in_middle(parent.tolist()))

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each row's cells, (B,), nats; missing ones are summed out.

        x: encoded rows, (B, *event_shape).
        """
        check_rows(self, x)
        return self._log_prob(single(x.flatten(1)))

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | the columns before i) of each column: (B, D), nats; 0 of a missing cell.

        x: encoded rows, (B, *event_shape).
        """
        check_rows(self, x)
        x, D = single(x.flatten(1)), len(self._columns)
        column = torch.arange(D, device=x.device)
        upto = [self._log_prob(x.masked_fill(column > i, torch.nan)) for i in range(D)]
        return torch.stack([upto[0], *(after - before for before, after in pairwise(upto))], 1)

    def _log_prob(self, x: Tensor) -> Tensor:
        """(B,) of encoded rows, (B, D)."""
        layers = self._layers()
        roots = self._log_states()[layers[0], :, 0]
        evidence = self._evidence(x, layers)[0]
        return (evidence + roots.unsqueeze(1)).logsumexp(2).sum(0)

    def _evidence(self, x: Tensor, layers: Sequence[Tensor]) -> list[Tensor]:
        """log p(the known cells at and below a column | its state), (D', B, K) for each layer."""
        cells, p = self._log_cells(x), self._log_states().exp()
        evidence = [cells[column] for column in layers]
        place = torch.empty_like(self.parent)
        for column in layers:
            place[column] = torch.arange(len(column), device=x.device)
        for d in range(len(layers) - 1, 0, -1):
            top = evidence[d].amax(2, keepdim=True).detach()
            message = ((evidence[d] - top).exp() @ p[layers[d]]).clamp_min(_TINY).log() + top
            above = place[self.parent[layers[d]]]
            evidence[d - 1] = evidence[d - 1].index_add(0, above, message)
        return evidence

    def _layers(self) -> list[Tensor]:
        """The columns by their distance from a root, int64 each."""
        depth, above = torch.zeros_like(self.parent), self.parent
        while (above >= 0).any():
            depth, above = depth + (above >= 0), _step_up(self.parent, above)
        return [(depth == d).nonzero().squeeze(1) for d in range(int(depth.max()) + 1)]

    def _log_states(self) -> Tensor:
        """log p(z_i = k | the parent's state l), (D, K, L)."""
        return single(self.logits).log_softmax(1)

    def _log_cells(self, x: Tensor) -> Tensor:
        """log p(x_i | z_i = k) of each cell, (D, B, K); 0 where it is missing."""
        cells = x.new_zeros(len(self._columns), len(x), self.states)
        for part in self._parts():
            columns = torch.tensor(part.columns, device=x.device)
            cells = cells.index_copy(0, columns, part.log_p(x[:, columns].t()))
        return cells

    def _parts(self) -> Iterator[Categories | Normals]:
        for part in self.cells:
            assert isinstance(part, Categories | Normals)
            yield part

    @torch.no_grad()
    def _fill(self, x: Tensor, generator: torch.Generator | None, temperature: float) -> Tensor:
        """Sample the missing cells of x, (B, D), each given its state and all that is known."""
        (n, D), kind = x.shape, single_type(x.dtype)
        u = draws.rand(2, D, n, dim=2, generator=generator, device=x.device, dtype=kind)
        noise = draws.randn(D, n, dim=1, generator=generator, device=x.device, dtype=kind)
        z = torch.zeros(D, n, dtype=torch.long, device=x.device)
        layers, log_p = self._layers(), self._log_states().transpose(1, 2)
        for column, evidence in zip(layers, self._evidence(single(x), layers), strict=True):
            above = z[self.parent[column].clamp(min=0)] * (self.parent[column] >= 0).unsqueeze(1)
            given = log_p[column].take_along_dim(above.unsqueeze(2), 1)
            logits = ((evidence + given) / temperature).flatten(0, 1)
            z[column] = choose(logits, u[0, column].flatten()).view(len(column), n)
        x = x.clone()
        for part in self._parts():
            columns = torch.tensor(part.columns, device=x.device)
            drawn = part.sample(z[columns], u[1, columns], noise[columns], temperature)
            cells = x[:, columns]
            x[:, columns] = torch.where(cells.isnan(), drawn.t().to(x.dtype), cells)
        return x.reshape(n, *self.event_shape)


class Categories(nn.Module):
    """p(x_i = v | z_i = k) of discrete columns.

    Args:
        columns: by their number in a row.
        states: K.
    """

    def __init__(self, columns: Mapping[int, Column], states: int) -> None:
        super().__init__()
        self.columns, self.states = list(columns), states
        self._sizes = [len(column.categories) for column in columns.values()]
        self.logits = nn.Parameter(torch.randn(sum(self._sizes), states))
        """The values of all columns below each other, (E, K)."""

    @property
    def free_parameters(self) -> int:
        """Number of free probabilities."""
        return (len(self.logits) - len(self.columns)) * self.states

    def log_p(self, v: Tensor) -> Tensor:
        """log p of cells given each state, (D', B, K); 0 where they are missing.

        v: categories, (D', B), NaN where missing.
        """
        table = self._table()
        D, V, K = table.shape
        first = V * torch.arange(D, device=v.device).unsqueeze(1)
        places = (v.nan_to_num().long() + first).masked_fill(v.isnan(), D * V)
        return functional.embedding(places, torch.cat([table.flatten(0, 1), v.new_zeros(1, K)]))

    def sample(self, z: Tensor, u: Tensor, _: Tensor, temperature: float) -> Tensor:
        """Sample cells given their states at uniform numbers, (D', B) each."""
        of_states = self._table().transpose(1, 2) / temperature
        return torch.stack([choose(own[k], at) for own, k, at in zip(of_states, z, u, strict=True)])

    def _table(self) -> Tensor:
        """log p(x_i = v | z_i = k), (D', V, K); -inf where v is no value of a column."""
        sizes, V = torch.tensor(self._sizes), max(self._sizes)
        places = sizes.cumsum(0).sub(sizes).unsqueeze(1) + torch.arange(V)
        places[torch.arange(V) >= sizes.unsqueeze(1)] = len(self.logits)
        never = self.logits.new_full((1, self.states), -torch.inf)
        padded = single(torch.cat([self.logits, never]))
        return functional.embedding(places.to(padded.device), padded).log_softmax(1)


class Normals(nn.Module):
    """p(x_i | z_i = k) = N(x_i; μ_k, σ_k²) of real columns.

    Args:
        columns: by their number in a row.
        states: K.
    """

    def __init__(self, columns: Mapping[int, Column], states: int) -> None:
        super().__init__()
        self.columns = list(columns)
        self._log_stds = [math.log(column.std) for column in columns.values()]
        self.mean = nn.Parameter(torch.randn(len(columns), states))
        """In standard deviations of the column, from its mean, (D', K)."""
        self.log_scale = nn.Parameter(torch.full((len(columns), states), -0.5))
        """log σ, σ in standard deviations of the column, (D', K)."""

    @property
    def free_parameters(self) -> int:
        """Number of means and scales."""
        return self.mean.numel() + self.log_scale.numel()

    def log_p(self, v: Tensor) -> Tensor:
        """log density of cells, in the columns' units, given each state: (D', B, K); 0 if missing.

        v: encoded, (D', B), NaN where missing.
        """
        μ, log_σ = self._normal()
        log_stds = torch.tensor(self._log_stds, device=v.device).unsqueeze(1)
        z = (v.nan_to_num().unsqueeze(2) - μ.unsqueeze(1)) * torch.exp(-log_σ).unsqueeze(1)
        log_p = -0.5 * z * z - (log_σ + log_stds + _HALF_LOG_2π).unsqueeze(1)
        return log_p.masked_fill(v.isnan().unsqueeze(2), 0.0)

    def sample(self, z: Tensor, _: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """Sample cells given their states by normal numbers, (D', B) each."""
        μ, log_σ = (each.gather(1, z) for each in self._normal())
        return μ + log_σ.exp() * math.sqrt(temperature) * noise

    def _normal(self) -> tuple[Tensor, Tensor]:
        return single(self.mean), single(self.log_scale).clamp(min=SMALLEST_SCALE)


class TreeLikelihood(MaximumLikelihood):
    """Minimises the mean of -log p(x), in nats, and learns the tree in the first steps.

    The tree is that of all rows so far at the steps 1, 2, 4, 8, …

    Args:
        model: a HiddenTree.
        noise: as that of MaximumLikelihood.
        counted: the number of first steps whose rows are counted.
    """

    def __init__(self, model: nn.Module, noise: Rate = 0.0, counted: Size = 128) -> None:
        super().__init__(model, noise)
        self.counted = counted
        columns = columns_of([c.table() for c in self.model.columns], self.model.event_shape)
        self._tree = _tree_of(columns)
        self.networks["statistics"] = Total(self._tree)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """Count the rows of a batch while the tree is learned, and apply its loss."""
        if step <= self.counted:
            with exact(x):
                statistics = self._tree.to(x.device).statistics(x.flatten(1))
            total = network_of(self.networks, "statistics", Total).add(statistics)
            if step.bit_count() == 1:
                self.model.connect(self._tree.forest(total)[1])
        return super().training_step(x, update, generator, labels, step)


def _tree_of(columns: Sequence[Column]) -> MixedTree:
    """A tree to learn the edges by; of very many columns the real ones have fewer intervals."""
    tree = MixedTree((len(columns),), [column.table() for column in columns])
    if tree.pairs <= _MOST_PAIRS or all(len(column.knots) < 2 for column in columns):
        return tree
    return _tree_of([replace(column, knots=column.knots[::2]) for column in columns])


def _root_in_middle(parent: Sequence[int]) -> Tensor:
    """The parents of the same forest with each tree rooted in its middle, (D,), int64.

    The leaves are taken off, again and again, until nothing is left.
    """
    neighbours = [set[int]() for _ in parent]
    for child, above in enumerate(parent):
        if above >= 0:
            neighbours[child].add(above)
            neighbours[above].add(child)
    rooted, left = [-1] * len(parent), list(range(len(parent)))
    while left:
        leaves = [i for i in left if len(neighbours[i]) < 2]
        left = [i for i in left if len(neighbours[i]) > 1]
        for leaf in leaves:
            for above in neighbours[leaf]:
                rooted[leaf] = above
                neighbours[above].remove(leaf)
    return torch.tensor(rooted)


def _step_up(parent: Tensor, column: Tensor) -> Tensor:
    """The parents of columns, (D,) each, int64; -1 above a root."""
    return torch.where(column >= 0, parent[column], column)


def _check_forest(tree: nn.Module, _: object) -> None:
    """Refuse weights whose parents are no columns, or go in a circle."""
    parent = tree.get_buffer("parent")
    if parent.is_meta:
        return
    if not ((parent >= -1) & (parent < len(parent))).all():
        raise ValueError("parent is no forest: it names columns that there are not")
    above = parent
    for _step in range(len(parent)):
        above = _step_up(parent, above)
    if (above >= 0).any():
        raise ValueError("parent is no forest: it goes in a circle")
