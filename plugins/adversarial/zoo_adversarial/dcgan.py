"""DCGAN: generator and discriminator are convolutions alone.

Radford, Metz & Chintala 2015, Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks (arXiv 1511.06434). As in the paper: strided convolutions in place
of pooling, no hidden layer that is dense, batch norm but for the generator's output and the
discriminator's input, ReLU and tanh in the generator, leaky ReLU of slope 0.2 in the discriminator,
z ~ U(−1, 1)^100, weights ~ N(0, 0.02²), Adam at 2e-4 with β1 = 0.5 (in the recipe).

How we differ:
- Kernels have a side of 4, twice their stride, where the authors' first code has 5: so no pixel has
  more terms than the next.
- Images are halved until their side is at most 7: 64 and 32 pixels begin at 4x4, 28 at 7x7.
- `preset = "compact"` is a network of another kind, small and well known from scripts: a dense
  layer, two nearest-neighbour enlargements and 3x3 convolutions against four strided convolutions
  with dropout, z ~ N(0, I). At 32x32 and 64 channels it has 1.05 and 0.10 million parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from zoo_adversarial.layers import (
    LatentGenerator,
    Unflatten,
    compact_generator,
    compact_trunk,
    initialise,
)
from zoo_core.errors import InvalidInput

__all__ = ["DCGAN"]

_PRESETS = ("paper", "compact")
_SMALLEST = 7
"""Largest side at which the generator begins."""


class DCGAN(LatentGenerator):
    """The generator.

    Args:
        shape: of an image, (C, H, W), with H = W: 28, 32, 64 or another side that halves to 4 to 7.
        z: number of latents.
        channels: feature maps of the last hidden layer, below full size; each layer before it has
            twice as many.
        preset: `paper` or `compact`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        z: int = 100,
        channels: int = 64,
        preset: str = "paper",
    ) -> None:
        if preset not in _PRESETS:
            raise InvalidInput(f"preset {preset!r} is unknown: expected {' or '.join(_PRESETS)}.")
        super().__init__(shape, z, "uniform" if preset == "paper" else "normal")
        self.preset, self.channels = preset, channels
        if preset == "paper":
            side, times = _halved(shape)
            self.network = _transposed(z, shape[0], side, _doubled(channels, times))
        else:
            self.network = compact_generator(z, shape, channels)
        self.network.apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        x: Tensor = self.network(z)
        return x

    def opponent(self, channels: int | None = None) -> nn.Module:
        """Make a discriminator, which gives logits (n,).

        channels: feature maps of its first layer at half size; the generator's by default.
        """
        channels = channels or self.channels
        if self.preset == "compact":
            trunk, features = compact_trunk(self.event_shape, channels)
            network = nn.Sequential(*trunk, nn.Linear(features, 1), nn.Flatten(0))
        else:
            side, times = _halved(self.event_shape)
            network = _strided(self.event_shape[0], side, _doubled(channels, times))
        return network.apply(initialise)


def _transposed(z: int, C: int, side: int, widths: Sequence[int]) -> nn.Sequential:
    """z projected to (widths[-1], side, side), and doubled in side to C channels."""
    first = widths[-1]
    layers: list[nn.Module] = [nn.Linear(z, first * side**2, bias=False)]
    layers += [Unflatten((first, side, side)), nn.BatchNorm2d(first), nn.ReLU(inplace=True)]
    for inputs, outputs in pairwise(reversed(widths)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.ConvTranspose2d(widths[0], C, 4, 2, 1), nn.Tanh())


def _strided(C: int, side: int, widths: Sequence[int]) -> nn.Sequential:
    """C channels halved in side to (widths[-1], side, side), and a logit."""
    layers: list[nn.Module] = [nn.Conv2d(C, widths[0], 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, side), nn.Flatten(0))


def _doubled(channels: int, times: int) -> list[int]:
    """Widths of as many layers, from half the size down."""
    return [channels << i for i in range(times)]


def _halved(shape: Sequence[int]) -> tuple[int, int]:
    """The side at which a generator begins, and how often it is doubled."""
    _, H, W = shape
    side, times = H, 0
    while side > _SMALLEST and side % 2 == 0:
        side, times = side // 2, times + 1
    if H != W or side > _SMALLEST or not times:
        raise InvalidInput(
            f"shape is {tuple(shape)}; expected square images whose side halves to 4 to 7, as 28, "
            "32 or 64. Set size in the recipe, or --size."
        )
    return side, times
