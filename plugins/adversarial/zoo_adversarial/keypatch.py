"""Key-patch GAN: generates a whole image from a few parts, without their place and scale.

Lee, Yun, Choi, Yoo, Yang & Oh 2018, Unsupervised Holistic Image Generation from Key Local Patches
(ECCV; arXiv 1703.10730), also known as Puzzle-GAN. Each part p_i is resized to full size. One
encoder sees all of them, and its features are summed over the parts at every level. A mask decoder
with skip connections predicts where the parts go, M̂; an image decoder, conditional on noise and
the mask decoder's features at each level, generates the image x̂. With x the image that the parts
are from, M the mask of their true places, and ⊙ the product at each place,

    L_G = −log D(x̂) + w Σ|M̂ − M| + w Σ|x̂ ⊙ M̂ − x ⊙ M|
    L_D = −log D(x) − log(1 − D(x̂)) − log(1 − D(x ⊙ M + x′ ⊙ (1 − M)))
          − log(1 − D(x′ ⊙ M + x ⊙ (1 − M)))

where x′ is another image: its background with true parts, and its content where parts were. As in
the paper: w falls from 10⁻² to 10⁻⁴, evenly in its logarithm; two steps of the discriminator for
each of the generator; random horizontal flips; 5x5 convolutions of stride 2, batch norm,
z ~ U(−1, 1)^128, codes of 128 features, Adam with β1 = 0.5.

Differences from the paper:
- Parts are found by `zoo_adversarial.patches`, not by Edge Boxes, whose score it follows.
- Widths fit a processor: the recipe has 16, 32, 64, 128 maps from half size down, where the paper
  has 64, 128, 256, 512. Batches have 16 images, the paper's 64.
- The recipe compares masks by their overlap, 1 − Σ M̂ M / Σ (M̂ + M − M̂ M) for each image, times the
  number of pixels (`mask_loss`). Σ|M̂ − M| is least for a mask without any place that is less likely
  than not, as most places are in drawings of a thousand kinds: after 600 steps without a
  discriminator, at 32 pixels, masks above a half overlapped the true places of held-out parts by
  0.07, and by 0.42 with the overlap as their loss.
- The recipe compares generated images with the parts at their true places, Σ|x̂ − x| ⊙ M (`cut`).
  With M̂ as a factor, an image learns nothing where the mask is missing, and to be grey where it is
  too large; masks learn to be empty wherever the image is wrong. After 6 epochs at the paper's
  rates, images differed from held-out parts by 0.27, as much as a constant image does.
- In the recipe both networks take one step in turn, the generator at a higher learning rate: at the
  paper's rates masks covered the whole image for the first 1,000 steps.
- The recipe of faces enlarges maps by nearest neighbours before a 3x3 convolution (`up`), has R1
  and no norm in the discriminator, and one to five parts, at random, in each batch.
- Nothing in the paper's losses requires that noise be visible, and completions of the same parts
  came out alike. The recipe of faces subtracts `w_vary` times how far two completions of the same
  parts are from each other beside these, divided by how far their noise is apart, up to `vary`
  (Yang, Hong, Jang, Zhao & Lee 2019, Diversity-Sensitive Conditional GANs, arXiv 1901.09024).
- w falls step by step over a number of images that the recipe gives, in the paper epoch by epoch.
  The recipe has 5·10⁻² to 10⁻²: with a smaller weight, generated images look real but show the
  parts less.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from zoo_adversarial.layers import UP, check_choice, enlarge, initialise
from zoo_adversarial.patches import crops, key_patches
from zoo_core import draws
from zoo_core.checks import check_inputs, check_sampling
from zoo_core.config import Size
from zoo_core.errors import InvalidInput
from zoo_core.precision import weight_of
from zoo_core.protocols import FromParts

__all__ = ["Critic", "KeyPatch"]

_SLOPE = 0.2
_KERNEL = (5, 2, 2)
"""Of convolutions that halve a side: side, stride and padding."""
_NORMS = ("batch", "none")
_FIRST = 4
"""Side of the smallest maps."""
_WIDEST = 8
"""Largest number of feature maps, as a multiple of that at half size."""


class KeyPatch(nn.Module):
    """The generator.

    Args:
        shape: of an image, (C, S, S); S is a power of 2, from 8.
        channels: feature maps at half size; twice as many at each size below, up to eight times.
        z: number of latents that are noise.
        code: features of the summed parts.
        parts: number of key patches that are found; any number can be completed from.
        up: how maps are enlarged: by `transposed` convolutions, or by `nearest` neighbours and a
            convolution.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int = 16,
        z: int = 128,
        code: int = 128,
        parts: Size = 3,
        up: str = "transposed",
    ) -> None:
        super().__init__()
        check_choice("up", up, UP)
        self.event_shape, self.z, self.parts = _square(shape), z, parts
        widths = _widths(self.event_shape, channels)
        self.encoder = _Encoder(widths, code)
        self.placing = _Decoder(widths, code, 1, up)
        self.drawing = _Decoder(widths, code + z, widths[0], up)
        self.apply(initialise)

    def forward(self, parts: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Generate images, (kB, C, S, S), in [−1, 1], and masks, (B, 1, S, S), in [0, 1].

        parts: each at full size, (B, n, C, S, S), in [−1, 1].
        z: (kB, z), in [−1, 1]; the parts are completed with the first B, then with the next, …
        """
        levels, code = self.encoder(parts)
        mask, features = self.placing(levels[::-1], code)
        times = len(z) // len(parts)
        features = [each.repeat(times, 1, 1, 1) for each in features]
        image, _ = self.drawing(features, torch.cat([code.repeat(times, 1), z], 1))
        return image.tanh(), mask.sigmoid()

    def noise(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Sample noise, (n, z), from U(−1, 1)."""
        like = weight_of(self)
        u = draws.rand(n, self.z, generator=generator, device=like.device, dtype=like.dtype)
        return 2 * u - 1

    def find_parts(self, x: Tensor) -> Tensor:
        """The key patches of inputs: boxes (x, y, w, h) in pixels, (B, parts, 4), int64.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        check_inputs(self, x)
        return key_patches(x, self.parts)

    def complete_from(
        self,
        x: Tensor,
        boxes: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> FromParts:
        """Generate images from the parts in the boxes of inputs; everything else is ignored.

        x: inputs, (B, *event_shape), in [0, 1].
        boxes: (B, n, 4), int64.
        temperature: scales the noise; towards 0, images of the same parts become the same.

        Raises InvalidInput for a box outside the image.
        """
        check_inputs(self, x)
        check_sampling(len(x), temperature)
        parts = crops(x, boxes)
        z = temperature * self.noise(len(x), generator=generator)
        y, mask = self(parts * 2 - 1, z)
        return FromParts(parts, mask, (y + 1) / 2)

    def opponent(self, channels: int | None = None, norm: str = "batch") -> Critic:
        """Make a discriminator.

        channels: feature maps of its first layer; the generator's by default.
        norm: `batch`, or `none`, to be used with a gradient penalty.

        Raises InvalidInput for another norm.
        """
        check_choice("trainer.norm", norm, _NORMS)
        return Critic(_widths(self.event_shape, channels or self.encoder.channels), norm)


class Critic(nn.Module):
    """The discriminator: a score for each image.

    Args:
        widths: channels of an image, and of each level below.
        norm: `batch` or `none`.
    """

    def __init__(self, widths: Sequence[int], norm: str = "batch") -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_downs(widths, norm))
        self.head = nn.Linear(widths[-1] * _FIRST**2, 1)
        self.apply(initialise)
        for layer in self.trunk.modules():
            if isinstance(layer, nn.Conv2d) and norm == "none":  # so that maps keep their scale
                nn.init.kaiming_normal_(layer.weight, _SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each image, (B,).

        x: (B, C, S, S), in [−1, 1].
        """
        scores: Tensor = self.head(self.trunk(x).flatten(1))
        return scores.squeeze(1)


# Networks


class _Encoder(nn.Module):
    """Parts to features at each level, and a code; each a sum over the parts."""

    def __init__(self, widths: Sequence[int], code: int) -> None:
        super().__init__()
        self.channels = widths[1]
        self.levels = nn.ModuleList(_downs(widths))
        self.last = nn.Conv2d(widths[-1], code, _FIRST)

    def forward(self, parts: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features, (B, maps, side, side) each, from half size down, and the code, (B, code).

        parts: (B, n, C, S, S), in [−1, 1].
        """
        n, levels = parts.shape[1], []
        h = parts.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        for level in self.levels:
            h = level(h)
            levels.append(h.unflatten(0, (-1, n)).sum(1))
        return levels, self.last(h).flatten(1).unflatten(0, (-1, n)).sum(1)


class _Decoder(nn.Module):
    """A code to a map of full size; other features are concatenated to its own at each level."""

    def __init__(self, widths: Sequence[int], code: int, outputs: int, up: str) -> None:
        super().__init__()
        self.first = _first(code, widths[-1])
        steps = pairwise(reversed(widths[1:]))
        self.levels = nn.ModuleList(_up(2 * inputs, outputs, up) for inputs, outputs in steps)
        self.last = enlarge(up, 2 * widths[1], outputs, _KERNEL, 1)

    def forward(self, beside: Sequence[Tensor], code: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The map, (B, outputs, S, S), and the features before it, from the smallest up.

        beside: the other features, (B, maps, side, side) each, from the smallest up.
        """
        features = [self.first(code[:, :, None, None])]
        for other, level in zip(beside[:-1], self.levels, strict=True):
            features.append(level(torch.cat([features[-1], other], 1)))
        y: Tensor = self.last(torch.cat([features[-1], beside[-1]], 1))
        return y, features


def _downs(widths: Sequence[int], norm: str = "batch") -> Iterator[nn.Sequential]:
    """Levels that halve the side each; the first one, whose inputs are images, has no norm."""
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        normed = [nn.BatchNorm2d(outputs)] if i and norm == "batch" else []
        yield nn.Sequential(nn.Conv2d(inputs, outputs, *_KERNEL), *normed, nn.LeakyReLU(_SLOPE))


def _first(code: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(code, outputs, _FIRST, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _up(inputs: int, outputs: int, up: str) -> nn.Sequential:
    larger = enlarge(up, inputs, outputs, _KERNEL, 1)
    return nn.Sequential(larger, nn.BatchNorm2d(outputs), nn.ReLU())


def _widths(shape: tuple[int, ...], channels: int) -> list[int]:
    """Channels of an image, and of each level below it down to the smallest maps."""
    levels = (shape[-1] // _FIRST).bit_length() - 1
    return [shape[0], *(channels * min(_WIDEST, 2**i) for i in range(levels))]


def _square(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape (C, S, S) that can be halved down to the smallest maps.

    Raises InvalidInput for another one.
    """
    if len(shape) != 3 or shape[1] != shape[2] or shape[1] < 8 or shape[1].bit_count() != 1:
        raise InvalidInput(
            f"shape is {tuple(shape)}; expected (C, S, S) with a power of 2 from 8 as S. Set the "
            "size that images are resized to."
        )
    return tuple(shape)
