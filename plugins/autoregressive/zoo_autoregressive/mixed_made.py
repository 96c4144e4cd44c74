"""MADE of mixed columns: a masked network whose outputs are each column's conditional.

    p(x) = ∏ p(x_i | x_<i),   as in MADE (Germain et al. 2015), where output i is the softmax of a
    column of categories or the mixture of Gaussians of a real one

A column enters as an indicator of its category, or as its value; hidden units have degrees, by
which output i sees columns before i alone, and the input is also connected straight to the output.
Missing cells cannot be summed out; rows that have some are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import keep_order, permutation, prefix_length
from zoo_autoregressive.made import MaskedLinear
from zoo_autoregressive.mixed import Heads, MixedModel, refuse_missing
from zoo_core import draws
from zoo_core.checks import check_rows, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.precision import single_type, weight_of

__all__ = ["MixedMADE"]


class MixedMADE(MixedModel):
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

    order: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        hidden: Sequence[int] = (200,),
        components: int = 10,
        dropout: float = 0.0,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns)
        self.dropout = dropout
        D = len(self._columns)
        if not hidden or min(hidden) < 1:
            raise InvalidInput(f"hidden is {list(hidden)}; expected the size of a layer or more.")
        self.heads = Heads(self._columns, components)
        with torch.device("cpu"):  # also of a model that is built on the meta device
            keep_order(self, permutation(D, order, order_seed))
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
        self.register_load_state_dict_post_hook(partial(_check_degrees, sound))  # type: ignore[no-untyped-call] # of torch

    def _masked(self) -> list[MaskedLinear]:
        return [layer for layer in self.modules() if isinstance(layer, MaskedLinear)]

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each column, at its own place in x: (B, D), nats.

        x: encoded rows, (B, *event_shape).

        Raises InvalidInput where a cell is missing.
        """
        check_rows(self, x)
        x = x.flatten(1)
        refuse_missing(x, "mixed-made")
        return self.heads.log_p(self._outputs(x), x)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each row, (B,), nats; raises as `conditionals`.

        x: encoded rows, (B, *event_shape).
        """
        return self.conditionals(x).sum(1)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), encoded."""
        check_sampling(n, temperature, self.event_shape)
        x = weight_of(self).new_zeros(n, len(self._columns))
        return self._ancestral(x, 0, generator, temperature)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown columns of each row given the known ones.

        x: encoded rows, (B, *event_shape).
        known: mask of the known columns, event_shape, bool; they must come first in the order.

        Raises InvalidInput when an unknown column comes before a known one, or a cell is missing.
        """
        check_rows(self, x, known)
        check_sampling(len(x), temperature)
        d = prefix_length(known, self.order)
        given = x.flatten(1).masked_fill(~known.flatten().to(x.device), 0.0)
        refuse_missing(given, "mixed-made")
        return self._ancestral(given, d, generator, temperature)

    def _outputs(self, x: Tensor) -> Tensor:
        """(B, O) of encoded rows, (B, D)."""
        inputs = self.heads.inputs(x)
        h = inputs
        for layer in self.layers:
            h = functional.dropout(torch.relu(layer(h)), self.dropout, self.training)
        outputs: Tensor = self.V(h) + self.A(inputs)
        return outputs

    @torch.no_grad()
    def _ancestral(
        self, x: Tensor, d: int, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample the columns after the first d of the order, (n, *event_shape)."""
        x, (n, D) = x.clone(), x.shape
        kind = single_type(x.dtype)
        u = draws.rand(D - d, n, dim=1, generator=generator, device=x.device, dtype=kind)
        noise = draws.randn(D - d, n, dim=1, generator=generator, device=x.device, dtype=kind)
        for i, u_i, noise_i in zip(self.order[d:].tolist(), u, noise, strict=True):
            x[:, i] = self.heads.sample(self._outputs(x), i, u_i, noise_i, temperature).to(x.dtype)
        return x.reshape(n, *self.event_shape)


def _check_degrees(sound: list[tuple[Tensor, Tensor]], made: nn.Module, _: object) -> None:
    """Refuse weights in which an output could see what it must not."""
    assert isinstance(made, MixedMADE)
    for layer, (below, m) in zip(made._masked(), sound, strict=True):
        held = layer.below.cpu(), layer.m.cpu()
        if not (held[0].is_meta or (torch.equal(held[0], below) and torch.equal(held[1], m))):
            raise ValueError("the degrees of its units are not those of its config")
