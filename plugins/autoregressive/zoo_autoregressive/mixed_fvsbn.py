"""FVSBN of mixed columns: a linear map of all columns before gives each column's conditional.

    outputs_i = b_i + Σ_{j<i} W_ij inputs_j

Of a column of categories that is the softmax regression of Frey, Hinton & Dayan 1995; of a real one
the weights, means and scales of its mixture are linear in what is before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.mixed import MixedChainRule

__all__ = ["MixedFVSBN"]


class MixedFVSBN(MixedChainRule):
    """Regression of each column on all before it.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        components: Gaussians in the mixture of a real column.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order.
    """

    name = "mixed-fvsbn"

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        components: int = 10,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns, components, order, order_seed)
        inputs, outputs = len(self.heads.owner_of_input), len(self.heads.owner_of_output)
        self.W = nn.Parameter(torch.zeros(outputs, inputs))
        """Only what connects a column to one that it depends on is used."""
        self.b = nn.Parameter(torch.zeros(outputs))
        self.heads.begin(self.b)

    @property
    def free_parameters(self) -> int:
        """The weights that are used, and the biases."""
        return int(self._mask().sum()) + len(self.b)

    def outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D)."""
        return functional.linear(self.heads.inputs(x), self.W * self._mask(), self.b)

    def _mask(self) -> Tensor:
        """Which inputs each output depends on, (O, E), bool."""
        place = self.order.argsort()
        i = place[self.heads.owner_of_output.to(place.device)].unsqueeze(1)
        return self._depends(i, place[self.heads.owner_of_input.to(place.device)])

    def _depends(self, i: Tensor, j: Tensor) -> Tensor:
        """Whether the column at place i of the order depends on that at place j."""
        return j < i
