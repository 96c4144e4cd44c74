"""NADE of mixed columns: one hidden layer, whose activations are carried from column to column.

    a_1 = c,   h_i = σ(a_i),   outputs_i = b_i + V_i h_i,   a_{i+1} = a_i + W_i inputs_i

as in NADE (Larochelle & Murray 2011), and in RNADE (Uria, Murray & Larochelle 2013) where a column
is real: its outputs are those of a mixture of Gaussians. W_i has a row for each category.

Differences from the papers. Inputs of reals are as `mixed.Heads` has them. RNADE scales its
rectified units by the place of the column; here they are as they come. The optimiser is the
recipe's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.mixed import MixedChainRule
from zoo_autoregressive.mixed_layers import Embedding, Readout
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput

__all__ = ["MixedNADE"]


class MixedNADE(MixedChainRule):
    """NADE and RNADE: exact likelihood, and a sampler of the same cost.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        hidden: number of hidden units, H.
        components: Gaussians in the mixture of a real column.
        activation: the hidden units' σ, `sigmoid` (NADE's) or `relu` (RNADE's).
        dropout: share of the hidden units that training drops.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order.
    """

    name = "mixed-nade"

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        hidden: int = 200,
        components: int = 10,
        activation: str = "sigmoid",
        dropout: Rate = 0.0,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns, components, order, order_seed)
        if activation not in ("sigmoid", "relu") or hidden < 1:
            raise InvalidInput(
                f"mixed-nade has sigmoid or relu units, one or more; given hidden = {hidden}, "
                f"activation = {activation!r}."
            )
        self.activation, self.dropout = activation, dropout
        self.W = Embedding(self.heads.owner_of_input, hidden)
        self.V = Readout(self.heads.owner_of_output, hidden)
        self.c = nn.Parameter(torch.zeros(hidden))
        for weight in (self.W.weight, self.V.weight):
            nn.init.normal_(weight, std=0.01 if activation == "sigmoid" else hidden**-0.5 / 4)
        self.heads.begin(self.V.bias)

    def outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D)."""
        Wx = self.W(self.heads.inputs(x), self.order[:-1])
        a = self.c + functional.pad(Wx.cumsum(1), (0, 0, 1, 0))
        outputs: Tensor = self.V(self._σ(a), self.order)
        return outputs

    def walk(self, x: Tensor, d: int) -> Iterator[Tensor]:
        """Carry a from each column to the next."""
        a = self.c + self.W(self.heads.inputs(x), self.order[:d]).sum(1)
        for i in self.order[d:].tolist():
            yield self.V.of(self.heads.outputs_of(i), self._σ(a))
            inputs = self.heads.inputs_of(i)
            a = a + self.W.of(inputs, self.heads.inputs(x, inputs))

    def _σ(self, a: Tensor) -> Tensor:
        h = torch.sigmoid(a) if self.activation == "sigmoid" else torch.relu(a)
        return functional.dropout(h, self.dropout, self.training)
