"""MADE: Germain et al. 2015, Masked Autoencoder for Distribution Estimation (ICML).

Input j has the degree of its place in the order, 1 … D; hidden unit k of layer l a degree
m^l(k) ~ U{min m^{l-1}, …, D - 1}; output i the degree i - 1. A connection is kept where the degree
does not fall, so that output i sees x_<i alone:

    h^l = relu(c^l + (W^l ⊙ M^l) h^{l-1}),   logit_i = b_i + ((V ⊙ M^V) h^L)_i + ((A ⊙ M^A) x)_i

A, from the input straight to the output, is optional, and starts at zero: without hidden units it
is FVSBN, which learns at rates at which drawn weights would only be noise.

The degrees can be drawn K times (`masks`). Training takes one draw for each batch, by chance; the
density is then the equal mixture of the K networks, which share their weights: the log-mean-exp of
their log-probabilities (a mean of logits would be no likelihood). All have one order, so that the
mixture is a chain too, of conditionals p(x_≤i) / p(x_<i).

Differences from the paper. Where there is one draw a layer holds the connections that it keeps, and
no zeros for the others; and the units of a layer are sorted by their degree, which changes no
probability and makes those that a step of the sampler adds a slice.
The paper cycles through its masks, and can draw the order anew with each; here masks come by
chance, and there is one order: a mixture over orders could complete no given variables, and
`eonade` learns all orders. Degrees can be kept to a part of their range (`degrees`). Hidden units
can be dropped in training (`dropout`), for tables of few rows.
"""

import math
from collections.abc import Generator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import BinaryAutoregressive, bernoulli_log_prob, unpermute
from zoo_core import draws
from zoo_core.checks import check_inputs
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput

__all__ = ["MADE", "PACKED", "MaskedLinear"]

PACKED = (
    "weights hold the connections that masks keep, where they held the others too: those from "
    "before are trained again"
)
"""What to say of files from before."""


class MADE(BinaryAutoregressive):
    """A masked autoencoder: all conditionals in one pass, or in one for each of several masks.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        hidden: number of units of each hidden layer.
        direct: whether the input is also connected straight to the output.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order and of the degrees.
        dropout: share of the hidden units that training drops.
        masks: number of samples of the hidden units' degrees, K, which are mixed.
        degrees: the lowest and the highest degree of a hidden unit; by default 1 and D - 1. A unit
            is spent for nothing where all that it sees, or all that it leads to, never varies, as
            in the first and last rows of digits.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: Sequence[int] = (500,),
        direct: bool = False,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
        dropout: Rate = 0.0,
        masks: int = 1,
        degrees: Sequence[int] | None = None,
    ) -> None:
        super().__init__(tuple(shape), order, order_seed)
        self.dropout, self.masks = dropout, masks
        D = len(self.order)
        if D < 2 or not hidden:
            raise InvalidInput(f"made needs two variables and a hidden layer; given {D}, {hidden}.")
        if masks < 1:
            raise InvalidInput(f"masks is {masks}; expected 1, or more for a mixture over them.")
        low, high = degrees or (1, D - 1)
        if not 1 <= low <= high < D:
            raise InvalidInput(
                f"degrees is {list(degrees or ())}; expected the lowest and the highest of a "
                f"hidden unit, from 1 to {D - 1}."
            )
        generator = torch.Generator().manual_seed(order_seed)
        inputs, outputs = torch.arange(1, D + 1, device="cpu"), torch.arange(D, device="cpu")
        draws = [_sample_degrees(low, high, hidden, generator) for _ in range(masks)]
        m = [inputs, *(_stack_degrees(layer) for layer in zip(*draws, strict=True))]
        self.layers = nn.ModuleList(MaskedLinear(below, above) for below, above in pairwise(m))
        self.V = MaskedLinear(m[-1], outputs, bias=False)
        self.A = MaskedLinear(inputs, outputs, bias=False) if direct else None
        if self.A is not None:
            nn.init.zeros_(self.A.weight)
        self.changed = {"V.weight": PACKED} if masks == 1 else {}
        self.register_load_state_dict_post_hook(_check_degrees)  # type: ignore[no-untyped-call] # of torch

    @property
    def free_parameters(self) -> int:
        """Number of connections that any mask keeps, and of biases."""
        masked = [module for module in self.modules() if isinstance(module, MaskedLinear)]
        return len(self.b) + sum(module.free_parameters for module in masked)

    def logits(self, x: Tensor, k: int = 0) -> Tensor:
        """b + V h + A x of each variable by the k-th mask, in the order: (B, D)."""
        h = x
        for layer in self.layers:
            h = functional.dropout(torch.relu(layer(h, k)), self.dropout, self.training)
        logits: Tensor = self.b + self.V(h, k)
        return logits if self.A is None else logits + self.A(x)

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats.

        In training mode by one random mask, from torch's default generator as for dropout; else by
        all.
        """
        check_inputs(self, x)
        x = x.flatten(1)[:, self.order]
        if self.training or self.masks == 1:
            log_p = self._log_p(x, int(torch.randint(self.masks, ())) if self.masks > 1 else 0)
        else:
            each = torch.stack([self._log_p(x, k) for k in range(self.masks)])
            prefixes = each.cumsum(2).logsumexp(0) - math.log(self.masks)
            log_p = prefixes.diff(dim=1, prepend=prefixes.new_zeros(x.shape[0], 1))
        return unpermute(log_p, self.order)

    def _log_p(self, x: Tensor, k: int) -> Tensor:
        """log p_k(x_i | x_<i) of x in the order, (B, D)."""
        return bernoulli_log_prob(self.logits(x, k), x)

    def _ancestral(
        self, x: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample the variables after x, (n, d), in the order; each row by one mask."""
        of = self._choose_masks(x, generator)
        sampled = x.new_empty(len(x), *self.event_shape)
        for k in of.unique().tolist():
            rows = (of == k).nonzero().squeeze(1)
            stream = draws.of_samples(generator, rows)
            sampled[rows] = self._along(self.walk(x[rows], k), x[rows], stream, temperature)
        return sampled

    @torch.no_grad()
    def _choose_masks(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """A mask for each row, (n,), sampled from its posterior given x, (n, d), in the order."""
        (n, d), D = x.shape, len(self.order)
        if self.masks == 1:
            return torch.zeros(n, dtype=torch.int64, device=x.device)
        given = functional.pad(x, (0, D - d))
        each = [self._log_p(given, k)[:, :d].sum(1) for k in range(self.masks)]
        posterior = torch.stack(each, 1).softmax(1)
        return draws.categorical(posterior, generator)

    def walk(self, x: Tensor, k: int = 0) -> Generator[Tensor, Tensor, None]:
        """Keep the hidden units: each sampled variable completes those of its degree."""
        (n, d), D = x.shape, len(self.order)
        h = torch.cat([x, x.new_zeros(n, D - d)], 1)
        units, layers = [h], list[SortedLinear]()
        A = None if self.A is None else self.A.dense()
        places: slice | Tensor = slice(None)
        for layer in self.layers:
            assert isinstance(layer, MaskedLinear)
            # right where a unit sees x alone; the others come in their turn
            h = torch.relu(layer(h, k))
            part, places = layer.sort(k, places, D)
            layers.append(part)
            units.append(h[:, places])
        V, _ = self.V.sort(k, places, D)
        ends = [list(range(D + 1)), *(part.ends for part in layers)]
        for i in range(d, D):
            logit = self.b[i] + V.part(units[-1], i, ends[-1][i])
            if A is not None:
                logit = logit + functional.linear(units[0][:, :i], A[i, :i])
            units[0][:, i] = yield logit
            for above, part in enumerate(layers, start=1):
                new = slice(ends[above][i], ends[above][i + 1])
                if new.start < new.stop:
                    seen = ends[above - 1][i + 1]
                    units[above][:, new] = torch.relu(part.part(units[above - 1], new, seen))


def _check_degrees(made: nn.Module, _: object) -> None:
    """Refuse weights in which an output could see what it must not."""
    assert isinstance(made, MADE)
    D, device = len(made.order), made.order.device
    inputs, outputs = torch.arange(1, D + 1, device=device), torch.arange(D, device=device)
    below, sound = inputs, True
    for layer in (*made.layers, made.V):
        assert isinstance(layer, MaskedLinear)
        sound &= torch.equal(layer.below, below) and layer.is_whole
        below = layer.m
        if layer is not made.V:
            # those of a single mask are sorted, which the sampler relies on
            sound &= bool(((below >= 1) & (below < D)).all())
            sound &= below.dim() == 2 or bool((below.diff() >= 0).all())
    sound &= torch.equal(below, outputs)
    if made.A is not None:
        sound &= torch.equal(made.A.below, inputs) and torch.equal(made.A.m, outputs)
    if not sound:
        raise ValueError("the degrees of its units are not those of a masked autoencoder")


class SortedLinear(NamedTuple):
    """A masked linear map with units sorted by degree: each step computes a slice."""

    weight: Tensor
    """(H, K)."""
    bias: Tensor | None
    ends: list[int]
    """For each degree t from 0 to D, the number of outputs whose degree is at most t."""

    def part(self, x: Tensor, rows: int | slice, seen: int) -> Tensor:
        """The outputs `rows`, which see the first `seen` inputs of x, (B, K)."""
        bias = None if self.bias is None else self.bias[rows]
        return functional.linear(x[:, :seen], self.weight[rows, :seen], bias)


class MaskedLinear(nn.Module):
    """A linear map that keeps connections from lower to higher or equal degrees.

    Args:
        below: degrees of the inputs, (K,), int64, or (masks, K) for several masks.
        m: degrees of the outputs, (H,), int64, or (masks, H); those of one mask are sorted.
        bias: whether there is a bias.
    """

    below: Tensor
    m: Tensor

    def __init__(self, below: Tensor, m: Tensor, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("below", below.clone())  # files hold no shared tensors
        self.register_buffer("m", m.clone())
        H, K = m.shape[-1], below.shape[-1]
        self._masks = max(len(degrees) if degrees.dim() == 2 else 1 for degrees in (below, m))
        weight = torch.empty(H, K)
        nn.init.kaiming_uniform_(weight, a=5**0.5)
        if self._masks == 1:
            kept = weight.new_empty(1, self._connections)
            weight = kept if weight.is_meta else weight[self.mask()][None]
        self.weight = nn.Parameter(weight)
        """Of one mask the connections that it keeps, row by row: (1, n), since optimizers do not
        decay weights of one dimension; Muon leaves it to its fallback, AdamW. Of several masks
        (H, K): together they keep nearly all."""
        self.bias = nn.Parameter(torch.zeros(H)) if bias else None

    def mask(self, k: int = 0) -> Tensor:
        """Which connections the k-th mask keeps, (H, K), bool."""
        below, m = (degrees if degrees.dim() == 1 else degrees[k] for degrees in self._degrees)
        return m[:, None] >= below

    @property
    def _degrees(self) -> tuple[Tensor, Tensor]:
        return self.below, self.m

    @property
    def _connections(self) -> int:
        """Number of connections of the only mask, without making it."""
        return int(torch.searchsorted(self.below.sort().values, self.m, right=True).sum())

    @property
    def free_parameters(self) -> int:
        """Number of connections that any mask keeps, and of biases."""
        kept = torch.zeros_like(self.mask())
        for k in range(self._masks):
            kept |= self.mask(k)
        return int(kept.sum()) + (0 if self.bias is None else len(self.bias))

    @property
    def is_whole(self) -> bool:
        """Whether there is a weight for each connection that is kept."""
        return self._masks > 1 or self._connections == self.weight.numel()

    def dense(self, k: int = 0) -> Tensor:
        """The weights of the k-th mask, (H, K), with zeros where there is no connection."""
        kept = self.mask(k)
        if self._masks > 1:
            return self.weight * kept
        # ones where weights go, and no new zeros, which an exporter does not fold
        return kept.to(self.weight).masked_scatter(kept, self.weight)

    def forward(self, x: Tensor, k: int = 0) -> Tensor:
        """Map x (B, K) to (B, H)."""
        return functional.linear(x, self.dense(k), self.bias)

    def sort(self, k: int, inputs: slice | Tensor, D: int) -> tuple[SortedLinear, slice | Tensor]:
        """The map of the k-th mask with sorted units, and the permutation of its outputs.

        inputs: permutation of its inputs.
        D: the highest degree.
        """
        m = self.m if self.m.dim() == 1 else self.m[k]
        outputs = slice(None) if self.m.dim() == 1 else m.argsort(stable=True)
        ends: list[int] = torch.bincount(m, minlength=D + 1).cumsum(0).tolist()
        bias = None if self.bias is None else self.bias[outputs]
        return SortedLinear(self.dense(k)[outputs][:, inputs], bias, ends), outputs


def _sample_degrees(
    low: int, high: int, hidden: Sequence[int], generator: torch.Generator
) -> list[Tensor]:
    """Sample the degrees of each layer's units, from the lowest of the layer below to `high`."""
    degrees = list[Tensor]()
    for H in hidden:
        degrees.append(torch.randint(low, high + 1, (H,), generator=generator, device="cpu"))
        low = int(degrees[-1].min())
    return degrees


def _stack_degrees(draws: Sequence[Tensor]) -> Tensor:
    """Stack one layer's degrees over the masks, (masks, H); those of one mask are sorted, (H,)."""
    return draws[0].sort().values if len(draws) == 1 else torch.stack(list(draws))
