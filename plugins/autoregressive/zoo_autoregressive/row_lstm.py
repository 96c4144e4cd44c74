"""Row LSTM: van den Oord et al. 2016, Pixel Recurrent Neural Networks (ICML).

A row at a time, from the top; each layer is added to its 2h input features x:

    a = K_is * x + K_ss * h_above        1 x 3 along the row: K_is has mask B, K_ss none
    i, f, o = sigm(a),  g = tanh(a)
    c = f c_above + i g,   h = o tanh(c)
    x + K_up h                           1 x 1, h to 2h features

A state sees a triangle of what is above. First convolution, masks, head and likelihood:
`pixels.py`; the recurrence: `recurrence.py`.

The paper leaves open what is above the first row and beside the image; here it is a learned state.
The optimiser is the recipe's; the paper has RMSProp.
"""

import torch
from torch import Tensor
from torch.nn import functional

from zoo_autoregressive.pixels import (
    ConvSteps,
    MaskedConv,
    PixelLayer,
    PixelNetwork,
    PointSteps,
    Steps,
    rows,
)
from zoo_autoregressive.recurrence import State, lstm

__all__ = ["RowLSTM"]


class RowLSTM(PixelNetwork):
    """Residual LSTM layers that run down the rows of an image.

    Arguments are those of PixelNetwork; `hidden` is the number of features of a state.
    """

    def layer(self, h: int, channels: int) -> PixelLayer:
        """A residual layer of 2h features."""
        return RowLayer(h, channels)


class RowLayer(PixelLayer):
    """A Row LSTM, added to its input.

    Args:
        h: number of features of a state.
        channels: number of channels that the features belong to.
    """

    def __init__(self, h: int, channels: int) -> None:
        super().__init__()
        self.features = 2 * h
        self.input = MaskedConv(2 * h, 4 * h, 3, channels=channels, copies=4)
        self.state = State(1, 3, h)
        self.up = MaskedConv(h, 2 * h, channels=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, 2h, H, W) to the same shape."""
        B, F, H, W = x.shape
        a = self.input(x).permute(2, 3, 0, 1).reshape(1, H * W, B, 2 * F)
        y = self.state(a, [(0, W)] * H, W).view(H, W, B, F // 2).permute(2, 3, 0, 1)
        return x.add(self.up(y.contiguous(memory_format=torch.channels_last)))

    def steps(self, x: Tensor) -> Steps:
        """Continue after the rows x, (n, 2h, i, W)."""
        return _RowSteps(self, x)


class _RowSteps(Steps):
    """Keeps the states of the row above and of the columns so far."""

    def __init__(self, layer: RowLayer, x: Tensor) -> None:
        n, _, _, W = x.shape
        self.input, self.up = ConvSteps(layer.input, x), PointSteps(layer.up)
        self.U = layer.state.U[0]
        self.outside = layer.state.h0.expand(n, -1)
        self.h = [self.outside] * W
        self.c = [layer.state.c0.expand(n, -1)] * W
        for a in rows(layer.input, x).permute(2, 3, 0, 1).unbind():
            self._above()
            h, c = lstm(a + self.from_above, self.c_above)
            self.h, self.c = list(h.unbind()), list(c.unbind())

    def _above(self) -> None:
        """The contribution of the states above to the gates of the new row, (W, n, 4h)."""
        line = torch.stack([self.outside, *self.h, self.outside])
        around = torch.cat([line[:-2], line[1:-1], line[2:]], 2)
        self.from_above = functional.linear(around, self.U.t())
        self.c_above = torch.stack(self.c)

    def row(self) -> None:
        self._above()
        self.parts, self.cells = self.from_above.unbind(), self.c_above.unbind()

    def column(self, j: int, x: Tensor) -> Tensor:
        a = self.input.column(j, x) + self.parts[j]
        self.h[j], self.c[j] = lstm(a, self.cells[j])
        return x + self.up.column(j, self.h[j])
