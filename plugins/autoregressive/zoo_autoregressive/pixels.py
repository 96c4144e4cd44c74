"""Image models pixel by pixel: base classes of PixelCNN and both PixelRNNs.

Van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks (ICML).

    p(x) = ∏ p(x_i | x_<i),   pixels in raster order, and within a pixel its channels (R, G, B)

    7 x 7 convolution, mask A; residual layers of 2h features; ReLU, 1 x 1, mask B; ReLU, 1 x 1,
    mask B; sigmoid for binary variables, else a softmax over the levels of each channel

Features belong to channels, in contiguous groups. At a pixel itself a feature of channel c sees the
channels before c (mask A), or up to c (mask B); elsewhere it sees all of what is above or to the
left. Taps that no mask keeps, those below the centre, have no weights.

The sampler caches, for each layer, the rows above that it looks at and the current row. The
contribution of the rows above is computed once per row; a pixel then takes one column of each
layer.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import ChainRule, bernoulli_log_prob, check_levels, keep_order
from zoo_core.checks import check_inputs
from zoo_core.errors import InvalidInput
from zoo_core.precision import single

__all__ = [
    "ConvSteps",
    "MaskedConv",
    "PixelLayer",
    "PixelNetwork",
    "PointSteps",
    "Steps",
    "channel_of",
    "column",
    "point",
    "put",
    "rows",
    "shift",
]


class Steps:
    """Base class of layers that are computed column by column, in raster order."""

    def row(self) -> None:
        """Start the next row, once all columns of the row above are written."""
        raise NotImplementedError

    def column(self, j: int, x: Tensor) -> Tensor:
        """Write the input's column j, (n, F), and return the output's, (n, F').

        With several channels a column is written once for each channel; values of channels that are
        not sampled yet are arbitrary, and are overwritten by the last write.
        """
        raise NotImplementedError


class PixelLayer(nn.Module):
    """Base class of layers that see no pixel below, or to the right in the same row."""

    features: int
    """Number of output features, F'."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, F, H, W) to (B, F', H, W)."""
        raise NotImplementedError

    def steps(self, x: Tensor) -> Steps:
        """Continue after the rows x, (n, F, i, W); i may be 0."""
        raise NotImplementedError


class MaskedConv(nn.Module):
    """A masked convolution over the rows above, and a pixel's own row up to itself.

    Args:
        inputs: number of input features, F.
        features: number of output features, F'.
        k: width, odd.
        mask: `A` or `B`.
        channels: number of channels that the features belong to.
        above: number of rows above that are seen; (k - 1) / 2 makes it a masked k x k convolution.
        copies: number of groups of output features, each of which covers all channels.
    """

    def __init__(
        self,
        inputs: int,
        features: int,
        k: int = 1,
        mask: str = "B",
        channels: int = 1,
        above: int = 0,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.features, self.channels, self.above, self.copies = features, channels, above, copies
        self.mask_type = mask
        self.left = k // 2
        width = k if above else self.left + 1
        self.weight = nn.Parameter(torch.empty(features, inputs, above + 1, width))
        self.bias = nn.Parameter(torch.zeros(features))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def masked_weight(self) -> Tensor:
        """The weights with masked connections set to zero, (F', F, rows, width)."""
        if self.mask_type == "B" and self.channels == 1 and not self.above:
            return self.weight
        sees = self._sees()
        mask = self.weight.new_ones(*sees.shape, *self.weight.shape[2:])
        mask[:, :, -1, self.left] = sees.to(mask)
        mask[:, :, -1, self.left + 1 :] = 0
        return self.weight * mask

    def _sees(self) -> Tensor:
        """Which inputs the outputs see at the pixel itself, (F', F), or (1, 1) for all, bool."""
        if self.channels == 1:  # the common case, at each training step
            return torch.tensor([[self.mask_type == "B"]], device=self.weight.device)
        features, inputs, _, _ = self.weight.shape
        reader = channel_of(features // self.copies, self.channels).repeat(self.copies)[:, None]
        read = channel_of(inputs, self.channels)
        return reader > read if self.mask_type == "A" else reader >= read

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, F, H, W) to (B, F', H, W)."""
        if self.above:  # a padded copy of x costs less than the taps below, of zero weight
            x = functional.pad(x, (0, 0, self.above, 0))
            return functional.conv2d(x, self.masked_weight(), self.bias, padding=(0, self.left))
        if self.left:
            x = functional.pad(x, (self.left, 0, 0, 0))
        return functional.conv2d(x, self.masked_weight(), self.bias)


class PointSteps(Steps):
    """Column-wise computation of a 1 x 1 convolution, which has no state."""

    def __init__(self, conv: MaskedConv) -> None:
        self.weight, self.bias = conv.masked_weight().flatten(1).t(), conv.bias

    def row(self) -> None:
        """Do nothing."""

    def column(self, j: int, x: Tensor) -> Tensor:
        """Map the column x, (n, F), to (n, F')."""
        return torch.addmm(self.bias, x, self.weight)


class ConvSteps(Steps):
    """Column-wise computation of a convolution wider than one pixel.

    Args:
        conv: the convolution.
        x: the rows above, (n, F, i, W).
    """

    def __init__(self, conv: MaskedConv, x: Tensor) -> None:
        (self.n, self.F, _, self.W), self.left, self.above = x.shape, conv.left, conv.above
        weight = conv.masked_weight()
        self.from_above, self.bias = weight[:, :, :-1], conv.bias
        own = weight[:, :, -1, : self.left + 1]
        self.from_row = own.permute(2, 1, 0).flatten(0, 1).contiguous()  # (taps · F, F')
        self.window = functional.pad(x, (0, 0, self.above, 0))[:, :, x.shape[2] :]
        self.line = x.new_zeros(self.n, (self.left + self.W) * self.F)
        # views of the line, made once: the slot of each column, and what the column sees
        starts = range(0, self.W * self.F, self.F)
        self.slots = [self.line[:, s + self.left * self.F :][:, : self.F] for s in starts]
        self.seen = [self.line[:, s : s + (self.left + 1) * self.F] for s in starts]
        self.parts: Sequence[Tensor] = [self.bias] * self.W
        self.begun = False

    def row(self) -> None:
        """Compute the contribution of the rows above to the new row."""
        if not self.above:
            return
        if self.begun:
            done = self.line.unflatten(1, (-1, self.F))[:, self.left :]
            done = done.transpose(1, 2).unsqueeze(2)
            self.window = torch.cat([self.window[:, :, 1:], done], 2)
        self.begun = True
        parts = functional.conv2d(self.window, self.from_above, self.bias, padding=(0, self.left))
        self.parts = parts.squeeze(2).permute(2, 0, 1).contiguous().unbind()

    def read(self, j: int) -> Tensor:
        """The output's column j, (n, F'), once the input's column is written."""
        return torch.addmm(self.parts[j], self.seen[j], self.from_row)

    def column(self, j: int, x: Tensor) -> Tensor:
        """Write the input's column j, (n, F), and return the output's, (n, F')."""
        self.slots[j].copy_(x)
        return self.read(j)


class PixelNetwork(ChainRule):
    """Base class of masked image density models; subclasses implement `layer`.

    Args:
        shape: shape of one image, (C, H, W).
        levels: number of values of a variable: 2 for a sigmoid output, more for a softmax.
        hidden: number of features inside a layer, h.
        layers: number of residual layers.
        head: number of features between the last two convolutions.
    """

    levels: int

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        levels: int = 2,
        hidden: int = 16,
        layers: int = 7,
        head: int = 32,
    ) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.levels = check_levels(levels)
        C = _channels(self.event_shape, hidden, layers, head)
        keep_order(self, _raster(*self.event_shape))
        self.outputs = 1 if levels == 2 else levels
        """Number of outputs per variable, K."""
        self.input = MaskedConv(C, 2 * hidden, 7, "A", C, above=3)
        self.layers = nn.ModuleList(self.layer(hidden, C) for _ in range(layers))
        self.head = nn.ModuleList(
            [
                MaskedConv(2 * hidden, head, channels=C),
                MaskedConv(head, C * self.outputs, channels=C),
            ]
        )

    def layer(self, h: int, channels: int) -> PixelLayer:
        """A residual layer of 2h features."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """Logits of each variable, before the sigmoid or softmax: (B, C, K, H, W).

        x: images, (B, C, H, W), in [0, 1].
        """
        B, C, H, W = x.shape
        # a 1 x 1 convolution is five times faster where a pixel's features lie side by side
        x = self.input(x).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = layer(x)
        x = x.contiguous(memory_format=torch.channels_last)
        for conv in self.head:
            x = conv(torch.relu(x))
        return x.reshape(B, C, self.outputs, H, W)

    def walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """Compute one column of each layer per pixel, and the rows above once per row."""
        d, (C, H, W), K = x.shape[1], self.event_shape, self.outputs
        first = d // (C * W)  # the row that the walk begins in; it is walked from its first column
        given = x[:, : first * C * W].reshape(len(x), first, W, C).permute(0, 3, 1, 2)
        start, layers, head = self._steps(given)
        for i in range(first, H):
            for steps in (start, *layers):
                steps.row()
            for j in range(W):
                for c in range(C):
                    features = start.read(j)
                    for steps in layers:
                        features = steps.column(j, features)
                    for steps in head:
                        features = steps.column(j, torch.relu(features))
                    t = (i * W + j) * C + c
                    if t < d:
                        value = x[:, t]
                    else:
                        logits = features[:, c * K : (c + 1) * K]
                        value = yield logits.squeeze(1) if K == 1 else logits
                    start.slots[j][:, c] = value

    def _steps(self, x: Tensor) -> tuple[ConvSteps, list[Steps], list[Steps]]:
        """The layers' steps after the rows x, (n, C, i, W)."""
        start = ConvSteps(self.input, x)
        x = rows(self.input, x)
        layers, head = list[Steps](), list[Steps]()
        for layer in self.layers:
            assert isinstance(layer, PixelLayer)
            layers.append(layer.steps(x))
            x = rows(layer, x)
        for conv in self.head:
            assert isinstance(conv, MaskedConv)
            head.append(PointSteps(conv))
        return start, layers, head

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats."""
        check_inputs(self, x)
        logits = single(self.logits(x))
        if self.levels == 2:
            loss = -bernoulli_log_prob(logits.squeeze(2), x)
        else:
            values = single(x).mul(self.levels - 1).round().long()
            # (B, H, W, C, K) is how they lie in memory; elsewhere the softmax would copy them twice
            logits, values = logits.permute(0, 3, 4, 1, 2), values.permute(0, 2, 3, 1)
            loss = functional.cross_entropy(
                logits.flatten(0, 3), values.flatten(), reduction="none"
            )
            loss = loss.view(values.shape).permute(0, 3, 1, 2)
        return -loss.flatten(1)


def rows(layer: MaskedConv | PixelLayer, x: Tensor) -> Tensor:
    """A layer's output (n, F', i, W) for the rows x, (n, F, i, W), of which there may be none."""
    n, _, i, W = x.shape
    y: Tensor = layer(x) if i else x.new_zeros(n, layer.features, 0, W)
    return y


def column(conv: MaskedConv, line: Tensor, j: Tensor, W: int) -> Tensor:
    """A convolution's output at one pixel, (n, F').

    line: the input at the pixel, which is the last, and at those before it, (n, F, above · W + left
        + 1); zeros before the first one.
    j: the pixel's column, (), int64. W: number of columns.
    """
    last, width = line.shape[2] - 1, conv.weight.shape[3]
    rows = torch.arange(-conv.above, 1, device=line.device).unsqueeze(1)
    columns = torch.arange(width, device=line.device) - conv.left
    places = (last + rows * W + columns).clamp(max=last)  # what comes later has no weight
    inside = (j + columns >= 0) & (j + columns < W)
    seen = line[:, :, places.flatten()] * inside.repeat(len(rows))
    return functional.linear(seen.flatten(1), conv.masked_weight().flatten(1), conv.bias)


def point(conv: MaskedConv, x: Tensor) -> Tensor:
    """The output of a 1 x 1 convolution at one pixel x, (n, F): (n, F')."""
    return functional.linear(x, conv.masked_weight().flatten(1), conv.bias)


def put(line: Tensor, x: Tensor) -> Tensor:
    """A line (…, F, L) with x (…, F) as the last pixel."""
    return torch.cat([line[..., :-1], x.unsqueeze(-1)], -1)


def shift(line: Tensor) -> Tensor:
    """A line (…, L) without its first pixel, and with zeros for a new last one."""
    return functional.pad(line[..., 1:], (0, 1))


def channel_of(features: int, channels: int) -> Tensor:
    """The channel that each of the features belongs to, (features,), int64."""
    return torch.arange(features) * channels // features


def _raster(C: int, H: int, W: int) -> Tensor:
    """The order of pixels row by row, each with all its channels, (D,), int64."""
    return torch.arange(C * H * W).reshape(C, H * W).t().flatten()


def _channels(shape: tuple[int, ...], hidden: int, layers: int, head: int) -> int:
    """Return the number of channels.

    Raises InvalidInput for sizes that no network can have.
    """
    if len(shape) != 3 or min(shape) < 1:
        raise InvalidInput(
            f"shape is {list(shape)}; expected (C, H, W): a pixel network models images. For "
            "tables there are fvsbn, nade and made."
        )
    C = shape[0]
    if hidden < C or head < C or layers < 0:
        raise InvalidInput(
            f"hidden is {hidden}, head {head}, layers {layers}; expected at least {C} for the "
            f"first two, as each of {C} channels has features of its own, and 0 for the last."
        )
    return C
