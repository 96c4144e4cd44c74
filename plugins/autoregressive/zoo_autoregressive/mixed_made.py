"""MADE of mixed columns: a masked network whose outputs are each column's conditional.

    p(x) = ∏ p(x_i | x_<i),   as in MADE (Germain et al. 2015), where output i is the softmax of a
    column of categories or the mixture of Gaussians of a real one

A column enters as an indicator of its category, or as its value; hidden units have degrees, by
which output i sees columns before i alone, and the input is also connected straight to the output.
Missing cells are left out where they come last in the order; else rows that have some are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.made import PACKED, MaskedLinear
from zoo_autoregressive.mixed import MixedChainRule
from zoo_core.config import Rate
from zoo_core.errors import InvalidInput

__all__ = ["MixedMADE"]


class MixedMADE(MixedChainRule):
    """A masked autoencoder of mixed columns: all conditionals in one pass.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        hidden: number of units of each hidden layer.
        components: Gaussians in the mixture of a real column.
        dropout: share of the hidden units that training drops.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order and of the degrees.
    """

    name = "mixed-made"

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        hidden: Sequence[int] = (200,),
        components: int = 10,
        dropout: Rate = 0.0,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns, components, order, order_seed)
        self.dropout = dropout
        D = len(self._columns)
        if not hidden or min(hidden) < 1:
            raise InvalidInput(f"hidden is {list(hidden)}; expected the size of a layer or more.")
        with torch.device("cpu"):  # also of a model that is built on the meta device
            place = self.order.argsort()
            inputs = 1 + place[self.heads.owner_of_input]
            outputs = place[self.heads.owner_of_output]
            generator = torch.Generator().manual_seed(order_seed)
            drawn = [torch.randint(1, max(2, D), (H,), generator=generator) for H in hidden]
        degrees = [inputs, *(m.sort().values for m in drawn)]
        self.layers = nn.ModuleList(MaskedLinear(*pair) for pair in pairwise(degrees))
        self.V = MaskedLinear(degrees[-1], outputs)
        self.A = MaskedLinear(inputs, outputs, bias=False)
        nn.init.zeros_(self.A.weight)
        assert self.V.bias is not None
        self.heads.begin(self.V.bias)
        sound = [(layer.below.clone(), layer.m.clone()) for layer in self._masked()]
        self.changed = {"V.weight": PACKED}
        self.register_load_state_dict_post_hook(partial(_check_degrees, sound))  # type: ignore[no-untyped-call] # of torch

    def _masked(self) -> list[MaskedLinear]:
        return [layer for layer in self.modules() if isinstance(layer, MaskedLinear)]

    def outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D)."""
        inputs = self.heads.inputs(x)
        h = inputs
        for layer in self.layers:
            h = functional.dropout(torch.relu(layer(h)), self.dropout, self.training)
        outputs: Tensor = self.V(h) + self.A(inputs)
        return outputs


def _check_degrees(sound: list[tuple[Tensor, Tensor]], made: nn.Module, _: object) -> None:
    """Refuse weights in which an output could see what it must not."""
    assert isinstance(made, MixedMADE)
    for layer, (below, m) in zip(made._masked(), sound, strict=True):
        held = layer.below.cpu(), layer.m.cpu()
        if not (held[0].is_meta or (torch.equal(held[0], below) and torch.equal(held[1], m))):
            raise ValueError("the degrees of its units are not those of its config")
