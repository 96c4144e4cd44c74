"""Encoder and decoder networks: MLPs, convolutions, timm backbones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from zoo_core.errors import InvalidInput

__all__ = [
    "ConvDecoder",
    "ConvEncoder",
    "MLPDecoder",
    "TimmEncoder",
    "activation_of",
    "affine",
    "finite_logit",
    "halve",
    "mlp",
]

_LEAST = 1e-3
"""Means are clamped to [1e-3, 1 - 1e-3] before the logit."""

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def activation_of(name: str) -> nn.Module:
    """Make an activation by name."""
    if name not in _ACTIVATIONS:
        raise InvalidInput(f"activation {name!r} is unknown: expected {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name]()


def finite_logit(mean: Tensor) -> Tensor:
    """The logit of means in [0, 1], clamped to be finite."""
    return mean.clamp(_LEAST, 1 - _LEAST).logit()


def mlp(sizes: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers from sizes[0] to sizes[-1], each followed by the activation and dropout.

    Glorot initialization, zero biases.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [affine(inputs, outputs), activation_of(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def affine(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer with Glorot initialization and zero bias."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class MLPDecoder(nn.Module):
    """Hidden layers, then a linear output layer.

    Args:
        sizes: number of latents, then the units of each hidden layer.
        shape: shape of the output.
        activation: by name.
        dropout: dropout probability of hidden units.
    """

    def __init__(
        self, sizes: Sequence[int], shape: Sequence[int], activation: str, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden = mlp(sizes, activation, dropout)
        self.output = affine(sizes[-1], prod(shape))

    def begin(self, bias: Tensor) -> None:
        """Set the output bias: the initial output for every latent, of the output's shape."""
        with torch.no_grad():
            self.output.bias.copy_(bias.flatten())

    def forward(self, z: Tensor) -> Tensor:
        """Map z (*batch, sizes[0]) to (*batch, *shape)."""
        y: Tensor = self.output(self.hidden(z))
        return y.view(*z.shape[:-1], *self.shape)


class ConvEncoder(nn.Module):
    """Convolutions of stride 2, flattened.

    Args:
        shape: shape of the input, (C, H, W).
        channels: output channels of each convolution.
        activation: by name.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], activation: str) -> None:
        super().__init__()
        sides = halve(shape, len(channels))
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([shape[0], *channels]):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), activation_of(activation)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.features = channels[-1] * prod(sides[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W) to (B, features)."""
        h: Tensor = self.layers(x)
        return h


class TimmEncoder(nn.Module):
    """A timm backbone with random weights.

    Args:
        name: such as `resnet10t`.
        channels: input channels.
    """

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        import timm  # takes seconds: only where a backbone is used

        try:
            self.backbone = timm.create_model(name, in_chans=channels, num_classes=0)
        except (RuntimeError, TypeError) as error:
            raise InvalidInput(
                f"encoder {name!r} is neither mlp nor conv, nor a timm backbone for {channels} "
                f"channels ({error}). `timm.list_models()` lists the backbones."
            ) from None
        features: Any = self.backbone.num_features
        self.features = int(features)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W) to (B, features)."""
        h: Tensor = self.backbone(x)
        return h


class ConvDecoder(nn.Module):
    """A linear layer, then transposed convolutions that double the side.

    A kernel of 4 is a multiple of the stride, which avoids checkerboard artifacts
    (Odena et al. 2016, Deconvolution and Checkerboard Artifacts).

    Args:
        z: number of latents.
        shape: shape of the output, (P, C, H, W).
        channels: channels of the encoder's convolutions, in reverse order here.
        activation: by name.
    """

    def __init__(
        self, z: int, shape: Sequence[int], channels: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        P, C, *side = shape
        self.sides = halve((C, *side), len(channels))[::-1]
        self.first = (channels[-1], *self.sides[0])
        self.start = affine(z, prod(self.first))
        self.activation = activation_of(activation)
        widths = [*channels[::-1], P * C]
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in pairwise(widths[:-1])
        )
        # a bias for each output variable
        self.layers.append(nn.ConvTranspose2d(widths[-2], widths[-1], 4, 2, 1, bias=False))
        self.bias = nn.Parameter(torch.zeros(self.shape))

    def begin(self, bias: Tensor) -> None:
        """Set the output bias: the initial output for every latent, of the output's shape."""
        with torch.no_grad():
            self.bias.copy_(bias)

    def forward(self, z: Tensor) -> Tensor:
        """Map z (*batch, z) to (*batch, *shape)."""
        h: Tensor = self.start(z.flatten(0, -2)).unflatten(1, self.first)
        for layer, (H, W) in zip(self.layers, self.sides[1:], strict=True):
            h = layer(self.activation(h))[..., :H, :W]  # crops odd sides
        return h.reshape(*z.shape[:-1], *self.shape) + self.bias


def halve(shape: Sequence[int], times: int) -> list[tuple[int, int]]:
    """The sides of an image (C, H, W), and after each convolution of stride 2."""
    if len(shape) != 3 or not times:
        raise InvalidInput(
            f"convolutions need images and at least one layer; given shape {tuple(shape)} and "
            f"{times} layers. Use encoder = 'mlp' for a table."
        )
    _, H, W = shape
    sides = [(H, W)]
    for _ in range(times):
        H, W = -(-H // 2), -(-W // 2)
        sides.append((H, W))
    return sides
