"""GAN: an MLP generates images, another classifies images as real or generated.

Goodfellow et al. 2014, Generative Adversarial Nets (arXiv 1406.2661). As in the paper and the
authors' settings for MNIST: a generator of rectified linear layers with a sigmoid output, a maxout
discriminator of two layers with 240 units of five pieces each, with dropout of
a fifth of its inputs and half of its units, uniform initial weights, an output initialized with the
data's mean, alternating steps of both networks.

Differences from the paper:
- Adam instead of momentum with a decaying rate, R1 instead of dropout, and small moves of all that
  is judged (in the recipe, with what they change).
- The networks see images in [−1, 1], as all of this family do; the sigmoid is scaled accordingly.
- The discriminator's initial weights are ten times as large as the authors' U(−0.005, 0.005), which
  are too small for Adam's first steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn

from zoo_adversarial.layers import LatentGenerator, Pack
from zoo_core.config import Size

__all__ = ["GAN", "Maxout", "MaxoutDiscriminator"]

_RANGE = 0.05
"""Initial weights ~ U(−0.05, 0.05)."""
_LEAST = 1e-3
"""Means are clamped to [1e-3, 1 − 1e-3] before the logit."""


class GAN(LatentGenerator):
    """The generator.

    Args:
        shape: of an image, (C, H, W).
        z: number of latents, N(0, 1) each.
        hidden: units of each hidden layer.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        z: int = 100,
        hidden: Sequence[int] = (1200, 1200),
    ) -> None:
        super().__init__(shape, z)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([z, *hidden]):
            layers += [_affine(inputs, outputs), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.output = _affine(hidden[-1], prod(shape))

    def begin(self, mean: Tensor) -> None:
        """Initialize the output with the training data's mean, event_shape."""
        with torch.no_grad():
            self.output.bias.copy_(mean.clamp(_LEAST, 1 - _LEAST).logit().flatten())

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        y: Tensor = self.output(self.hidden(z))
        x: Tensor = 2 * y.sigmoid().unflatten(1, self.event_shape) - 1
        return x

    def first_response(self) -> Tensor:
        """What each latent adds to the first layer, (latent_dim, units)."""
        return next(self.hidden.parameters()).T

    def opponent(
        self,
        hidden: Sequence[int] = (240, 240),
        pieces: int = 5,
        dropout: float = 0.5,
        dropout_inputs: float = 0.2,
        pack: Size = 1,
    ) -> MaxoutDiscriminator:
        """Make a discriminator.

        hidden: units of each hidden layer. pieces: linear maps per maxout unit.
        dropout, dropout_inputs: dropout probabilities of units, and of pixels.
        pack: images that are judged together (Lin et al. 2018); its scores are (⌈n/pack⌉,).
        """
        inputs = prod(self.event_shape)
        return MaxoutDiscriminator(inputs, hidden, pieces, dropout, dropout_inputs, pack)


class MaxoutDiscriminator(nn.Module):
    """Maxout layers with dropout; outputs the logit that an image is real.

    Args: as those of `GAN.opponent`, after the number of an image's variables.
    """

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        pieces: int,
        dropout: float,
        dropout_inputs: float,
        pack: int = 1,
    ) -> None:
        super().__init__()
        packing: list[nn.Module] = [Pack(pack)] if pack > 1 else []
        layers: list[nn.Module] = [*packing, nn.Flatten(), nn.Dropout(dropout_inputs)]
        for before, units in pairwise([pack * inputs, *hidden]):
            layers += [Maxout(before, units, pieces), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, _affine(hidden[-1], 1), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (n,), or one for each pack, of images (n, C, H, W), in [−1, 1]."""
        scores: Tensor = self.layers(x)
        return scores


class Maxout(nn.Module):
    """Maxout units: the maximum of several linear maps (Goodfellow et al. 2013)."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.maps = _affine(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs) to (n, units)."""
        y: Tensor = self.maps(x)
        largest: Tensor = y.unflatten(1, (-1, self.pieces)).amax(2)
        return largest


def _affine(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.uniform_(layer.weight, -_RANGE, _RANGE)
    nn.init.zeros_(layer.bias)
    return layer
