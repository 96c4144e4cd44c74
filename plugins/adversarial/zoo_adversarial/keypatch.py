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
the paper: w falls from 10⁻² to 10⁻⁴, evenly in its logarithm; one step of the generator comes to
two of the discriminator; random horizontal flips; 5x5 convolutions of stride 2,
batch norm, z ~ U(−1, 1)^128, codes of 128 features, Adam with β1 = 0.5.

Differences from the paper:
- Parts are found by `zoo_adversarial.patches`, not by Edge Boxes, whose score it follows.
- Widths fit a processor: the recipe has 16, 32, 64, 128 maps from half size down, where the paper
  has 64, 128, 256, 512. Batches are of 8 images for 64: there are as few as 5,324 of them.
- The recipe compares masks by their overlap, 1 − Σ M̂ M / Σ (M̂ + M − M̂ M) for each image, times the
  number of pixels (`mask_loss`). By Σ|M̂ − M| a mask is best where it is empty of all places that
  are less likely than not, as most are in drawings of a thousand kinds: after 600 steps without a
  discriminator, at 32 pixels, what is above a half overlapped the true places of held-out parts by
  0.07, and by 0.42 where the overlap was learnt.
- The recipe compares what is drawn with the parts at their true places, Σ|x̂ − x| ⊙ M (`cut`). By
  the product with M̂, an image learns nothing where the mask is missing, and to be grey where it is
  too large; masks learn to be empty wherever the image is wrong. After 6 epochs at the paper's
  rates, held-out parts were 0.27 from what was drawn, which a constant image has as well.
- Each step of the recipe is one of either network, the generator's at a higher rate: by the paper's
  rates masks covered all of the image for its first 1,000 steps.
- w falls step by step over a number of images that the recipe gives, in the paper epoch by epoch.
  The recipe keeps it at 5·10⁻²: the less it weighs, the more what is drawn leaves the parts for
  what looks real.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.layers import initialise
from zoo_adversarial.losses import LOSSES
from zoo_adversarial.patches import crops, key_patches, masks
from zoo_adversarial.translation import sliced_wasserstein
from zoo_core.errors import InvalidInput
from zoo_core.protocols import FromParts
from zoo_core.training.augmentation import mirrored
from zoo_core.training.objective import frozen, network_of

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["Assembly", "Critic", "KeyPatch", "overlap"]

_GAME = LOSSES["non-saturating"]
_SLOPE = 0.2
_FIRST = 4
"""Side of the smallest maps."""
_WIDEST = 8
"""Largest number of feature maps, as a multiple of that at half size."""
_SHOWN = 8
"""Inputs of a preview, a row each."""


class KeyPatch(nn.Module):
    """The generator.

    Args:
        shape: of an image, (C, S, S); S is a power of 2, from 8.
        channels: feature maps at half size; twice as many at each size below, up to eight times.
        z: number of latents that are noise.
        code: features of the summed parts.
        parts: number of key patches in training; any number can be completed from.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int = 16,
        z: int = 128,
        code: int = 128,
        parts: int = 3,
    ) -> None:
        super().__init__()
        self.event_shape, self.z, self.parts = _square(shape), z, parts
        widths = _widths(self.event_shape, channels)
        self.encoder = _Encoder(widths, code)
        self.placing = _Decoder(widths, code, 1)
        self.drawing = _Decoder(widths, code + z, widths[0])
        self.apply(initialise)

    def forward(self, parts: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Generate images, (B, C, S, S), in [−1, 1], and masks, (B, 1, S, S), in [0, 1].

        parts: each at full size, (B, n, C, S, S), in [−1, 1]. z: (B, z), in [−1, 1].
        """
        levels, code = self.encoder(parts)
        mask, features = self.placing(levels[::-1], code)
        image, _ = self.drawing(features, torch.cat([code, z], 1))
        return image.tanh(), mask.sigmoid()

    def noise(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Sample noise, (n, z), from U(−1, 1)."""
        like = next(self.parameters())
        u = torch.rand(n, self.z, generator=generator, device=like.device, dtype=like.dtype)
        return 2 * u - 1

    def find_parts(self, x: Tensor) -> Tensor:
        """The key patches of inputs: boxes (x, y, w, h) in pixels, (B, parts, 4), int64.

        x: inputs, (B, *event_shape), in [0, 1].
        """
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
        parts = crops(x, boxes)
        z = temperature * self.noise(len(x), generator=generator)
        y, mask = self(parts * 2 - 1, z)
        return FromParts(parts, mask, (y + 1) / 2)

    def opponent(self, channels: int | None = None) -> Critic:
        """Make a discriminator.

        channels: feature maps of its first layer; the generator's by default.
        """
        return Critic(_widths(self.event_shape, channels or self.encoder.channels))


class Critic(nn.Module):
    """The discriminator: a score for each image.

    Args:
        widths: channels of an image, and of each level below.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*_downs(widths))
        self.head = nn.Linear(widths[-1] * _FIRST**2, 1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """The logit of each image, (B,).

        x: (B, C, S, S), in [−1, 1].
        """
        scores: Tensor = self.head(self.trunk(x).flatten(1))
        return scores.squeeze(1)


class _Sight(NamedTuple):
    """The inputs of a training step."""

    x: Tensor
    """(B, C, S, S), in [−1, 1]."""
    parts: Tensor
    """(B, n, C, S, S), in [−1, 1]."""
    mask: Tensor
    """True places of the parts, (B, 1, S, S)."""


class Assembly:
    """Trains the generator against the discriminator.

    Args:
        model: a KeyPatch.
        channels: feature maps of the discriminator's first layer; the generator's by default.
        w_first: initial weight of the mask and parts losses.
        w_last: their final weight.
        w_images: training images over which it decays.
        mask_loss: how masks are compared: `l1`, as in the paper, or `overlap`.
        cut: where images are compared with the parts: at the `predicted` places, as in the paper,
            or at the `true` ones.
        n_critic: discriminator steps per generator step.
        flip: whether to flip half of the training images horizontally.
    """

    monitor: ClassVar[str] = "sliced_wasserstein"

    def __init__(
        self,
        model: KeyPatch,
        channels: int | None = None,
        w_first: float = 1e-2,
        w_last: float = 1e-4,
        w_images: int = 100_000,
        mask_loss: str = "l1",
        cut: str = "predicted",
        n_critic: int = 2,
        flip: bool = True,
    ) -> None:
        for setting, value, known in (("mask_loss", mask_loss, _SPATIAL), ("cut", cut, _CUTS)):
            if value not in known:
                raise InvalidInput(
                    f"trainer.{setting} is {value!r}; expected {' or '.join(known)}."
                )
        self.spatial, self.cut = _SPATIAL[mask_loss], cut
        self.networks: dict[str, nn.Module] = {
            "model": model,
            "discriminator": model.opponent(channels),
        }
        self.w_first, self.w_last, self.w_images = w_first, w_last, w_images
        self.n_critic, self.flip = n_critic, flip
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)

    def begin(self, mean: Tensor) -> None:
        """Do nothing: the model does not use the data's mean."""

    def weight(self, seen: int) -> float:
        """The weight w after `seen` training images."""
        t = min(1.0, seen / self.w_images)
        return float(self.w_first ** (1 - t) * self.w_last**t)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        """A discriminator step, and every `n_critic` steps a generator step.

        x: images, (B, C, S, S), in [0, 1].
        """
        if self.flip:
            x = mirrored(x, generator)
        sight, G = self._seen(x), self._generator
        turn = step % self.n_critic == 0
        z = G.noise(len(x), generator=generator)
        with torch.set_grad_enabled(turn):
            y, mask = self.networks["model"](sight.parts, z)
        values = self._discriminate(sight, y.detach(), update["discriminator"])
        place = self.spatial(mask, sight.mask)
        look = _appearance(y, sight.mask if self.cut == "true" else mask, sight)
        if turn:
            with frozen(self.networks["discriminator"]) as D:
                loss = _GAME.generator(D(y)) + self.weight(step * len(x)) * (place + look)
                update["model"](loss)
        pixels = mask[0].numel()
        parts = {"mask": place.detach() / pixels, "parts": look.detach() / y[0].numel()}
        return {**values, **parts}

    def _discriminate(self, sight: _Sight, y: Tensor, update: Update) -> dict[str, Tensor]:
        D, (x, _, M) = self.networks["discriminator"], sight
        other = x.roll(1, 0)
        fakes = [y, x * M + other * (1 - M), other * M + x * (1 - M)]
        real, drawn, *mixed = [D(images) for images in (x, *fakes)]
        loss = _GAME.discriminator(real, drawn)
        loss = loss + sum(functional.softplus(scores).mean() for scores in mixed)
        update(loss)
        figures = {"D_real": real, "D_fake": drawn, "D_mixed": torch.cat(mixed)}
        means = {key: scores.detach().sigmoid().mean() for key, scores in figures.items()}
        return {"loss_D": loss.detach(), **means}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """How far completions of a batch are from its images, the same for each, (B,).

        `mask_iou` is how far the mask and the true places agree; `parts` the mean difference of
        image and completion within these, in [0, 1].
        """
        sight = self._seen(x)
        z = self._generator.noise(len(x), generator=generator)
        y, mask = self.networks["model"](sight.parts, z)
        distance = sliced_wasserstein((y + 1) / 2, x, generator)
        apart = ((y - sight.x).abs() * sight.mask).sum((1, 2, 3)) / 2
        return {
            "sliced_wasserstein": distance.expand(len(x)),
            "mask_iou": overlap(mask, sight.mask),
            "parts": apart / (len(x[0]) * sight.mask.sum((1, 2, 3))),
        }

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """A row each: three parts, the mask, two images about them, the input, its true mask.

        They are pictures, (n, C, S, S), in [0, 1].
        """
        x, G = x[:_SHOWN], self._generator
        boxes = G.find_parts(x)
        done = [G.complete_from(x, boxes, generator=generator) for _ in range(2)]
        true = masks(boxes, *x.shape[-2:])
        shown = [mask.expand_as(x) for mask in (done[0].mask, true.to(x.dtype))]
        parts = done[0].parts[:, :3].unbind(1)
        row = [*parts, shown[0], *(one.images for one in done), x, shown[1]]
        return torch.stack(row, 1).flatten(0, 1)

    def remark(self, values: Mapping[str, float]) -> str:
        """Nothing: a mask that is at the wrong places is seen in the values."""
        return ""

    def _seen(self, x: Tensor) -> _Sight:
        boxes = self._generator.find_parts(x)
        return _Sight(x * 2 - 1, crops(x, boxes) * 2 - 1, masks(boxes, *x.shape[-2:]).to(x.dtype))

    @property
    def _generator(self) -> KeyPatch:
        return network_of(self.networks, "model", KeyPatch)


def overlap(mask: Tensor, true: Tensor) -> Tensor:
    """How far two masks agree: their intersection, as a share of their union; (B,), in [0, 1].

    mask: (B, 1, H, W), in [0, 1]; what is above a half is in it. true: the same.
    """
    a, b = mask > 0.5, true > 0.5
    both, either = (a & b).sum((1, 2, 3)), (a | b).sum((1, 2, 3))
    return both / either.clamp_min(1)


def _difference(mask: Tensor, true: Tensor) -> Tensor:
    """Σ|M̂ − M|, a mean over images, ()."""
    return (mask - true).abs().sum() / len(mask)


def _apart(mask: Tensor, true: Tensor) -> Tensor:
    """1 − Σ M̂ M / Σ (M̂ + M − M̂ M), times the pixels, a mean over images, ()."""
    both = (mask * true).sum((1, 2, 3))
    either = mask.sum((1, 2, 3)) + true.sum((1, 2, 3)) - both
    return mask[0].numel() * (1 - both / either.clamp_min(1)).mean()


_SPATIAL = {"l1": _difference, "overlap": _apart}
_CUTS = ("predicted", "true")


def _appearance(y: Tensor, cut: Tensor, sight: _Sight) -> Tensor:
    """Σ|x̂ ⊙ cut − x ⊙ M|, a mean over images, ()."""
    return (y * cut - sight.x * sight.mask).abs().sum() / len(y)


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
    """A code to a map of full size, with other features beside its own at each level."""

    def __init__(self, widths: Sequence[int], code: int, outputs: int) -> None:
        super().__init__()
        self.first = _first(code, widths[-1])
        steps = pairwise(reversed(widths[1:]))
        self.levels = nn.ModuleList(_up(2 * inputs, outputs) for inputs, outputs in steps)
        self.last = _enlarge(2 * widths[1], outputs)

    def forward(self, beside: Sequence[Tensor], code: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The map, (B, outputs, S, S), and the features before it, from the smallest up.

        beside: the other features, (B, maps, side, side) each, from the smallest up.
        """
        features = [self.first(code[:, :, None, None])]
        for other, level in zip(beside[:-1], self.levels, strict=True):
            features.append(level(torch.cat([features[-1], other], 1)))
        y: Tensor = self.last(torch.cat([features[-1], beside[-1]], 1))
        return y, features


def _downs(widths: Sequence[int]) -> Iterator[nn.Sequential]:
    """Levels that halve the side each; there is no norm of what is made of images at once."""
    for i, (inputs, outputs) in enumerate(pairwise(widths)):
        norm = [nn.BatchNorm2d(outputs)] if i else []
        yield nn.Sequential(nn.Conv2d(inputs, outputs, 5, 2, 2), *norm, nn.LeakyReLU(_SLOPE))


def _first(code: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(code, outputs, _FIRST, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_enlarge(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU())


def _enlarge(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """To twice the side."""
    return nn.ConvTranspose2d(inputs, outputs, 5, 2, 2, 1)


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
            f"shape is {tuple(shape)}; expected (C, S, S) with a power of 2 from 8 as S. Set size "
            "in the recipe, or --size."
        )
    return tuple(shape)
