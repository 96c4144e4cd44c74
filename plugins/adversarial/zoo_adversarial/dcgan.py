"""DCGAN: a fully convolutional generator and discriminator.

Radford, Metz & Chintala 2015, Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks (arXiv 1511.06434). As in the paper: strided convolutions in place
of pooling, no hidden layer that is dense, batch norm but for the generator's output and the
discriminator's input, ReLU and tanh in the generator, leaky ReLU of slope 0.2 in the discriminator,
z ~ U(−1, 1)^100, weights ~ N(0, 0.02²), Adam with β1 = 0.5 (in the recipe).

Differences from the paper:
- Kernels have a side of 4, twice their stride, where the authors' first code has 5: so every pixel
  is a sum of as many terms. Only maps of an odd side, the 7x7 of digits, have kernels of 5.
- Generators begin at 4x4 as the paper's, or at 3x3: 28 pixels are halved to 14, 7 and 4. Two layers
  from 7x7 up are too few: nothing but a linear map of z then makes a digit's parts agree.
- The recipe of digits has other learning rates for both networks, where the paper's are 2e-4.
- Options that the recipe of faces takes: `up = "nearest"`, maps enlarged by nearest neighbours
  before a convolution; and a discriminator with spectral norm (Miyato et al. 2018) or with no norm
  in place of batch norm. Its loss is the relativistic one, with R1 and R2 (Huang et al. 2024).
- A discriminator may judge several images at once (`pack`; Lin et al. 2018).
- `preset = "compact"` is another, small network that many example scripts have: a dense
  layer, two nearest-neighbour enlargements and 3x3 convolutions against four strided convolutions
  with dropout, z ~ N(0, I). At 32x32 and 64 channels it has 1.05 and 0.10 million parameters.

With `trunk`, the published model holds the discriminator's layers, as they were at the validation
that chose the weights. Its features are the paper's: the outputs of all layers, max-pooled to 4x4.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from zoo_adversarial.layers import (
    UP,
    LatentGenerator,
    Pack,
    Unflatten,
    check_choice,
    compact_generator,
    compact_trunk,
    enlarge,
    initialise,
)
from zoo_core.checks import check_inputs
from zoo_core.config import Size
from zoo_core.errors import InvalidInput

__all__ = ["DCGAN"]

_PRESETS = ("paper", "compact")
_NORMS = ("batch", "spectral", "none")
_SMALLEST = 4
"""Largest side at which the generator begins."""
_POOLED = 4
"""Side that the maps of features are pooled to."""


class DCGAN(LatentGenerator):
    """The generator; with `trunk` it has features, too.

    Args:
        shape: of an image, (C, H, W), with H = W: 28, 32, 64 or another side of 5 and more.
        z: number of latents.
        channels: feature maps of the last hidden layer, below full size; each layer before it has
            twice as many.
        preset: `paper` or `compact`.
        trunk: whether the discriminator's layers are kept, for `features`.
        up: how the paper's generator enlarges maps: by `transposed` convolutions, or by `nearest`
            neighbours and a convolution.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        z: int = 100,
        channels: int = 64,
        preset: str = "paper",
        trunk: bool = False,
        up: str = "transposed",
    ) -> None:
        check_choice("up", up, UP)
        check_choice("preset", preset, _PRESETS)
        super().__init__(shape, z, "uniform" if preset == "paper" else "normal")
        self.preset, self.channels = preset, channels
        if preset == "paper":
            sides = _sides(shape)
            self.network = _generator(z, shape[0], sides, _widths(channels, sides), up)
        else:
            self.network = compact_generator(z, shape, channels)
        self.network.apply(initialise)
        self.trunk = _trunk(self.opponent()).requires_grad_(False) if trunk else None
        if self.trunk is not None:  # without it, the model is no Featurizer
            maps = (layer.out_channels for layer in self.trunk if isinstance(layer, nn.Conv2d))
            self.feature_dim = sum(maps) * _POOLED**2

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        x: Tensor = self.network(z)
        return x

    # The discriminator, and the layers of it that are kept

    def opponent(
        self, channels: int | None = None, norm: str = "batch", pack: Size = 1
    ) -> nn.Sequential:
        """Make a discriminator, which gives logits (n,), or (⌈n/pack⌉,).

        channels: feature maps of its first layer at half size; the generator's by default.
        norm: `batch`; `spectral` (Miyato et al. 2018), which bounds the slope of the logits, so
            that a discriminator that is ahead still gives gradients; or `none`, to be used with a
            gradient penalty.
        pack: images that are judged together, as the channels of one (Lin et al. 2018).

        Raises InvalidInput for another norm, and for one other than `batch`, or packs, with the
        preset `compact` or with `trunk`.
        """
        channels = channels or self.channels
        if norm not in _NORMS:
            raise InvalidInput(
                f"trainer.discriminator.norm is {norm!r}; expected {', '.join(_NORMS)}."
            )
        changed = f"norm = {norm!r}" if norm != "batch" else f"pack = {pack}" if pack > 1 else ""
        if changed and (self.preset == "compact" or self.trunk is not None):
            raise InvalidInput(
                f"trainer.discriminator.{changed} needs config.preset = 'paper' and "
                "config.trunk = false: what is kept of a discriminator has batch norm, and sees "
                "one image."
            )
        if channels != self.channels and self.trunk is not None:
            raise InvalidInput(
                "config.trunk keeps a discriminator as wide as the generator. Leave "
                "trainer.discriminator.channels out, or config.trunk."
            )
        if self.preset == "compact":
            trunk, features = compact_trunk(self.event_shape, channels)
            network = nn.Sequential(*trunk, nn.Linear(features, 1), nn.Flatten(0))
        else:
            sides = _sides(self.event_shape)
            network = _discriminator(
                pack * self.event_shape[0], sides, _widths(channels, sides), norm == "batch"
            )
            if pack > 1:
                network.insert(0, Pack(pack))
        network.apply(initialise)
        for layer in network:
            if isinstance(layer, nn.Conv2d) and norm == "spectral":
                spectral_norm(layer)
            if isinstance(layer, nn.Conv2d) and norm == "none":  # so that maps keep their scale
                nn.init.kaiming_normal_(layer.weight, 0.2)
        return network

    def keep(self, discriminator: nn.Sequential) -> None:
        """Copy the layers of a discriminator, where the model keeps them."""
        if self.trunk is not None:
            self.trunk.load_state_dict(_trunk(discriminator).state_dict())

    def features(self, x: Tensor) -> Tensor:
        """The outputs of the discriminator's layers, max-pooled to 4x4: (B, feature_dim).

        x: images, (B, C, H, W), in [0, 1].

        Raises InvalidInput for a model that was trained without `trunk`.
        """
        if self.trunk is None:
            raise InvalidInput(
                "this model kept nothing of its discriminator, so it has no features. Train one "
                "that does, with trunk = true in its config."
            )
        check_inputs(self, x)
        h, pooled = 2 * x - 1, []
        for layer in self.trunk:
            h = layer(h)
            if isinstance(layer, nn.LeakyReLU):
                pooled.append(functional.adaptive_max_pool2d(h, _POOLED).flatten(1))
        return torch.cat(pooled, 1)


def _trunk(discriminator: nn.Sequential) -> nn.Sequential:
    """A discriminator without the layer that gives its logit."""
    return discriminator[:-2]


def _generator(
    z: int, C: int, sides: Sequence[int], widths: Sequence[int], up: str
) -> nn.Sequential:
    """z projected to (widths[-1], sides[-1], sides[-1]), and enlarged step by step to images.

    sides: from that of the images down. widths: of the layers below it.
    """
    first, side = widths[-1], sides[-1]
    layers: list[nn.Module] = [nn.Linear(z, first * side**2, bias=False)]
    layers += [Unflatten((first, side, side)), nn.BatchNorm2d(first), nn.ReLU(inplace=True)]
    for (inputs, outputs), to in zip(pairwise(widths[::-1]), sides[-2:0:-1], strict=True):
        layers += [_upsampling_layer(inputs, outputs, to, up, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, _upsampling_layer(widths[0], C, sides[0], up), nn.Tanh())


def _upsampling_layer(
    inputs: int, outputs: int, to: int, up: str, bias: bool = True
) -> nn.Conv2d | nn.ConvTranspose2d:
    """A layer to maps of twice the side; only a transposed convolution reaches an odd one."""
    return enlarge(up if to % 2 == 0 else UP[0], inputs, outputs, _kernel(to), bias=bias)


def _discriminator(
    C: int, sides: Sequence[int], widths: Sequence[int], normed: bool
) -> nn.Sequential:
    """C channels halved in side to (widths[-1], sides[-1], sides[-1]), and a logit."""
    layers: list[nn.Module] = [nn.Conv2d(C, widths[0], *_kernel(sides[0]))]
    layers += [nn.LeakyReLU(0.2, inplace=True)]
    for (inputs, outputs), of in zip(pairwise(widths), sides[1:-1], strict=True):
        layers += [nn.Conv2d(inputs, outputs, *_kernel(of), bias=not normed)]
        layers += [nn.BatchNorm2d(outputs)] if normed else []
        layers += [nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, sides[-1]), nn.Flatten(0))


def _kernel(side: int) -> tuple[int, int, int]:
    """Side of the kernel, stride and padding between maps of a side and of half of it, rounded up.

    Only an odd kernel reaches an odd side.
    """
    return (5, 2, 2) if side % 2 else (4, 2, 1)


def _widths(channels: int, sides: Sequence[int]) -> list[int]:
    """Widths of the layers below full size, from half of it down."""
    return [channels << i for i in range(len(sides) - 1)]


def _sides(shape: Sequence[int]) -> list[int]:
    """The sides of images and of all maps down to those from which a generator begins."""
    _, H, W = shape
    sides = [H]
    while sides[-1] > _SMALLEST:
        sides.append(-(-sides[-1] // 2))
    if H != W or len(sides) == 1:
        raise InvalidInput(
            f"shape is {tuple(shape)}; expected square images of side 5 or more, as 28, 32 or 64. "
            "Set the size that images are resized to."
        )
    return sides
