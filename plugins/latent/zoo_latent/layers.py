"""Networks between inputs and features: perceptrons, convolutions, timm's backbones."""

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
    "halved",
    "mlp",
]

_LEAST = 1e-3
"""How near to 0 and 1 the mean may be from which a decoder starts."""

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
}


def activation_of(name: str) -> nn.Module:
    """Make an activation by its name."""
    if name not in _ACTIVATIONS:
        raise InvalidInput(f"activation {name!r} is unknown: expected {', '.join(_ACTIVATIONS)}.")
    return _ACTIVATIONS[name]()


def finite_logit(mean: Tensor) -> Tensor:
    """The logit of a mean of the training data, in [0, 1], that a decoder starts from."""
    return mean.clamp(_LEAST, 1 - _LEAST).logit()


def mlp(sizes: Sequence[int], activation: str, dropout: float = 0.0) -> nn.Sequential:
    """Affine maps from sizes[0] to sizes[-1], each followed by the activation, and by dropout.

    Weights start as Glorot & Bengio's, biases at zero.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [affine(inputs, outputs), activation_of(activation)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers)


def affine(inputs: int, outputs: int) -> nn.Linear:
    """An affine map with Glorot & Bengio's weights and no bias at first."""
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class MLPDecoder(nn.Module):
    """From features to the output: hidden layers and an affine map.

    Args:
        sizes: number of latents, then of the units of each hidden layer.
        shape: shape of the output.
        activation: by name.
        dropout: share of the hidden units that are left out in training.
    """

    def __init__(
        self, sizes: Sequence[int], shape: Sequence[int], activation: str, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.hidden = mlp(sizes, activation, dropout)
        self.output = affine(sizes[-1], prod(shape))

    def begin(self, bias: Tensor) -> None:
        """Start from an output, of the output's shape, that is given for every latent."""
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
        channels: of each convolution.
        activation: by name.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int], activation: str) -> None:
        super().__init__()
        sides = halved(shape, len(channels))
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
    """A backbone of timm's, with random weights.

    Args:
        name: as `resnet10t`.
        channels: of the input.
    """

    def __init__(self, name: str, channels: int) -> None:
        super().__init__()
        import timm  # seconds, which only those pay who ask for a backbone

        try:
            self.backbone = timm.create_model(name, in_chans=channels, num_classes=0)
        except (RuntimeError, TypeError) as error:
            raise InvalidInput(
                f"encoder {name!r} is neither mlp nor conv, and timm has no such backbone for "
                f"{channels} channels ({error}). `timm.list_models()` names those there are."
            ) from None
        features: Any = self.backbone.num_features
        self.features = int(features)

    def forward(self, x: Tensor) -> Tensor:
        """Map x (B, C, H, W) to (B, features)."""
        h: Tensor = self.backbone(x)
        return h


class ConvDecoder(nn.Module):
    """An affine map, then transposed convolutions, each to twice the side.

    Their kernel of 4 is a multiple of their stride, so that no output has more terms than the next
    (Odena et al. 2016, Deconvolution and Checkerboard Artifacts).

    Args:
        z: number of latents.
        shape: shape of the output, (P, C, H, W).
        channels: of the encoder's convolutions, which these mirror.
        activation: by name.
    """

    def __init__(
        self, z: int, shape: Sequence[int], channels: Sequence[int], activation: str
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        P, C, *side = shape
        self.sides = halved((C, *side), len(channels))[::-1]
        self.first = (channels[-1], *self.sides[0])
        self.start = affine(z, prod(self.first))
        self.activation = activation_of(activation)
        widths = [*channels[::-1], P * C]
        self.layers = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in pairwise(widths[:-1])
        )
        # each variable of the output has a bias of its own
        self.layers.append(nn.ConvTranspose2d(widths[-2], widths[-1], 4, 2, 1, bias=False))
        self.bias = nn.Parameter(torch.zeros(self.shape))

    def begin(self, bias: Tensor) -> None:
        """Start from an output, of the output's shape, that is given for every latent."""
        with torch.no_grad():
            self.bias.copy_(bias)

    def forward(self, z: Tensor) -> Tensor:
        """Map z (*batch, z) to (*batch, *shape)."""
        h: Tensor = self.start(z.flatten(0, -2)).unflatten(1, self.first)
        for layer, (H, W) in zip(self.layers, self.sides[1:], strict=True):
            h = layer(self.activation(h))[..., :H, :W]  # an odd side is one less than twice
        return h.reshape(*z.shape[:-1], *self.shape) + self.bias


def halved(shape: Sequence[int], times: int) -> list[tuple[int, int]]:
    """The sides of an image (C, H, W) and of what is left after each convolution of stride 2."""
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
