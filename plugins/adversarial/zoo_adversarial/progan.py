"""Progressive GAN: generator and discriminator grow from 4x4 to the full resolution.

Karras, Aila, Laine & Lehtinen 2018, Progressive Growing of GANs for Improved Quality, Stability,
and Variation (arXiv 1710.10196). Stage s works at 4·2^s pixels. While stage s fades in, the
generator gives (1 − α)·up(toRGB_{s−1}) + α·toRGB_s, the discriminator mixes its two inputs in the
same way, and real images are blurred accordingly; up is nearest neighbour, down the mean of 2x2.

As in the paper: equalised learning rate, pixel norm on z and after each convolution of the
generator, the minibatch's standard deviation as one more map at 4x4, WGAN-GP (weight 10) with drift
(0.001), one discriminator step for each generator step, Adam with β1 = 0, whose moments
are reset when a stage begins and when it is complete (the authors' code), an exponential moving
average of the generator (the training loop's).

Differences from the paper:
- Widths fit a processor: `progan.faces` has 128, 96, 64, 32, 16 maps at 4 to 64 pixels, where the
  paper has 512, 512, 512, 512, 256; z has 128 variables, the paper's 512.
- Its recipe has a relativistic loss with R1 and R2, and a learning rate of 0.005, since its stages
  see tens of thousands of images; the paper's 0.001 is for 1.2 million.
- A stage fades in over 600,000 images, then trains on as many, unless a recipe says otherwise. All
  stages have the same batch size.
- The toRGB layers of earlier stages keep training, by least squares from their stage's features to
  the final image at their resolution, with no other loss and without gradients to other layers: a
  trained network shows what each stage adds (`growth`). In the paper they stop when the next stage
  has faded in, and no longer match the layers below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.layers import up_conv2d
from zoo_core import draws
from zoo_core.checks import check_latents, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.export import Function, Value

__all__ = ["Critic", "ProGAN"]

_FIRST = 4
"""Side of the first stage's images."""
_EPS = 1e-8
_SLOPE = 0.2


class Growth(NamedTuple):
    """How far a network has grown."""

    stage: int
    """The current stage, complete or fading in; images have sides of 4·2^stage pixels."""
    alpha: float = 1.0
    """How far it has faded in, α, in [0, 1]."""

    @property
    def reached(self) -> float:
        """The stage as a real number, stage − 1 + α."""
        return self.stage - 1 + self.alpha


class ProGAN(nn.Module):
    """The generator.

    Args:
        shape: of an image, (C, H, W), where H = W = 4·2^s.
        z: number of latents.
        channels: feature maps of each stage, from 4x4 up.
    """

    prior = "normal"
    seen: Tensor
    """Images seen in training, (), int64."""
    grown: Tensor
    """The stage, and α as a fraction of whole numbers, (3,), int64."""

    def __init__(
        self,
        shape: Sequence[int],
        z: int = 128,
        channels: Sequence[int] = (96, 96, 64, 32, 16),
    ) -> None:
        super().__init__()
        self.event_shape = _check_shape(shape, channels)
        self.latent_dim = z
        self.channels = tuple(channels)
        self.first = _First(z, channels[0])
        self.blocks = nn.ModuleList(_Up(below, above) for below, above in pairwise(channels))
        self.to_rgb = nn.ModuleList(Conv(maps, shape[0], 1, gain=1.0) for maps in channels)
        # integers: copied by a moving average, and saved in checkpoints
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("grown", torch.tensor([0, 1, 1]))
        self.register_load_state_dict_post_hook(_check_growth)  # type: ignore[no-untyped-call] # of torch

    @property
    def growth_now(self) -> Growth:
        """How far the network has grown."""
        stage, faded, fade = self.grown.tolist()
        return Growth(stage, faded / fade)

    def forward(self, z: Tensor, stage: int, alpha: float = 1.0) -> Tensor:
        """Images of a stage.

        z: latents, (n, latent_dim), as `normalise` gives them.
        alpha: how far the stage has faded in; 0 is the stage before, upsampled.

        Returns (n, C, 4·2^stage, 4·2^stage), about in [−1, 1].
        """
        return self.images(self.feature_maps(z, stage), alpha)

    def feature_maps(self, z: Tensor, stage: int, temperature: float = 1.0) -> list[Tensor]:
        """Feature maps of each stage up to one, [(n, channels[s], 4·2^s, 4·2^s), …]."""
        maps = [self.first(z)]
        if temperature != 1:
            maps = [torch.lerp(self._centre(), maps[0], temperature)]
        for block in self.blocks[:stage]:
            maps.append(block(maps[-1]))
        return maps

    def images(self, features: Sequence[Tensor], alpha: float = 1.0) -> Tensor:
        """Images of the last of some feature maps, faded in, about in [−1, 1]."""
        stage = len(features) - 1
        x: Tensor = self.to_rgb[stage](features[-1])
        if not stage or alpha == 1:
            return x
        return torch.lerp(up(self.to_rgb[stage - 1](features[-2])), x, alpha)

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Sample n latents from N(0, I), (n, latent_dim)."""
        check_sampling(n, shape=(self.latent_dim,))
        weight = self.first.dense.weight
        return draws.randn(
            n, self.latent_dim, generator=generator, device=weight.device, dtype=weight.dtype
        )

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [0, 1].

        Only the direction of z matters. A network that has not grown up gives enlarged images.
        """
        check_latents(self, z)
        return self._decode(z, *self.growth_now)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature: how far the features at 4x4 are from their mean; towards 0 all images become
            one. (A factor on z would not matter, and a bound of z not much.)
        """
        check_sampling(n, temperature, self.event_shape)
        stage, alpha = self.growth_now
        z = normalise(self.latent(n, generator=generator))
        return self._finish(self.images(self.feature_maps(z, stage, temperature), alpha))

    def growth(self, n: int, *, generator: torch.Generator | None = None) -> list[Tensor]:
        """Generate n images at the resolution of each stage so far.

        Returns [(n, C, 4, 4), (n, C, 8, 8), …], in [0, 1].
        """
        return self._stages(self.latent(n, generator=generator), *self.growth_now)

    def opponent(self) -> Critic:
        """A discriminator of the same widths."""
        return Critic(self.event_shape, self.channels)

    def readout_loss(self, features: Sequence[Tensor], x: Tensor) -> Tensor:
        """Squared error of the earlier stages' toRGB against images x, (n, C, H, W), downsampled.

        Only these layers get a gradient.
        """
        loss, target = x.new_zeros(()), x.detach()
        for maps, to_rgb in reversed(list(zip(features[:-1], self.to_rgb, strict=False))):
            target = down(target)
            loss = loss + functional.mse_loss(to_rgb(maps.detach()), target)
        return loss

    def _centre(self) -> Tensor:
        """The mean of the features at 4x4 over a thousand latents, always the same."""
        seeded = torch.Generator(self.first.dense.weight.device).manual_seed(0)
        mean: Tensor = self.first(normalise(self.latent(1000, generator=seeded))).mean(0)
        return mean

    def exports(self) -> list[Function]:
        """Decoding as far as the network has grown, and the image of each stage for one latent."""
        stage, alpha = self.growth_now  # numbers, before a graph is traced
        z = Value("z", ("n", self.latent_dim))
        sides = [_FIRST << s for s in range(stage + 1)]
        images = [Value(f"x{s}", ("n", self.event_shape[0], s, s), 0.0, 1.0) for s in sides]
        x = Value("x", ("n", *self.event_shape), 0.0, 1.0)
        decode = partial(self._decode, stage=stage, alpha=alpha)
        stages = partial(self._stages, stage=stage, alpha=alpha)
        return [
            Function("decode", "Latents to images", decode, (z,), (x,)),
            Function("growth", "An image as each stage has it", stages, (z,), tuple(images)),
        ]

    def _decode(self, z: Tensor, stage: int, alpha: float) -> Tensor:
        return self._finish(self(normalise(z), stage, alpha))

    def _stages(self, z: Tensor, stage: int, alpha: float) -> list[Tensor]:
        """Images of each stage at its own resolution, in [0, 1]; the last is faded in by α."""
        maps = self.feature_maps(normalise(z), stage)
        return [
            _to_unit(self.images(maps[: s + 1], alpha if s == stage else 1.0))
            for s in range(stage + 1)
        ]

    def _finish(self, x: Tensor) -> Tensor:
        return _to_unit(up(x, self.event_shape[-1] // x.shape[-1]))


class Critic(nn.Module):
    """The discriminator: the generator's mirror image. Its output is a real number.

    Args:
        shape: of an image, as the generator's.
        channels: feature maps of each stage, as the generator's.
    """

    def __init__(self, shape: Sequence[int], channels: Sequence[int]) -> None:
        super().__init__()
        _check_shape(shape, channels)
        self.from_rgb = nn.ModuleList(Conv(shape[0], maps, 1) for maps in channels)
        self.blocks = nn.ModuleList(_Down(above, below) for below, above in pairwise(channels))
        maps = channels[0]
        self.last = Conv(maps + 1, maps, 3)
        self.dense = Linear(maps * _FIRST**2, maps)
        self.score = Linear(maps, 1, gain=1.0)

    def forward(self, x: Tensor, alpha: float = 1.0) -> Tensor:
        """Scores of images, (n,), higher for real ones.

        x: images of a stage, (n, C, 4·2^s, 4·2^s), about in [−1, 1]; a score also depends on the
            deviation over the batch.
        alpha: how much of the stage has faded in.
        """
        stage = int(math.log2(x.shape[-1] // _FIRST))
        h = _leaky(self.from_rgb[stage](x))
        for s in range(stage, 0, -1):
            h = self.blocks[s - 1](h)
            if s == stage and alpha < 1:
                h = torch.lerp(_leaky(self.from_rgb[s - 1](down(x))), h, alpha)
        h = _leaky(self.last(with_deviation(h)))
        score: Tensor = self.score(_leaky(self.dense(h.flatten(1))))
        return score.squeeze(1)


def _check_growth(progan: nn.Module, _: object) -> None:
    """Refuse weights that have grown to an unknown stage."""
    assert isinstance(progan, ProGAN)
    if progan.grown.is_meta:
        return
    stage, faded, fade = progan.grown.tolist()
    if not (0 <= stage < len(progan.channels) and 0 <= faded <= fade and fade > 0):
        raise ValueError(f"grown is {[stage, faded, fade]}, no stage of the network")


# Layers


class Linear(nn.Module):
    """A dense layer of equalised learning rate: weights ~ N(0, 1) are scaled when they are used."""

    def __init__(self, inputs: int, outputs: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(outputs, inputs)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs) to (n, outputs)."""
        return functional.linear(x, self.weight * self.scale, self.bias)


class Conv(nn.Module):
    """A convolution of equalised learning rate, which keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = math.sqrt(2)) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(outputs, inputs, kernel, kernel)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs * kernel**2)
        self.padding = kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, H, W) to (n, outputs, H, W)."""
        return functional.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)

    def upscale(self, x: Tensor) -> Tensor:
        """Upsample by 2 (nearest neighbour) and convolve: (n, outputs, 2H, 2W)."""
        return up_conv2d(x, self.weight * self.scale, self.bias)


class _First(nn.Module):
    """From latents to 4x4 maps."""

    def __init__(self, z: int, maps: int) -> None:
        super().__init__()
        # the gain of the authors' code
        self.dense = Linear(z, maps * _FIRST**2, gain=math.sqrt(2) / 4)
        self.conv = Conv(maps, maps, 3)

    def forward(self, z: Tensor) -> Tensor:
        h = self.dense(z).unflatten(1, (-1, _FIRST, _FIRST))
        return normalise(_leaky(self.conv(normalise(_leaky(h)))))


class _Up(nn.Module):
    """A stage of the generator, which doubles the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, outputs, 3)
        self.conv2 = Conv(outputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = normalise(_leaky(self.conv1.upscale(x)))
        return normalise(_leaky(self.conv2(h)))


class _Down(nn.Module):
    """A stage of the discriminator, which halves the side."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = Conv(inputs, inputs, 3)
        self.conv2 = Conv(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return down(_leaky(self.conv2(_leaky(self.conv1(x)))))


def normalise(x: Tensor) -> Tensor:
    """Pixel norm: scale the channels of each place, (n, C, …), to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + _EPS)


def with_deviation(x: Tensor) -> Tensor:
    """Append a constant map: the mean standard deviation over the batch.

    x: (n, C, H, W). Returns (n, C + 1, H, W).
    """
    deviation = (x.var(0, correction=0) + _EPS).sqrt().mean()
    return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)


def up(x: Tensor, factor: int = 2) -> Tensor:
    """Upsample (n, C, H, W) by nearest neighbours."""
    return x if factor == 1 else functional.interpolate(x, scale_factor=factor, mode="nearest")


def down(x: Tensor, factor: int = 2) -> Tensor:
    """Downsample (n, C, H, W) by averaging."""
    return x if factor == 1 else functional.avg_pool2d(x, factor)


def fade(x: Tensor, stage: int, alpha: float) -> Tensor:
    """Real images at the resolution of a stage, blended with the stage before as it fades in.

    x: (n, C, H, W). Returns (n, C, 4·2^stage, 4·2^stage).
    """
    x = down(x, x.shape[-1] // (_FIRST << stage))
    return x if alpha == 1 else torch.lerp(up(down(x)), x, alpha)


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


def _to_unit(x: Tensor) -> Tensor:
    return ((x + 1) / 2).clamp(0, 1)


def _check_shape(shape: Sequence[int], channels: Sequence[int]) -> tuple[int, int, int]:
    """The shape of an image, which the number of stages must fit."""
    side = _FIRST << (len(channels) - 1) if channels else 0
    if len(shape) != 3 or tuple(shape[1:]) != (side, side):
        raise InvalidInput(
            f"shape is {tuple(shape)} and channels {list(channels)}; expected square images of "
            f"side 4, 8, 16, … and a number of channels for each of these: here (C, {side}, {side})"
            " or another list."
        )
    return shape[0], side, side
