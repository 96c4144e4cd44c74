"""Decoder-only attention over variables: Vaswani et al. 2017, Attention Is All You Need (NeurIPS).

    Attention(Q, K, V) = softmax(Q Kᵀ / √d_k) V
    MultiHead(s) = [head_1 … head_h] W_O,   head_j = Attention(s W_Q_j, s W_K_j, s W_V_j)
    FFN(s) = max(0, s W_1) W_2

Place t of the sequence holds the value of the variable before it (the first one a start token) and
the position of the variable to come; attention is causal, so that the last layer's place t gives
p(x_t | x_<t), a softmax over the variable's levels.

Differences from the paper. There is a decoder only.
Normalization comes before each sublayer (pre-norm: s + MultiHead(norm(s))) and once at the end: the
residual path from the loss to each layer is then an identity, and training at a high rate does not
diverge without a long warm-up. A variable of an image has a position on each axis, each with
sinusoids of its own; learned positions start at the sinusoids, where a shift is one rotation
for all places (from a random start, "the pixel above" must be found for each pixel anew). The
rectifier in FFN may be replaced (`activation = "gelu"`, as in GPT-2). A place may embed the last
`window` values rather than one alone, each by a table of its own (a causal convolution): neighbours
are then visible before the first layer of attention, which need not learn where they are and trains
in a fraction of the steps. The start token embeds the class label, where there are labels; with
`labels = "every"` it is added at each place, so that no head has to look back for it. Samples of a
label can be guided (Ho & Salimans 2021, Classifier-Free Diffusion Guidance; here between logits):

    logits = logits(no label) + guidance (logits(label) − logits(no label))

Over 400 lines: the decoder, its blocks and the cache of keys and values are one network, whose
parts nothing else uses.
"""

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import (
    check_levels,
    keep_order,
    permutation,
    prefix_length,
    unpermute,
)
from zoo_core import draws
from zoo_core.checks import (
    check_inputs,
    check_labels,
    check_mask,
    check_sampling,
    check_whole,
)
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type

__all__ = ["Attention"]


class Attention(nn.Module):
    """A causal transformer over the variables of an input, of two or more levels.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        levels: number of values of a variable; value v is v / (levels - 1) in x.
        blocks: number of layers, each of attention and FFN (the paper's N).
        d: width of the sequence (the paper's d_model).
        h: number of heads, each of width d_k = d / h.
        d_ff: width inside FFN; 4 d when it is 0.
        window: number of preceding values that a place embeds; 1 is the paper's.
        positions: `learned`, or `sinusoidal` for the paper's fixed ones.
        activation: the non-linearity of FFN, `relu` (the paper's) or `gelu`.
        dropout: dropout probability of each sublayer's output and of the first input.
        classes: number of class labels to condition on; 0 for an unconditional model.
        labels: where the label is embedded: at the `start`, or at `every` place.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    order: Tensor

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        levels: int = 2,
        blocks: int = 4,
        d: int = 64,
        h: int = 2,
        d_ff: int = 0,
        window: int = 1,
        positions: str = "learned",
        activation: str = "relu",
        dropout: Rate = 0.0,
        classes: int = 0,
        labels: str = "start",
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        _check(d, h, window, positions, activation, labels)
        self.event_shape, self.classes = tuple(shape), classes
        self.levels = check_levels(levels)
        keep_order(self, permutation(torch.Size(shape).numel(), order, order_seed))
        P = sinusoids(self.order, self.event_shape, d)
        if positions == "learned":
            self.P = nn.Parameter(P)
        else:
            self.register_buffer("P", P)
        self.labels_at_every = labels == "every"
        self.start = nn.Embedding(classes + 1, d)
        """A start token for each label; the last one is for no label."""
        self.value = nn.Conv1d(levels, d, window, bias=False)
        """Embeddings of the levels, one table for each place of the window."""
        self.dropout = nn.Dropout(dropout)
        self.blocks = stack(blocks, d, h, d_ff, activation, dropout)
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, levels)

    def categories(self, x: Tensor) -> Tensor:
        """The level of each variable, in the order, (B, D), int64, from 0.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        return single(x).flatten(1)[:, self.order].mul(self.levels - 1).round().long()

    def logits(self, v: Tensor, label: Tensor | int | None = None) -> Tensor:
        """The logits of p(x_i = · | x_<i, label) of each variable, in the order: (B, D, levels).

        v: levels of the variables in the order, (B, D), int64; the last one is ignored.
        label: as in `log_prob`.
        """
        s = self.dropout(self._sequence(v[:, :-1], label))
        for block in self.blocks:
            s = block(s)
        logits: Tensor = self.head(self.norm(s))
        return logits

    def walk(self, v: Tensor, label: Tensor | int | None = None) -> Generator[Tensor, Tensor, None]:
        """Yield the logits, (n, levels), of each variable in turn; receive its sampled level, (n,).

        Keys and values are cached: a step computes one place.

        v: levels of the variables before the first step, in the order, (n, d), int64.
        """
        (n, first), D = v.shape, len(self.order)
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        caches = [block.attention.cache(n, D) for block in blocks]
        # the last values one-hot, (n, levels, window); zeros where there are none yet
        recent = functional.pad(self._one_hot(v), (self.value.kernel_size[0], 0))
        recent = recent[:, :, first:]
        s, labels = self._sequence(v, label), self._at_every(n, label)
        for i in range(first, D):
            for block, cache in zip(blocks, caches, strict=True):
                s = block.extend(s, cache)
            sampled = yield self.head(self.norm(s[:, -1]))
            recent = torch.cat([recent[:, :, 1:], self._one_hot(sampled.unsqueeze(1))], 2)
            value = functional.linear(recent.flatten(1), self.value.weight.flatten(1))
            s = (value + self.P[(i + 1) % D] + labels).unsqueeze(1)

    def state(self, n: int) -> tuple[Tensor, ...]:
        """Before the first variable: keys and values of each place, and the last values one-hot.

        Zeros: (n, blocks, D, d) twice, and (n, levels, window).
        """
        kept = self.P.new_zeros(n, len(self.blocks), len(self.order), self.P.shape[1])
        window = self.P.new_zeros(n, self.levels, self.value.kernel_size[0])
        return kept, kept, window

    def step(self, t: Tensor, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The logits of the variable at place t of the order, and the new state; of no label.

        They are (n,) for binary variables, the difference of both levels'; else (n, levels).

        t: (), int64. x: value of the variable before it, (n,), in [0, 1]; 0 where t is 0.
        """
        K, V, recent = state
        hot = self._one_hot(x.mul(self.levels - 1).round().long().unsqueeze(1))
        # at place 0 nothing is before, and the token is the start's
        recent = torch.cat([recent[:, :, 1:], hot * (t > 0)], 2)
        value = functional.linear(recent.flatten(1), self.value.weight.flatten(1))
        labels = self._at_every(1, None)
        token = torch.where(t > 0, value + labels, self.start.weight[self.classes])
        s = (token + self.P.index_select(0, t.reshape(1))).unsqueeze(1)
        here = torch.arange(self.P.shape[0], device=x.device) == t
        past = torch.arange(self.P.shape[0], device=x.device) <= t
        keys, values = [], []
        for block, K_b, V_b in zip(self.blocks, K.unbind(1), V.unbind(1), strict=True):
            assert isinstance(block, Block)
            s, k, v = block.at(s, here, past, K_b, V_b)
            keys.append(k)
            values.append(v)
        logits: Tensor = self.head(self.norm(s[:, 0]))
        if self.levels == 2:
            logits = logits[:, 1] - logits[:, 0]
        return logits, torch.stack(keys, 1), torch.stack(values, 1), recent

    def conditionals(self, x: Tensor, label: Tensor | int | None = None) -> Tensor:
        """log p(x_i | x before i, label) of each variable, at its own place in x: (B, D), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        label: as in `log_prob`.
        """
        check_inputs(self, x)
        v = self.categories(x)
        logits = single(self.logits(v, label)).movedim(2, 1)
        log_p = -functional.cross_entropy(logits, v, reduction="none")
        return unpermute(log_p, self.order)

    def log_prob(self, x: Tensor, label: Tensor | int | None = None) -> Tensor:
        """Exact log-probability of each input, (B,), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        label: class to condition on, one for all or (B,), int64; None, or `classes`, for none.

        Raises InvalidInput for an unknown label.
        """
        return self.conditionals(x, label).sum(1)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        label: class to condition on, one for all or (n,), int64; None for none.
        guidance: 1 samples p(x | label); more makes the label plainer, and samples less varied.

        Raises InvalidInput for an unknown label.
        """
        check_sampling(n, temperature, self.event_shape)
        v = self.order.new_empty(n, 0)
        return self._ancestral(v, generator, temperature, label, guidance)

    @torch.no_grad()
    def attention(self, x: Tensor, variable: int) -> Tensor:
        """How much each head looks at each variable when it predicts one: (B, blocks, h, D).

        A place is counted as the variable whose value it holds, the last one of its window; what is
        missing from a sum of 1 goes to the start token.

        x: inputs, (B, *event_shape), in [0, 1].
        variable: its number, at its place in x.
        """
        check_inputs(self, x)
        check_whole("variable", variable, "the number of a variable", 0, len(self.order) - 1)
        t = int((self.order == variable).nonzero())
        s, maps = self._sequence(self.categories(x)[:, :-1], None), []
        for block in self.blocks:
            assert isinstance(block, Block)
            maps.append(block.attention.weights(block.norm_1(s), t))
            s = block(s)
        held = torch.stack(maps, 1)[..., 1 : t + 1]  # place 0 holds the start token
        weights = held.new_zeros(*held.shape[:-1], len(self.order))
        return weights.index_copy(3, self.order[:t], held)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        """Sample the unknown variables of each input given the known ones.

        x: inputs, (B, *event_shape), in [0, 1].
        known: mask of the known variables, event_shape, bool; they must come first in the order.
        label: as in `sample`.

        Raises InvalidInput when an unknown variable comes before a known one, or for an
        unknown label.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        check_sampling(len(x), temperature)
        d = prefix_length(known, self.order)
        sampled = self._ancestral(self.categories(x)[:, :d], generator, temperature, label)
        return torch.where(known.to(x.device), x, sampled)

    @torch.no_grad()
    def _ancestral(
        self,
        v: Tensor,
        generator: torch.Generator | None,
        temperature: float,
        label: Tensor | int | None,
        guidance: float = 1.0,
    ) -> Tensor:
        """Sample the variables after v, (n, d), in the order."""
        (n, d), D = v.shape, len(self.order)
        dtype = self.head.weight.dtype
        kind = single_type(dtype)
        u = draws.rand(D - d, n, dim=1, generator=generator, device=v.device, dtype=kind)
        steps = self.walk(v, label) if guidance == 1 else self._guide(v, label, guidance)
        walk, sampled = steps, list(v.unbind(1))
        for i, u_i in enumerate(u.unsqueeze(2).unbind()):
            logits = walk.send(sampled[-1]) if i else next(walk)
            below = (single(logits) / temperature).softmax(1).cumsum(1)[:, :-1]
            sampled.append((u_i > below).sum(1))  # inverts the CDF at u
        x = torch.stack(sampled, 1).to(dtype) / (self.levels - 1)
        return unpermute(x, self.order).reshape(n, *self.event_shape)

    def _guide(
        self, v: Tensor, label: Tensor | int | None, guidance: float
    ) -> Generator[Tensor, Tensor, None]:
        """Walk with the label and without, side by side; yield the logits that guidance gives.

        Raises InvalidInput where there is no label.
        """
        if label is None:
            raise InvalidInput(
                f"guidance is {guidance:g}, but no label is given: guidance leads towards a label."
            )
        labels = self._labels(len(v), label)
        both = torch.cat([labels, torch.full_like(labels, self.classes)])
        walk = self.walk(torch.cat([v, v]), both)
        logits = next(walk)
        while True:
            of_label, of_none = logits.chunk(2)
            sampled = yield of_none + guidance * (of_label - of_none)
            try:
                logits = walk.send(torch.cat([sampled, sampled]))
            except StopIteration:
                return

    def _sequence(self, v: Tensor, label: Tensor | int | None) -> Tensor:
        """The start token and v, (B, d - 1), each with its position: (B, d, width)."""
        s: Tensor = self.start(self._labels(v.shape[0], label)).unsqueeze(1)
        if v.shape[1]:
            later = self.value(self._pad(v)).transpose(1, 2)
            s = torch.cat([s, later + self._at_every(v.shape[0], label).unsqueeze(1)], 1)
        return s + self.P[: s.shape[1]]

    def _at_every(self, n: int, label: Tensor | int | None) -> Tensor:
        """What the label adds after the start, (n, d), or nothing that counts, (1, 1)."""
        if not self.labels_at_every:
            return self.P.new_zeros(1, 1)
        labels: Tensor = self.start(self._labels(n, label))
        return labels

    def _pad(self, v: Tensor) -> Tensor:
        """v, (B, d), one-hot, padded on the left to a full first window."""
        return functional.pad(self._one_hot(v), (self.value.kernel_size[0] - 1, 0))

    def _one_hot(self, v: Tensor) -> Tensor:
        """(B, d) -> (B, levels, d)."""
        hot = functional.one_hot(v, self.levels).transpose(1, 2)
        return hot.to(self.head.weight.dtype)

    def _labels(self, n: int, label: Tensor | int | None) -> Tensor:
        """The row of `start` for each of n inputs, (n,)."""
        return check_labels(self, label, n).to(self.order.device)


def stack(blocks: int, d: int, h: int, d_ff: int, activation: str, dropout: float) -> nn.ModuleList:
    """Layers one above another; d_ff is 4 d when it is 0."""
    layers = [Block(d, h, d_ff or 4 * d, activation, dropout) for _ in range(blocks)]
    with torch.no_grad():
        for block in layers:  # the residual path sums 2 · blocks of these
            block.attention.W_O.weight.div_((2 * blocks) ** 0.5)
            block.W_2.weight.div_((2 * blocks) ** 0.5)
    return nn.ModuleList(layers)


class Block(nn.Module):
    """One layer: s + MultiHead(norm(s)), then s + FFN(norm(s))."""

    def __init__(self, d: int, h: int, d_ff: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.attention = MultiHead(d, h)
        self.W_1 = nn.Linear(d, d_ff)
        self.W_2 = nn.Linear(d_ff, d)
        self.activation = functional.relu if activation == "relu" else functional.gelu
        self.dropout = dropout

    def forward(self, s: Tensor) -> Tensor:
        """Map a whole sequence s, (B, D, d), to one of its shape."""
        s = s + self._drop(self.attention(self.norm_1(s)))
        return s + self._drop(self._ffn(self.norm_2(s)))

    def extend(self, s: Tensor, cache: "Cache") -> Tensor:
        """Map places s, (n, new, d), after those whose keys and values are in the cache."""
        s = s + self.attention.extend(self.norm_1(s), cache)
        return s + self._ffn(self.norm_2(s))

    def at(
        self, s: Tensor, here: Tensor, past: Tensor, K: Tensor, V: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Map one place s, (n, 1, d), and put its key and value among those of all, (n, D, d).

        here: which place it is, (D,), bool. past: which places it attends to, (D,), bool.
        """
        attention, inside = self.attention, self.norm_1(s)
        K = torch.where(here.unsqueeze(1), attention.W_K(inside), K)
        V = torch.where(here.unsqueeze(1), attention.W_V(inside), V)
        s = s + attention.at(inside, past, K, V)
        return s + self._ffn(self.norm_2(s)), K, V

    def _ffn(self, s: Tensor) -> Tensor:
        out: Tensor = self.W_2(self.activation(self.W_1(s)))
        return out

    def _drop(self, s: Tensor) -> Tensor:
        return functional.dropout(s, self.dropout, self.training)


class MultiHead(nn.Module):
    """Causal attention by h heads; W_Q, W_K and W_V hold those of all heads side by side."""

    def __init__(self, d: int, h: int) -> None:
        super().__init__()
        self.h, self.d_k = h, d // h
        self.W_Q = nn.Linear(d, d, bias=False)
        self.W_K = nn.Linear(d, d, bias=False)
        self.W_V = nn.Linear(d, d, bias=False)
        self.W_O = nn.Linear(d, d, bias=False)

    def forward(self, s: Tensor) -> Tensor:
        """Let each place of s, (B, D, d), attend to itself and those before it."""
        Q, K, V = (self._heads(W(s)) for W in (self.W_Q, self.W_K, self.W_V))
        return self._join_heads(functional.scaled_dot_product_attention(Q, K, V, is_causal=True))

    def weights(self, s: Tensor, t: int) -> Tensor:
        """How much place t of s, (B, D, d), attends to itself and those before, (B, h, t + 1)."""
        Q, K = self._heads(self.W_Q(s[:, t : t + 1])), self._heads(self.W_K(s[:, : t + 1]))
        weights: Tensor = (Q @ K.transpose(2, 3) / self.d_k**0.5).softmax(3)
        return weights.squeeze(2)

    def extend(self, s: Tensor, cache: "Cache") -> Tensor:
        """The same for places s, (n, new, d), after those in the cache, to which they are added.

        Several places at once are possible only while the cache is empty.
        """
        Q, K, V = (self._heads(W(s)) for W in (self.W_Q, self.W_K, self.W_V))
        K, V = cache.add(K, V)
        causal = s.shape[1] > 1
        return self._join_heads(functional.scaled_dot_product_attention(Q, K, V, is_causal=causal))

    def at(self, s: Tensor, past: Tensor, K: Tensor, V: Tensor) -> Tensor:
        """The same for one place s, (n, 1, d), by the keys and values of all, (n, D, d)."""
        Q, K, V = (self._heads(part) for part in (self.W_Q(s), K, V))
        scores = (Q @ K.transpose(2, 3)) / self.d_k**0.5
        weights = scores.masked_fill(~past, -torch.inf).softmax(3)
        return self._join_heads(weights @ V)

    def cache(self, n: int, D: int) -> "Cache":
        """An empty cache for the keys and values of D places of n sequences."""
        return Cache(self.W_K.weight.new_empty(2, n, self.h, D, self.d_k))

    def _heads(self, s: Tensor) -> Tensor:
        """(B, D, h · d_k) -> (B, h, D, d_k)."""
        B, D, _ = s.shape
        return s.view(B, D, self.h, self.d_k).transpose(1, 2)

    def _join_heads(self, heads: Tensor) -> Tensor:
        """(B, h, D, d_k) -> (B, D, d), by W_O."""
        out: Tensor = self.W_O(heads.transpose(1, 2).flatten(2))
        return out


class Cache:
    """Keys and values of the places so far.

    Args:
        room: for the keys and the values, (2, n, h, D, d_k).
    """

    def __init__(self, room: Tensor) -> None:
        self.K, self.V = room.unbind()
        self.filled = 0

    def add(self, K: Tensor, V: Tensor) -> tuple[Tensor, Tensor]:
        """Append those of new places, (n, h, new, d_k), and return all."""
        end = self.filled + K.shape[2]
        self.K[:, :, self.filled : end] = K
        self.V[:, :, self.filled : end] = V
        self.filled = end
        return self.K[:, :, :end], self.V[:, :, :end]


def sinusoids(places: Tensor, shape: tuple[int, ...], d: int) -> Tensor:
    """The position of variables of an input, (len(places), d).

    The paper's sin(p / 10000^{2i/d}) and cos(p / 10000^{2i/d}) for each axis that is longer than
    one, side by side; zeros fill what is left.

    places: numbers of variables, in raster order, int64.
    """
    if places.is_meta:  # arithmetic there imports torch's compiler, for seconds
        return places.new_empty(len(places), d, dtype=torch.get_default_dtype())
    strides = [torch.Size(shape[k + 1 :]).numel() for k in range(len(shape))]
    axes = [(stride, size) for stride, size in zip(strides, shape, strict=True) if size > 1]
    waves = d // (2 * max(1, len(axes)))
    rates = 10_000 ** (-torch.arange(waves, device=places.device) / max(1, waves))
    angles = [(places // stride % size).unsqueeze(1) * rates for stride, size in axes]
    parts = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    P = torch.cat([places.new_empty(len(places), 0, dtype=rates.dtype), *parts], 1)
    return functional.pad(P, (0, d - P.shape[1]))


def _check(d: int, h: int, window: int, positions: str, activation: str, labels: str) -> None:
    if d < 1 or h < 1 or d % h:
        least = "" if d > 0 and h > 0 else ", both of at least 1"
        raise InvalidInput(f"d is {d} and h is {h}: expected a d that is divisible by h{least}.")
    if window < 1:
        raise InvalidInput(f"window is {window}: expected 1, the variable before, or more.")
    if positions not in ("learned", "sinusoidal"):
        raise InvalidInput(f"positions {positions!r}: expected learned or sinusoidal.")
    if activation not in ("relu", "gelu"):
        raise InvalidInput(f"activation {activation!r} is unknown: expected relu or gelu.")
    if labels not in ("start", "every"):
        raise InvalidInput(f"labels {labels!r} is unknown: expected start or every.")
