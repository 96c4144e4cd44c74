"""Shared by the networks that hold a vector for each column: from a table's inputs, and to outputs.

Columns with equally many inputs, or outputs, are computed together: one batched product for each
number of categories that a table has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Embedding", "Readout"]


class Embedding(nn.Module):
    """A vector of each column: its inputs times a matrix of its own, W_i x_i.

    Args:
        owner: the column that each input belongs to, (E,), int64, increasing.
        width: of the vectors, H.
    """

    def __init__(self, owner: Tensor, width: int) -> None:
        super().__init__()
        with torch.device("cpu"):  # also of a model that is built on the meta device
            self._groups = _group(owner)
            self._back = torch.cat([columns for columns, _ in self._groups]).argsort()
        self.weight = nn.Parameter(torch.empty(len(owner), width))

    def forward(self, inputs: Tensor, order: Tensor) -> Tensor:
        """Map inputs, (B, E), to the vectors of columns, (B, d, H).

        order: the columns, (d,), int64.
        """
        each = []
        for _, places in self._groups:
            at = places.to(inputs.device)
            W = functional.embedding(at, self.weight)
            each.append(torch.einsum("bgk,gkh->bgh", inputs[:, at], W))
        return torch.cat(each, 1).index_select(1, self._back.to(order.device)[order])

    def of(self, places: slice, inputs: Tensor) -> Tensor:
        """The vector of one column, (B, H), by its inputs, (B, E_i), which are at these places."""
        return inputs @ self.weight[places]


class Readout(nn.Module):
    """The outputs of each column: its vector times a matrix of its own, b_i + V_i h_i.

    Args:
        owner: the column that each output belongs to, (O,), int64, increasing.
        width: of the vectors, H.
    """

    def __init__(self, owner: Tensor, width: int) -> None:
        super().__init__()
        with torch.device("cpu"):  # also of a model that is built on the meta device
            self._groups = _group(owner)
            self._back = torch.cat([places.flatten() for _, places in self._groups]).argsort()
        self.weight = nn.Parameter(torch.empty(len(owner), width))
        self.bias = nn.Parameter(torch.zeros(len(owner)))

    def forward(self, h: Tensor, order: Tensor) -> Tensor:
        """Map the columns' vectors, (B, D, H), to outputs, (B, O).

        order: which column each vector is of, (D,), int64.
        """
        columns = torch.cat([columns for columns, _ in self._groups]).to(order.device)
        grouped = h.index_select(1, order.argsort()[columns])
        sizes = [len(columns) for columns, _ in self._groups]
        each = []
        for (_, places), own in zip(self._groups, grouped.split(sizes, 1), strict=True):
            V = functional.embedding(places.to(h.device), self.weight)
            each.append(torch.einsum("bgh,gkh->bgk", own, V).flatten(1))
        return torch.cat(each, 1).index_select(1, self._back.to(h.device)) + self.bias

    def of(self, places: slice, h: Tensor) -> Tensor:
        """The outputs of one column, (B, O_i), which are at these places, by its vector, (B, H)."""
        return functional.linear(h, self.weight[places], self.bias[places])


def _group(owner: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Columns that own equally many places: their numbers, (G,), and the places, (G, K)."""
    sizes = owner.bincount()
    starts = sizes.cumsum(0) - sizes
    found = []
    for K in sizes.unique().tolist():
        columns = (sizes == K).nonzero().squeeze(1)
        found.append((columns, starts[columns].unsqueeze(1) + torch.arange(K)))
    return found
