"""Base class of generators from a latent vector to an image, and shared layers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.checks import check_latents, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.precision import weight_of
from zoo_core.protocols import Traversal

__all__ = [
    "UP",
    "ImageConv2d",
    "LatentGenerator",
    "Pack",
    "Unflatten",
    "UpConv2d",
    "check_choice",
    "compact_generator",
    "compact_trunk",
    "divisible_shape",
    "enlarge",
    "initialise",
    "truncated_normal",
    "up_conv2d",
]

UP = ("transposed", "nearest")
"""How maps are enlarged: by transposed convolutions, or by nearest neighbours and a convolution."""

_SLOPE = 0.2
_STEPS, _REACH = 9, 3.0
"""Steps of a traversal, and how far it goes to either side, in standard deviations of the prior."""


class LatentGenerator(nn.Module):
    """Base class: maps latents of a prior to images; subclasses implement `forward`.

    Args:
        shape: of an image, (C, H, W).
        z: number of latents.
        prior: of each latent: `normal`, N(0, 1), or `uniform`, U(−1, 1).
    """

    network: nn.Sequential
    """Its first layers are linear; a subclass without it overrides `first_response`."""

    def __init__(
        self, shape: Sequence[int], z: int, prior: Literal["normal", "uniform"] = "normal"
    ) -> None:
        super().__init__()
        if len(shape) != 3:
            raise InvalidInput(f"shape is {tuple(shape)}; expected that of an image, (C, H, W).")
        self.event_shape = tuple(shape)
        self.latent_dim, self.prior = z, prior

    def latent(
        self, n: int, *, generator: torch.Generator | None = None, truncation: float = math.inf
    ) -> Tensor:
        """Sample n latents from the prior, (n, latent_dim), each within ±truncation."""
        check_sampling(n, shape=(self.latent_dim,))
        return self._noise(n, self.latent_dim, generator, truncation)

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [0, 1]."""
        check_latents(self, z)
        x: Tensor = self(z)
        return (x + 1) / 2

    def traversals(self) -> list[Traversal]:
        """Traversals of the directions in which the first layer's response changes most, by rank.

        Noise has no axes of its own: one latent of a hundred changes next to nothing.
        """
        with torch.inference_mode():
            response = self.first_response()
            directions = torch.linalg.svd(response, full_matrices=False).U.T
        largest = directions.abs().argmax(1, keepdim=True)
        directions = directions * directions.gather(1, largest).sign()  # else signs are chance
        reach = _REACH * (1 if self.prior == "normal" else 1 / math.sqrt(3))
        steps = torch.linspace(-reach, reach, _STEPS).unsqueeze(1)
        dims = tuple(range(directions.shape[1]))
        return [
            Traversal(f"direction {i + 1}", dims, (steps * direction.cpu()).tolist(), added=True)
            for i, direction in enumerate(directions)
        ]

    def first_response(self) -> Tensor:
        """What each latent of the noise adds to the first layer, after its norm: (noise, units)."""
        first = nn.Sequential(*takewhile(lambda layer: isinstance(layer, _LINEAR), self.network))
        weight = weight_of(first)
        basis = torch.eye(weight.shape[1], device=weight.device, dtype=weight.dtype)
        y: Tensor = first(torch.cat([torch.zeros_like(basis[:1]), basis])).flatten(1)
        return y[1:] - y[:1]

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        truncation: float = math.inf,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature: scales the latents; towards 0, all images become the same.
        truncation: latents further from 0 are resampled (Brock et al. 2019): less diverse, more
            typical images.
        """
        check_sampling(n, temperature, self.event_shape)
        return self.decode(temperature * self.latent(n, generator=generator, truncation=truncation))

    def _noise(
        self,
        n: int,
        size: int,
        generator: torch.Generator | None,
        truncation: float = math.inf,
    ) -> Tensor:
        """Sample from the prior truncated to ±truncation, (n, size)."""
        like = weight_of(self)
        plain = self.prior == "normal" and truncation == math.inf
        draw = draws.randn if plain else draws.rand
        z = draw(n, size, generator=generator, device=like.device, dtype=like.dtype)
        if plain:
            return z
        u = 2 * z - 1
        return truncated_normal(u, truncation) if self.prior == "normal" else min(1, truncation) * u


class Pack(nn.Module):
    """Images side by side as the channels of one, so that a network judges several at once.

    Few different images betray themselves among several (Lin et al. 2018, PacGAN, arXiv
    1712.04086). A batch has as many at least: one with fewer is filled up by copies.

    Args:
        size: images in each pack.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(n, C, H, W) to (⌈n/size⌉, size·C, H, W); the last pack is filled up from the first."""
        if missing := -len(x) % self.size:
            x = x[torch.arange(len(x) + missing, device=x.device) % len(x)]
        packed: Tensor = x.unflatten(0, (-1, self.size)).flatten(1, 2)
        return packed.contiguous(memory_format=torch.channels_last)


class Unflatten(nn.Module):
    """(n, C·H·W) to (n, C, H, W), in the memory format of the convolutions that follow."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: Tensor) -> Tensor:
        """Reshape (n, C·H·W) to feature maps."""
        maps: Tensor = x.unflatten(1, self.shape)
        return maps.contiguous(memory_format=torch.channels_last)


_LINEAR = (nn.Linear, Unflatten, nn.BatchNorm2d)
"""Layers that are affine in evaluation mode."""


class UpConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by 2 and a 3x3 convolution, fused."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, H, W) to (n, outputs, 2H, 2W)."""
        return up_conv2d(x, self.weight, self.bias)


def enlarge(
    up: str,
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    extra: int = 0,
    *,
    bias: bool = True,
) -> nn.Conv2d | nn.ConvTranspose2d:
    """A layer to maps of twice the side, by one of the ways that `UP` lists.

    kernel, extra, bias: of a transposed convolution: side, stride and padding; output padding;
        whether it has biases.
    """
    if up == "nearest":
        return UpConv2d(inputs, outputs)
    return nn.ConvTranspose2d(inputs, outputs, *kernel, extra, bias=bias)


class ImageConv2d(nn.Conv2d):
    """A 3x3 convolution to few channels, as a matrix product and `fold`.

    Convolution kernels are slow for one or three output channels.
    """

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__(inputs, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, H, W) to (n, channels, H, W)."""
        n, _, H, W = x.shape
        taps = self.weight.flip(2, 3).transpose(0, 1).flatten(1)  # (inputs, channels · 9)
        products = (x.permute(0, 2, 3, 1).flatten(0, 2) @ taps).unflatten(0, (n, H * W))
        sums = functional.fold(products.transpose(1, 2), (H, W), 3, padding=1)
        assert self.bias is not None
        return sums + self.bias.view(-1, 1, 1)


def up_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Upsample by 2 (nearest neighbour) and convolve, as one transposed convolution.

    A 3x3 kernel sees only four different pixels there: with the weights of equal pixels summed, an
    output takes four products instead of nine, forward and backward.

    x: (n, inputs, H, W). weight: (outputs, inputs, 3, 3). Returns (n, outputs, 2H, 2W).
    """
    side = weight.new_tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    kernel = (weight.flip(2, 3).flatten(2) @ torch.kron(side, side)).unflatten(2, (4, 4))
    return functional.conv_transpose2d(x, kernel.transpose(0, 1), bias, 2, 1)


def truncated_normal(u: Tensor, bound: float) -> Tensor:
    """Map uniform numbers to N(0, 1) truncated to ±bound.

    u: samples of U(−1, 1), any shape.
    """
    z: Tensor = math.sqrt(2) * torch.erfinv(u * math.erf(bound / math.sqrt(2)))
    return z.clamp(-bound, bound)  # −1 maps to −∞ for a large bound


def check_choice(setting: str, value: str, known: Collection[str]) -> None:
    """Raise InvalidInput for a value that is none of those known."""
    if value not in known:
        raise InvalidInput(f"{setting} is {value!r}; expected {' or '.join(known)}.")


def divisible_shape(shape: Sequence[int], divisor: int) -> tuple[int, int, int]:
    """Return a shape (C, H, W) whose sides are multiples of a number.

    Raises InvalidInput for any other shape.
    """
    if len(shape) != 3 or any(side < divisor or side % divisor for side in shape[1:]):
        raise InvalidInput(
            f"shape is {tuple(shape)}; expected (C, H, W) with sides that are multiples of "
            f"{divisor}. Set the size that images are resized to."
        )
    C, H, W = shape
    return C, H, W


def compact_generator(z: int, shape: Sequence[int], channels: int) -> nn.Sequential:
    """A dense layer to a quarter of the side, then two nearest-neighbour upsamplings.

    shape: of an image, (C, H, W); sides are multiples of 4.
    channels: feature maps at full size; twice as many below.
    """
    (C, H, W), c = divisible_shape(shape, 4), channels
    return nn.Sequential(
        nn.Linear(z, 2 * c * (H // 4) * (W // 4)),
        Unflatten((2 * c, H // 4, W // 4)),
        nn.BatchNorm2d(2 * c),
        UpConv2d(2 * c, 2 * c),
        nn.BatchNorm2d(2 * c),
        nn.LeakyReLU(_SLOPE, inplace=True),
        UpConv2d(2 * c, c),
        nn.BatchNorm2d(c),
        nn.LeakyReLU(_SLOPE, inplace=True),
        ImageConv2d(c, C),
        nn.Tanh(),
    )


def compact_trunk(shape: Sequence[int], channels: int) -> tuple[nn.Sequential, int]:
    """Four convolutions of stride 2 with dropout, and their number of output features.

    shape: of an image, (C, H, W).
    channels: feature maps of the third convolution; the first two have a quarter and a half of
        them, the last has twice as many.
    """
    C, H, W = shape
    layers: list[nn.Module] = []
    widths = [C, channels // 4, channels // 2, channels, 2 * channels]
    for i in range(4):
        layers += [nn.Conv2d(widths[i], widths[i + 1], 3, 2, 1), nn.LeakyReLU(_SLOPE, inplace=True)]
        layers += [nn.Dropout2d(0.25)]
        layers += [nn.BatchNorm2d(widths[i + 1])] if i else []
    H, W = (-(-side // 16) for side in (H, W))
    return nn.Sequential(*layers, nn.Flatten()), widths[-1] * H * W


def initialise(layer: nn.Module) -> None:
    """Weights ~ N(0, 0.02²), biases 0; scales of norms ~ N(1, 0.02²) (Radford et al. 2015)."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, 0.02)
