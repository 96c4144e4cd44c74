"""StarGAN: one generator translates between any two of several domains.

Choi et al. 2018, StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image
Translation (arXiv 1711.09020). As in the paper: the target domain enters as planes beside the
image, zero padding, instance norm with scale and shift, a discriminator without norm that
classifies patches as real or translated, and the domain, WGAN-GP (weight 10), classification loss
(1), reconstruction loss (L1, 10), Adam with β1 = 0.5, random horizontal flips.

Differences from the paper:
- Widths fit a processor: the generator has 16, 32, 64 maps where the paper has 64, 128, 256, and 4
  residual blocks (3 in the entry) for 6; the discriminator starts with 24 maps for 64. It halves
  images to 2x2, as the paper's does: five times at 64 pixels.
- The recipe uses least squares, with one discriminator step per generator step; the paper WGAN-GP
  with five. In few steps that does not learn to classify domains: of emoji in four styles it was at
  chance (1.39 nats) after 350 batches of 8, with one step for one, where least squares were at 1.01
  nats after 160.
- A recipe may shift, rotate and scale the discriminator's inputs (Zhao et al. 2020, Differentiable
  Augmentation). Of few images it memorizes each otherwise, and accepts imperceptible patterns: with
  5,324 emoji a separately trained classifier saw the target style in 55 % of translations of
  held-out names after three epochs, and in 60 % after eight; with it, in 70 % after two, and in
  77 % after ten.

Domains may come in groups, such as colours of hair and kinds of beards: an image is of one domain
of each group, and a translation changes one group and leaves the others. As in the paper the
discriminator names one of each, and learns from translations that the others stayed. Data sets with
different labels can be joined (`Star(incomplete=True)`): the paper's mask vector hides the labels
that a data set lacks, and here a domain says by its place of which data set's labels it is. More
differences are options, which the recipe of faces takes:
- The generator is given the target domain alone, where the paper gives the target values of all
  attributes. So an input's own domains need not be known: those that are not requested stay.
- `condition = "norms"`: the domain scales and shifts the norms of the residual blocks (Dumoulin et
  al. 2017). Instance norm removes planes of one value, except at the border.
- `mask`: the generator predicts where it changes an image, as in GANimation (Pumarola et al. 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.layers import UpConv2d, check_choice
from zoo_adversarial.translation import (
    Residual,
    checked_domains,
    conv_norm,
    domain_of,
    image_shape,
    instance_norm,
)
from zoo_core.checks import check_inputs
from zoo_core.errors import InvalidInput
from zoo_core.export import Function, Value

__all__ = ["Judge", "StarGAN"]

_SLOPE = 0.01
_CONDITIONS = ("planes", "norms")


class StarGAN(nn.Module):
    """The generator.

    Args:
        shape: of an image, (C, H, W); sides are multiples of 4, from 8.
        domains: their names, in the order of the data's classes.
        channels: feature maps at full size; twice and four times as many at a half and a quarter.
        blocks: residual blocks.
        groups: how many domains each group has, where there are several; the domains are those of
            the first group, then those of the second, and so on.
        condition: how the target domain enters: as `planes` beside the image, or by `norms`.
        mask: whether the generator predicts where it changes an image.
    """

    def __init__(
        self,
        shape: Sequence[int],
        domains: Sequence[str] = ("a", "b"),
        channels: int = 16,
        blocks: int = 4,
        groups: Sequence[int] = (),
        condition: str = "planes",
        mask: bool = False,
    ) -> None:
        super().__init__()
        self.event_shape = image_shape(shape)
        self.domains = checked_domains(domains, 2)
        self.groups = _checked_groups(groups, len(self.domains))
        check_choice("condition", condition, _CONDITIONS)
        self.planes, self.mask = condition == "planes", mask
        C, maps = shape[0], channels
        if not self.planes:
            self.network: nn.Module = _Conditioned(C, C + mask, maps, blocks, len(self.domains))
            return
        self.network = nn.Sequential(
            *conv_norm(nn.Conv2d(C + len(self.domains), maps, 7, 1, 3, bias=False), affine=True),
            *conv_norm(nn.Conv2d(maps, 2 * maps, 4, 2, 1, bias=False), affine=True),
            *conv_norm(nn.Conv2d(2 * maps, 4 * maps, 4, 2, 1, bias=False), affine=True),
            *(Residual(4 * maps, "zeros", affine=True) for _ in range(blocks)),
            *conv_norm(nn.ConvTranspose2d(4 * maps, 2 * maps, 4, 2, 1, bias=False), affine=True),
            *conv_norm(nn.ConvTranspose2d(2 * maps, maps, 4, 2, 1, bias=False), affine=True),
            nn.Conv2d(maps, C + mask, 7, 1, 3, bias=False),
            *(() if mask else (nn.Tanh(),)),
        )

    def forward(self, x: Tensor, to: Tensor | int) -> Tensor:
        """Translate each image into a domain of its own, or all into one.

        x: (B, *event_shape), in [−1, 1]. Returns the same shape and range.
        to: (B,), int64, or a number.
        """
        each = torch.as_tensor(to, device=x.device).expand(x.shape[0])
        y = self._planes(x, each) if self.planes else self.network(x, each)
        if not self.mask:
            return y.tanh() if not self.planes else y
        colours, where = y[:, :-1].tanh(), y[:, -1:].sigmoid()
        return torch.lerp(x, colours.to(x.dtype), where.to(x.dtype))

    def _planes(self, x: Tensor, each: Tensor) -> Tensor:
        """The network's output where domains are planes beside the image."""
        planes = functional.one_hot(each, len(self.domains)).to(x.dtype)[:, :, None, None]
        planes = planes.expand(-1, -1, *x.shape[2:])
        y: Tensor = self.network(torch.cat([x, planes], 1))
        return y

    def translate(self, x: Tensor, to: str) -> Tensor:
        """Translate images into a domain, (B, *event_shape), in [0, 1].

        x: images of any domain, (B, *event_shape), in [0, 1].

        Raises UnknownName for an unknown domain.
        """
        check_inputs(self, x)
        return self._translated(x, domain_of(to, self.domains))

    def _translated(self, x: Tensor, to: Tensor | int) -> Tensor:
        y: Tensor = self(x * 2 - 1, to)
        return (y + 1) / 2

    def exports(self) -> list[Function]:
        """The translation of each image into a domain of its own: one file holds all domains."""
        x = Value("x", ("n", *self.event_shape), 0.0, 1.0)
        to = Value("to", ("n",), 0, len(self.domains) - 1, dtype="int64")
        what = "Each image in the domain that has this place among the domains, from 0"
        return [Function("translate", what, self._translated, (x, to), (replace(x, name="y"),))]


class _Conditioned(nn.Module):
    """The generator's network, whose residual blocks have norms of each domain's own."""

    def __init__(self, C: int, outputs: int, maps: int, blocks: int, domains: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            *conv_norm(nn.Conv2d(C, maps, 7, 1, 3, bias=False), affine=True),
            *conv_norm(nn.Conv2d(maps, 2 * maps, 4, 2, 1, bias=False), affine=True),
            *conv_norm(nn.Conv2d(2 * maps, 4 * maps, 4, 2, 1, bias=False), affine=True),
        )
        self.blocks = nn.ModuleList(_Block(4 * maps, domains) for _ in range(blocks))
        self.up = nn.Sequential(
            UpConv2d(4 * maps, 2 * maps),
            instance_norm(2 * maps, affine=True),
            nn.ReLU(),
            UpConv2d(2 * maps, maps),
            instance_norm(maps, affine=True),
            nn.ReLU(),
            nn.Conv2d(maps, outputs, 7, 1, 3),
        )

    def forward(self, x: Tensor, to: Tensor) -> Tensor:
        """Map images (B, C, H, W) and domains (B,) to (B, outputs, H, W)."""
        h = self.down(x)
        for block in self.blocks:
            h = block(h, to)
        y: Tensor = self.up(h)
        return y


class _Block(nn.Module):
    """x + two 3x3 convolutions; each domain scales and shifts their norms in its own way."""

    def __init__(self, maps: int, domains: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(maps, maps, 3, padding=1, bias=False) for _ in range(2)
        )
        self.norm = instance_norm(maps)
        styles = [nn.Embedding(domains, 2 * maps) for _ in range(2)]
        self.styles = nn.ModuleList(styles)
        for style in styles:
            nn.init.normal_(style.weight, 0.0, 0.1)

    def forward(self, x: Tensor, to: Tensor) -> Tensor:
        """(B, maps, H, W) to the same, for domains (B,)."""
        h = x
        for i, (conv, style) in enumerate(zip(self.convs, self.styles, strict=True)):
            scale, shift = style(to)[:, :, None, None].chunk(2, 1)
            h = self.norm(conv(h)) * (1 + scale) + shift
            h = functional.relu(h) if i == 0 else h
        return x + h


def _checked_groups(groups: Sequence[int], domains: int) -> tuple[int, ...]:
    """How many domains each group has; by default one group has all of them."""
    sizes = tuple(groups) or (domains,)
    if sum(sizes) != domains or min(sizes) < 2:
        raise InvalidInput(
            f"groups is {list(sizes)}; expected numbers of domains, from 2, whose sum is {domains}."
        )
    return sizes


class Judge(nn.Module):
    """The discriminator: a score for real images, and the logits of the domain.

    Args:
        shape: of an image, as the generator's.
        domains: how many there are.
        channels: feature maps of the first layer; each of the others has twice as many.
    """

    def __init__(self, shape: Sequence[int], domains: int, channels: int) -> None:
        super().__init__()
        C, H, W = shape
        halvings = int(math.log2(min(H, W))) - 1
        sizes = [C, *(channels << i for i in range(halvings))]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        self.trunk = nn.Sequential(*layers)
        self.source = nn.Conv2d(sizes[-1], 1, 3, 1, 1, bias=False)
        side = (H >> halvings, W >> halvings)
        self.domain = nn.Conv2d(sizes[-1], domains, side, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The scores of the patches, (B, patches), and the logits of the domains, (B, domains).

        x: (B, C, H, W), in [−1, 1].
        """
        h = self.trunk(x)
        return self.source(h).flatten(1), self.domain(h).flatten(1)
