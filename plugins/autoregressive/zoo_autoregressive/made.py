"""MADE: Germain et al. 2015, Masked Autoencoder for Distribution Estimation (ICML).

Input j has the degree of its place in the order, 1 … D; hidden unit k of layer l a degree
m^l(k) ~ U{min m^{l-1}, …, D - 1}; output i the degree i - 1. A connection is kept where the degree
does not fall, so that output i sees x_<i alone:

    h^l = relu(c^l + (W^l ⊙ M^l) h^{l-1}),   logit_i = b_i + ((V ⊙ M^V) h^L)_i + ((A ⊙ M^A) x)_i

A, from the input straight to the output, is optional, and starts at zero: without hidden units it
is FVSBN, which learns at rates at which drawn weights would only be noise.

We differ from the paper in three places. The units of a layer are sorted by their degree, which
changes no probability and makes those that a step of the sampler adds a slice. Order and
connectivity are drawn once: the paper's mixture over several draws is not here. Hidden units can be
dropped in training (`dropout`), for tables of few rows.
"""

from collections.abc import Generator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import BinaryAutoregressive
from zoo_core.errors import InvalidInput

__all__ = ["MADE"]


class MADE(BinaryAutoregressive):
    """A masked autoencoder: all conditionals in one pass.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        hidden: number of units of each hidden layer.
        direct: whether the input is also connected straight to the output.
        order: `raster`, or `random` for one permutation drawn from `order_seed`.
        order_seed: seed of the random order and of the degrees.
        dropout: share of the hidden units that training drops.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: Sequence[int] = (500,),
        direct: bool = False,
        order: str = "raster",
        order_seed: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(tuple(shape), order, order_seed)
        self.dropout = dropout
        D = len(self.order)
        if D < 2 or not hidden:
            raise InvalidInput(f"made needs two variables and a hidden layer; given {D}, {hidden}.")
        generator = torch.Generator().manual_seed(order_seed)
        degrees = [torch.arange(1, D + 1, device="cpu")]
        for H in hidden:
            degrees.append(_drawn(H, int(degrees[-1].min()), D, generator))
        outputs = torch.arange(D, device="cpu")
        self.layers = nn.ModuleList(MaskedLinear(below, m) for below, m in pairwise(degrees))
        self.V = MaskedLinear(degrees[-1], outputs, bias=False)
        self.A = MaskedLinear(degrees[0], outputs, bias=False) if direct else None
        if self.A is not None:
            nn.init.zeros_(self.A.weight)

    @property
    def free_parameters(self) -> int:
        """The connections that the masks keep, and the biases."""
        masked = [module for module in self.modules() if isinstance(module, MaskedLinear)]
        return len(self.b) + sum(module.free_parameters for module in masked)

    def logits(self, x: Tensor) -> Tensor:
        """b + V h + A x of each variable, in the order: (B, D)."""
        h = x
        for layer in self.layers:
            h = functional.dropout(torch.relu(layer(h)), self.dropout, self.training)
        logits: Tensor = self.b + self.V(h)
        return logits if self.A is None else logits + self.A(x)

    def walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """Carry the hidden units: each variable drawn completes those of its degree."""
        (n, d), D = x.shape, len(self.order)
        units = [torch.cat([x, x.new_zeros(n, D - d)], 1)]
        layers = [layer for layer in self.layers if isinstance(layer, MaskedLinear)]
        for layer in layers:  # right where a unit sees x alone; the others come in their turn
            units.append(torch.relu(layer(units[-1])))
        ends = [list(range(D + 1)), *(layer.ends for layer in layers)]
        for i in range(d, D):
            logit = self.b[i] + self.V.part(units[-1], i, ends[-1][i])
            if self.A is not None:
                logit = logit + self.A.part(units[0], i, i)
            units[0][:, i] = yield logit
            for k, layer in enumerate(layers):
                new = slice(ends[k + 1][i], ends[k + 1][i + 1])
                if new.start < new.stop:
                    units[k + 1][:, new] = torch.relu(layer.part(units[k], new, ends[k][i + 1]))


class MaskedLinear(nn.Module):
    """An affine map that keeps the connections along which the degree does not fall.

    Args:
        below: degrees of the inputs, ascending, (K,), int64.
        m: degrees of the outputs, ascending, (H,), int64.
        bias: whether there is a bias.
    """

    below: Tensor
    m: Tensor

    def __init__(self, below: Tensor, m: Tensor, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("below", below.clone())  # files hold no shared tensors
        self.register_buffer("m", m.clone())
        self.weight = nn.Parameter(torch.empty(len(m), len(below)))
        self.bias = nn.Parameter(torch.zeros(len(m))) if bias else None
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    @property
    def mask(self) -> Tensor:
        """Which connections are kept, (H, K), bool."""
        return self.m[:, None] >= self.below

    @property
    def free_parameters(self) -> int:
        """The connections that are kept, and the biases."""
        return int(self.mask.sum()) + (0 if self.bias is None else len(self.bias))

    @property
    def ends(self) -> list[int]:
        """For each degree t from 0 on, the number of outputs whose degree is at most t."""
        top = int(torch.maximum(self.below.max(), self.m.max()))
        ends: list[int] = torch.bincount(self.m, minlength=top + 2).cumsum(0).tolist()
        return ends

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, K) to (B, H)."""
        return functional.linear(x, self.weight * self.mask, self.bias)

    def part(self, x: Tensor, rows: int | slice, seen: int) -> Tensor:
        """The outputs `rows`, which all see just the first `seen` of the inputs x (B, K)."""
        bias = None if self.bias is None else self.bias[rows]
        return functional.linear(x[:, :seen], self.weight[rows, :seen], bias)


def _drawn(H: int, lowest: int, D: int, generator: torch.Generator) -> Tensor:
    """Degrees of H hidden units, uniform between the lowest below and D - 1, ascending."""
    return torch.randint(lowest, D, (H,), generator=generator, device="cpu").sort().values
