"""Decoder-only attention over mixed columns (Vaswani et al. 2017), as `attention` over variables.

Place t of the sequence holds the column before it in the order, as a vector of its category or its
value, and a learned position of the column to come; the first one holds a start token. Attention is
causal, so that the last layer's place t gives p(x_t | x_<t): the softmax of a column of categories,
or the mixture of Gaussians of a real one, by a matrix of the column's own.

Blocks are those of `attention`: norms before each sublayer, and once at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.attention import Block, stack
from zoo_autoregressive.mixed import MixedChainRule
from zoo_autoregressive.mixed_layers import Embedding, Readout
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput

__all__ = ["MixedAttention"]


class MixedAttention(MixedChainRule):
    """A causal transformer over the columns of a table.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        blocks: number of layers, each of attention and FFN.
        d: width of the sequence.
        h: number of heads, each of width d / h.
        d_ff: width inside FFN; 4 d when it is 0.
        components: Gaussians in the mixture of a real column.
        dropout: dropout probability of each sublayer's output and of the first input.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order.
    """

    name = "mixed-attention"

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        blocks: int = 2,
        d: int = 64,
        h: int = 4,
        d_ff: int = 0,
        components: int = 10,
        dropout: Rate = 0.0,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns, components, order, order_seed)
        if d < 1 or h < 1 or d % h:
            raise InvalidInput(f"d is {d} and h is {h}: expected a d that is divisible by h.")
        self.dropout = dropout
        self.start = nn.Parameter(torch.zeros(d))
        self.P = nn.Parameter(torch.empty(len(self._columns), d))
        """Positions, in the order."""
        self.W = Embedding(self.heads.owner_of_input, d)
        self.blocks = stack(blocks, d, h, d_ff, "gelu", dropout)
        self.norm = nn.LayerNorm(d)
        self.V = Readout(self.heads.owner_of_output, d)
        nn.init.normal_(self.P)
        nn.init.normal_(self.W.weight)
        nn.init.normal_(self.V.weight, std=0.02)
        self.heads.begin(self.V.bias)

    def outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D)."""
        s = functional.dropout(self._sequence(x), self.dropout, self.training)
        for block in self.blocks:
            s = block(s)
        outputs: Tensor = self.V(self.norm(s), self.order)
        return outputs

    def walk(self, x: Tensor, d: int) -> Iterator[Tensor]:
        """Keep keys and values: a step computes one place."""
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        caches = [block.attention.cache(len(x), x.shape[1]) for block in blocks]
        s = self._sequence(x)[:, : d + 1]
        for t, i in enumerate(self.order[d:].tolist(), start=d + 1):
            for block, cache in zip(blocks, caches, strict=True):
                s = block.extend(s, cache)
            yield self.V.of(self.heads.outputs_of(i), self.norm(s[:, -1]))
            inputs = self.heads.inputs_of(i)
            value = self.W.of(inputs, self.heads.inputs(x, inputs))
            s = value.unsqueeze(1) + self.P[t : t + 1]

    def _sequence(self, x: Tensor) -> Tensor:
        """The start token and the columns but the last of the order, each with its position.

        x: encoded rows, (B, D). Returns (B, D, d).
        """
        values = self.W(self.heads.inputs(x), self.order[:-1])
        return torch.cat([self.start.expand(len(x), 1, -1), values], 1) + self.P
