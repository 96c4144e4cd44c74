"""Diagonal BiLSTM: van den Oord et al. 2016, Pixel Recurrent Neural Networks (ICML).

Two LSTMs per layer: one runs along the diagonals from the top left corner, one from the top right.
Each layer is added to its 2h input features x. With `left` the pixel to the left (to the right, for
the second LSTM):

    a = K_is x + U (h_above, h_left)     K_is 1 x 1 with mask B
    i, f, o = sigm(a),  g = tanh(a)
    c = f c_left + i g,   h = o tanh(c)
    x + K_up (h→ + h← of the row above)  1 x 1, h to 2h features

The second map is shifted down by a row, so that no pixel sees one to its right in its own row.
First convolution, masks, head and likelihood: `pixels.py`; the recurrence: `recurrence.py`.

The paper skews the image so that diagonals are columns, half of which are padding; here the pixels
are ordered by diagonals, without padding. States outside the image are learned. The
optimiser is the recipe's; the paper has RMSProp.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.pixels import (
    MaskedConv,
    PixelLayer,
    PixelNetwork,
    PointSteps,
    Steps,
)
from zoo_autoregressive.recurrence import Spans, State, lstm

__all__ = ["DiagonalBiLSTM"]


class DiagonalBiLSTM(PixelNetwork):
    """Residual layers of two LSTMs that run along the diagonals of an image.

    Arguments are those of PixelNetwork; `hidden` is the number of features of a state.
    """

    def layer(self, h: int, channels: int) -> PixelLayer:
        """A residual layer of 2h features."""
        return DiagonalLayer(h, channels)


class DiagonalLayer(PixelLayer):
    """A Diagonal BiLSTM, added to its input.

    Args:
        h: number of features of a state.
        channels: number of channels that the features belong to.
    """

    def __init__(self, h: int, channels: int) -> None:
        super().__init__()
        self.features = 2 * h
        self.input = nn.ModuleList(
            MaskedConv(2 * h, 4 * h, channels=channels, copies=4) for _ in range(2)
        )
        self.state = State(2, 2, h)
        self.up = MaskedConv(h, 2 * h, channels=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, 2h, H, W) to the same shape."""
        # (H, W, B, 2h) in memory: one diagonal layer hands it to the next without a copy
        x = x.permute(2, 3, 0, 1).contiguous()
        there, back = self.states(x)
        y = there + functional.pad(back[:-1], (0, 0, 0, 0, 0, 0, 1, 0))
        weight = self.up.masked_weight().flatten(1)
        return (x + functional.linear(y, weight, self.up.bias)).permute(2, 3, 0, 1)

    def gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (2, 2h, 4h) and biases (2, 1, 4h) of the map from the input to the gates."""
        convs = [conv for conv in self.input if isinstance(conv, MaskedConv)]
        weight = torch.stack([conv.masked_weight().flatten(1).t() for conv in convs])
        return weight, torch.stack([conv.bias for conv in convs]).unsqueeze(1)

    def states(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The states of both directions, (H, W, B, h) each, of x (H, W, B, 2h)."""
        H, W, B, F = x.shape
        spans, places = diagonals(H, W, x.device)
        x = x.view(H * W, B, F)
        ordered = torch.stack([x.index_select(0, place) for place in places])
        weight, bias = self.gates(x)
        a = torch.baddbmm(bias, ordered.flatten(1, 2), weight).view(2, H * W, B, weight.shape[2])
        y = self.state(a, spans, H)
        there, back = (
            states.index_select(0, place.argsort()).view(H, W, B, states.shape[2])
            for states, place in zip(y.unbind(), places, strict=True)
        )
        return there, back

    def steps(self, x: Tensor) -> Steps:
        """Continue after the rows x, (n, 2h, i, W)."""
        return _DiagonalSteps(self, x)


class _DiagonalSteps(Steps):
    """Keeps the states of the row above, from the left, and from the right once it is complete."""

    def __init__(self, layer: DiagonalLayer, x: Tensor) -> None:
        n, _, i, W = x.shape
        self.weight, self.bias = layer.gates(x)
        self.U = layer.state.U.chunk(2, 1)  # of the pixel above, of the one to the side
        self.h0 = layer.state.h0.unsqueeze(1).expand(2, n, -1)
        self.c0 = layer.state.c0.unsqueeze(1).expand(2, n, -1)
        self.up = PointSteps(layer.up)
        there, back = [self.h0[0]] * W, [self.h0[1]] * W
        x = x.permute(2, 3, 0, 1)
        if i:
            states = layer.states(x.contiguous())
            there = list(states[0][-1].unbind())
        if i > 1:
            back = list(states[1][-2].unbind())
        self.there, self.back = there, back
        self.x = list(x[-1].unbind()) if i else []
        self.W = W
        self.c = [self.c0[0]] * W

    def row(self) -> None:
        self.from_above = self._above(0, self.there).unbind()
        if self.x:
            self._run_back()
            self.from_right = self.back
        else:
            self.x = [self.h0[0]] * self.W
            self.from_right = [torch.zeros_like(self.h0[0])] * self.W

    def _above(self, direction: int, h: Sequence[Tensor]) -> Tensor:
        """The contribution of the states above, and the bias, to the gates of a row, (W, n, 4h)."""
        return functional.linear(
            torch.stack(list(h)), self.U[0][direction].t(), self.bias[direction, 0]
        )

    def _run_back(self) -> None:
        """Run the second direction along the row above, whose pixels are all known by now."""
        from_x = functional.linear(torch.stack(self.x), self.weight[1].t())
        parts = (from_x + self._above(1, self.back)).unbind()
        h, c = self.h0[1], self.c0[1]
        back = []
        for part in reversed(parts):
            h, c = lstm(torch.addmm(part, h, self.U[1][1]), c)
            back.append(h)
        self.back = back[::-1]

    def column(self, j: int, x: Tensor) -> Tensor:
        h, c = (self.there[j - 1], self.c[j - 1]) if j else (self.h0[0], self.c0[0])
        a = torch.addmm(self.from_above[j], x, self.weight[0]).addmm_(h, self.U[1][0])
        self.x[j] = x
        self.there[j], self.c[j] = lstm(a, c)
        return x + self.up.column(j, self.there[j] + self.from_right[j])


def diagonals(H: int, W: int, device: torch.device) -> tuple[Spans, list[Tensor]]:
    """The pixels of an image by diagonals, from the top left and from the top right corner.

    Returns the rows lo to hi that each diagonal goes through, and for each direction the places of
    its pixels in raster order, (H·W,), int64.
    """
    spans = [(max(0, t - W + 1), min(t + 1, H)) for t in range(H + W - 1)]
    row = torch.arange(H, device=device).unsqueeze(1).expand(H, W).flatten()
    column = torch.arange(W, device=device).repeat(H)
    there = ((row + column) * H + row).argsort()  # along a diagonal, from the top
    return spans, [there, row[there] * W + (W - 1 - column[there])]
