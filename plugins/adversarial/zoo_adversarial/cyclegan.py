"""CycleGAN: unpaired image-to-image translation by two mutually inverse generators.

Zhu, Park, Isola & Efros 2017, Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks (arXiv 1703.10593). As in the paper: residual generators with instance norm and
reflection padding, patch discriminators, least squares, cycle loss (weight 10), identity loss (half
of that), a pool of 50 generated images, weights ~ N(0, 0.02), Adam with β1 = 0.5.

Differences from the paper:
- Widths fit a processor: 16, 32, 64 maps, where the paper has 64, 128, 256; the recipe has 4
  residual blocks, where the paper has 6 at 128 pixels.
- The paper's patches are 70x70 of 256x256 pixels. With two convolutions of stride 2, not three, the
  recipe's are 34x34 of 64x64 (`layers=2`); `layers=1` sees 16x16, `layers=3` the paper's 70x70.
- A batch holds a few images of each domain, how many of each by chance; the paper takes one of
  each. Norms are per image, so that a batch changes only the noise of the gradient.
- The identity loss, which the paper adds for paintings only, is always used, as in the authors'
  code. Random horizontal flips are an option that the recipe does not take: faces have a parting.
- The recipe enlarges maps by nearest neighbours before a convolution (`up`): transposed ones leave
  a grid of dots on surfaces of one colour.
- A recipe may shift, rotate and scale the discriminators' inputs (Zhao et al. 2020, Differentiable
  Augmentation), which memorize a few hundred images of a domain otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from zoo_adversarial.layers import UP, check_choice, enlarge
from zoo_adversarial.losses import LOSSES, slope_penalty
from zoo_adversarial.trainer import AdversarialBase
from zoo_adversarial.translation import (
    ImagePool,
    Residual,
    checked_domains,
    checked_labels,
    conv_norm,
    domain_of,
    image_shape,
    instance_norm,
    round_trip,
)
from zoo_core.checks import check_inputs
from zoo_core.config import Count, NonNegative, Rate, Size
from zoo_core.training.augmentation import jitter, mirror
from zoo_core.training.objective import frozen, network_of

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["Cycle", "CycleGAN", "PatchGAN"]

_POOL = 50
_KERNEL = (3, 2, 1)
"""Of convolutions that halve or double a side: side, stride and padding."""
_SHOWN = 32
"""Images of a preview."""
_GAME = LOSSES["least-squares"]


class CycleGAN(nn.Module):
    """Both generators, one for each direction.

    Args:
        shape: of an image, (C, H, W); sides are multiples of 4, from 8.
        domains: the two names, in the order of the data's classes.
        channels: feature maps at full size; twice and four times as many at a half and a quarter.
        blocks: residual blocks.
        up: how maps are enlarged: by `transposed` convolutions as in the paper, or by `nearest`
            neighbours and a convolution, which leaves no grid.
    """

    def __init__(
        self,
        shape: Sequence[int],
        domains: Sequence[str] = ("a", "b"),
        channels: int = 16,
        blocks: int = 6,
        up: str = "transposed",
    ) -> None:
        super().__init__()
        check_choice("up", up, UP)
        self.event_shape = image_shape(shape)
        self.domains = checked_domains(domains, 2, 2)
        self.into = nn.ModuleList(_generator(shape[0], channels, blocks, up) for _ in range(2))

    def forward(self, x: Tensor, to: int) -> Tensor:
        """Translate images into a domain.

        x: (B, *event_shape), in [−1, 1]. Returns the same shape and range.
        """
        y: Tensor = self.into[to](x)
        return y

    def translate(self, x: Tensor, to: str) -> Tensor:
        """Translate images into a domain, (B, *event_shape), in [0, 1].

        x: images of the other domain, (B, *event_shape), in [0, 1].

        Raises UnknownName for an unknown domain.
        """
        check_inputs(self, x)
        y: Tensor = self(x * 2 - 1, domain_of(to, self.domains))
        return (y + 1) / 2


class PatchGAN(nn.Module):
    """A patch discriminator for each domain.

    Args:
        inputs: channels of an image.
        channels: feature maps of the first layer.
        layers: convolutions of stride 2; 1, 2 and 3 see patches of 16, 34 and 70 pixels.
        normed: whether it has instance norm.
    """

    def __init__(self, inputs: int, channels: int, layers: int, normed: bool = True) -> None:
        super().__init__()
        self.of = nn.ModuleList(_patches(inputs, channels, layers, normed) for _ in range(2))

    def forward(self, x: Tensor, domain: int) -> Tensor:
        """Score of each patch in a domain, (B, 1, h, w).

        x: (B, C, H, W), in [−1, 1].
        """
        y: Tensor = self.of[domain](x)
        return y


class Cycle(AdversarialBase):
    """Trains both generators against both discriminators.

    Args:
        model: a CycleGAN.
        channels: feature maps of the discriminators' first layer.
        layers: their convolutions of stride 2.
        w_adversarial: weight of deceiving the discriminators.
        w_cycle: weight of the cycle loss, |x − round trip|.
        w_identity: weight of the identity loss, |x − x translated into its own domain|.
        pool: past generated images that are kept for each discriminator.
        shift: largest random shift of the discriminators' inputs, as a share of the side.
        turn: their largest rotation, in degrees.
        zoom: the largest change of their scale, as a share.
        flip: whether to flip half of the training images horizontally.
        r1: weight of R1, the gradient penalty at real images, which takes the place of norms in
            the discriminators.
        r1_every: steps between two such penalties, each weighted by that number.
    """

    unsharded: ClassVar[str] = "the domains of its rows decide which weights a process uses"

    def __init__(
        self,
        model: CycleGAN,
        channels: Size = 32,
        layers: Size = 1,
        w_adversarial: NonNegative = 1.0,
        w_cycle: NonNegative = 10.0,
        w_identity: NonNegative = 5.0,
        pool: Count = _POOL,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
        flip: bool = True,
        r1: NonNegative = 0.0,
        r1_every: Size = 8,
    ) -> None:
        self.r1, self.penalty_every = r1, r1_every
        shape = model.event_shape
        self.domains = model.domains
        self.networks = {
            "model": model,
            "discriminator": PatchGAN(shape[0], channels, layers, normed=not r1),
            "pool": ImagePool(2, pool, shape),
        }
        self.w_adversarial, self.w_cycle, self.w_identity = w_adversarial, w_cycle, w_identity
        self.jitter, self.flip = (shift, turn, zoom), flip

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """One step of the generators, one of the discriminators.

        x: images of both domains, (B, C, H, W), in [0, 1].
        labels: 0 or 1, the domain of each, (B,), int64.
        """
        domain = checked_labels(labels, self.domains)
        x = (mirror(x, generator) if self.flip else x) * 2 - 1
        G = self.networks["model"]
        into = [G(x, to) for to in (0, 1)]
        fakes = [into[to][domain != to] for to in (0, 1)]

        identity = _all([(into[to] - x)[domain == to] for to in (0, 1)]).abs().mean()
        back = [G(fakes[1 - a], a) - x[domain == a] for a in (0, 1) if (domain == a).any()]
        cycle = _all(back).abs().mean()
        with frozen(self.networks["discriminator"]):
            deceit = _GAME.generator(self._scores(fakes, generator))
            update["model"](
                self.w_adversarial * deceit + self.w_cycle * cycle + self.w_identity * identity
            )
        pool = network_of(self.networks, "pool", ImagePool)
        past = [pool.exchange(to, fake.detach(), generator) for to, fake in enumerate(fakes)]
        real = [x[domain == a] for a in (0, 1)]
        loss_D = _GAME.discriminator(self._scores(real, generator), self._scores(past, generator))
        update["discriminator"](loss_D + self.lazy(step, self.r1, partial(self._slopes, real)))
        values = {"cycle": cycle, "identity": identity, "deceit": deceit, "loss_D": loss_D}
        return {key: value.detach() for key, value in values.items()}

    def _slopes(self, real: Sequence[Tensor]) -> Tensor:
        """R1 of each domain's images, at the mean score of their patches."""
        D = self.networks["discriminator"]
        slopes = [
            len(x) * slope_penalty(partial(_mean_score, D, to), x)
            for to, x in enumerate(real)
            if len(x)
        ]
        return torch.stack(slopes).sum() / sum(map(len, real))

    def _scores(self, images: Sequence[Tensor], generator: torch.Generator) -> Tensor:
        """The scores of all patches, (n,), of each domain's images by its own discriminator."""
        D = self.networks["discriminator"]
        seen = [(to, x) for to, x in enumerate(images) if len(x)]
        return _all([D(jitter(x, *self.jitter, generator), to) for to, x in seen])

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distances of translations from their domain's images, and of images from round trips."""
        domain = checked_labels(labels, self.domains)
        return round_trip(self.networks["model"], x, domain, 2, generator)

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """Images, each before its translation into the other domain, in [0, 1]."""
        domain, G = checked_labels(labels, self.domains), self.networks["model"]
        z = x[:_SHOWN] * 2 - 1
        into = torch.stack([G(z, to) for to in (0, 1)])
        other = into[1 - domain[:_SHOWN], torch.arange(len(z), device=x.device)]
        return ((torch.stack([z, other], 1) + 1) / 2).flatten(0, 1)


def _mean_score(D: nn.Module, domain: int, x: Tensor) -> Tensor:
    """The mean score of each image's patches, (B,)."""
    y: Tensor = D(x, domain)
    return y.flatten(1).mean(1)


def _all(parts: Sequence[Tensor]) -> Tensor:
    """The values of all parts, (n,): domains may have different numbers of images."""
    return torch.cat([part.flatten() for part in parts])


def _generator(C: int, maps: int, blocks: int, up: str) -> nn.Sequential:
    """c7s1-k, d2k, d4k, R4k…, u2k, uk, c7s1-C, in the paper's notation."""
    network = nn.Sequential(
        *conv_norm(
            nn.Conv2d(C, maps, 7, padding=3, padding_mode="reflect", bias=False), affine=False
        ),
        *conv_norm(nn.Conv2d(maps, 2 * maps, *_KERNEL, bias=False), affine=False),
        *conv_norm(nn.Conv2d(2 * maps, 4 * maps, *_KERNEL, bias=False), affine=False),
        *(Residual(4 * maps, "reflect", affine=False) for _ in range(blocks)),
        *conv_norm(enlarge(up, 4 * maps, 2 * maps, _KERNEL, 1, bias=False), affine=False),
        *conv_norm(enlarge(up, 2 * maps, maps, _KERNEL, 1, bias=False), affine=False),
        nn.Conv2d(maps, C, 7, padding=3, padding_mode="reflect"),
        nn.Tanh(),
    )
    return network.apply(_initialise)


def _patches(C: int, maps: int, layers: int, normed: bool) -> nn.Sequential:
    """Ck without norm, C2k, … of stride 2, one of stride 1, and the scores."""
    sizes = [maps * 2 ** min(i, 3) for i in range(layers + 1)]
    network = nn.Sequential(nn.Conv2d(C, maps, 4, 2 if layers else 1, 1), nn.LeakyReLU(0.2))
    for i in range(1, layers + 1):
        stride = 2 if i < layers else 1
        network.append(nn.Conv2d(sizes[i - 1], sizes[i], 4, stride, 1, bias=not normed))
        if normed:
            network.append(instance_norm(sizes[i]))
        network.append(nn.LeakyReLU(0.2))
    network.append(nn.Conv2d(sizes[-1], 1, 4, 1, 1))
    return network.apply(_initialise) if normed else network  # small weights need norms


def _initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
