"""PixelCNN: van den Oord et al. 2016, Pixel Recurrent Neural Networks (ICML); its baseline.

A residual layer of 2h features x, of which the 3 x 3 convolution has mask B:

    x + (ReLU, 1 x 1 to 2h)(ReLU, 3 x 3 to h)(ReLU, 1 x 1 to h)(x)

First convolution, masks, head and likelihood: `pixels.py`. As in the paper's figure 5 the ReLU
stands before each convolution, and nothing follows the addition. The optimiser is the
recipe's; the paper has RMSProp.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_autoregressive.pixels import (
    ConvSteps,
    MaskedConv,
    PixelLayer,
    PixelNetwork,
    PointSteps,
    Steps,
    column,
    point,
    put,
    rows,
    shift,
)

__all__ = ["PixelCNN"]


class PixelCNN(PixelNetwork):
    """Masked convolutions over images.

    Args:
        shape: shape of one image, (C, H, W).
        levels: number of values of a variable: 2 for a sigmoid output, more for a softmax.
        hidden: number of features inside a layer, h; between layers there are 2h.
        layers: number of residual layers.
        head: number of features between the last two convolutions.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        levels: int = 2,
        hidden: int = 16,
        layers: int = 15,
        head: int = 32,
    ) -> None:
        super().__init__(shape, levels, hidden, layers, head)

    def layer(self, h: int, channels: int) -> PixelLayer:
        """A residual layer of 2h features."""
        return Residual(h, channels)

    def state(self, n: int) -> tuple[Tensor, ...]:
        """The last pixels that a step looks back at, and those of each layer's inside; zeros.

        (n, C, 3 W + 4) and (n, layers, h, W + 2); the last place is the pixel itself.
        """
        C, _, W = self.event_shape
        inside = self.input.features // 2
        zeros = self.input.weight.new_zeros
        return zeros(n, C, 3 * W + 4), zeros(n, len(self.layers), inside, W + 2)

    def step(self, t: Tensor, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The logits of the variable at place t of the order, and the new state.

        They are (n,) for binary variables, else (n, levels).

        t: (), int64. x: value of the variable before it, (n,), in [0, 1]; 0 where t is 0.
        """
        pixels, features = state
        C, _, W = self.event_shape
        c, j = t % C, t // C % W
        written = torch.arange(C, device=x.device) == (c - 1) % C
        pixels = put(pixels, torch.where(written, x.unsqueeze(1), pixels[:, :, -1]))
        # a pixel's first channel makes room for it
        pixels, features = (torch.where(c == 0, shift(line), line) for line in (pixels, features))
        y, lines = column(self.input, pixels, j, W), []
        for layer, line in zip(self.layers, features.unbind(1), strict=True):
            assert isinstance(layer, Residual)
            line = put(line, torch.relu(point(layer.down, torch.relu(y))))
            y = y + point(layer.up, torch.relu(column(layer.conv, line, j, W)))
            lines.append(line)
        for conv in self.head:
            assert isinstance(conv, MaskedConv)
            y = point(conv, torch.relu(y))
        logits = y.reshape(-1, C, self.outputs).index_select(1, c.reshape(1)).squeeze(1)
        after = torch.stack(lines, 1) if lines else features
        return logits.squeeze(1) if self.levels == 2 else logits, pixels, after


class Residual(PixelLayer):
    """1 x 1 to h features, 3 x 3 with mask B, 1 x 1 back to 2h, added to the input.

    Args:
        h: number of features inside.
        channels: number of channels that the features belong to.
    """

    def __init__(self, h: int, channels: int) -> None:
        super().__init__()
        self.features = 2 * h
        self.down = MaskedConv(2 * h, h, channels=channels)
        self.conv = MaskedConv(h, h, 3, channels=channels, above=1)
        self.up = MaskedConv(h, 2 * h, channels=channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, 2h, H, W) to the same shape."""
        # in place: the gradient of a convolution does not need its output
        y: Tensor = self.conv(self.down(torch.relu(x)).relu_())
        return x.add(self.up(y.relu_()))

    def steps(self, x: Tensor) -> Steps:
        """Continue after the rows x, (n, 2h, i, W)."""
        return _ResidualSteps(self, x)


class _ResidualSteps(Steps):
    def __init__(self, layer: Residual, x: Tensor) -> None:
        self.down = PointSteps(layer.down)
        self.conv = ConvSteps(layer.conv, torch.relu(rows(layer.down, torch.relu(x))))
        # the bias as the weights of a feature that is always 1: one operation less a column
        self.up = torch.cat([layer.up.masked_weight().flatten(1).t(), layer.up.bias.unsqueeze(0)])
        self.y = x.new_ones(len(x), len(self.up))
        self.inside = self.y[:, :-1]

    def row(self) -> None:
        self.conv.row()

    def column(self, j: int, x: Tensor) -> Tensor:
        torch.clamp_min(self.down.column(j, torch.relu(x)), 0, out=self.conv.slots[j])
        torch.clamp_min(self.conv.read(j), 0, out=self.inside)
        return torch.addmm(x, self.y, self.up)
