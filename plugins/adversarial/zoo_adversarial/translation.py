"""Shared by image translation models: layers, an image pool, losses and distances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import InvalidInput, UnknownName, did_you_mean
from zoo_core.text import SHORT, quoted

__all__ = [
    "ImagePool",
    "Residual",
    "checked_domains",
    "checked_labels",
    "conv_norm",
    "domain_of",
    "image_shape",
    "instance_norm",
    "round_trip",
    "sliced_wasserstein",
]


class Residual(nn.Module):
    """x + two 3x3 convolutions, each with instance norm.

    Args:
        maps: channels of x.
        padding: `reflect` or `zeros`.
        affine: whether the norms scale and shift.
    """

    def __init__(self, maps: int, padding: Literal["reflect", "zeros"], affine: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(maps, maps, 3, padding=1, padding_mode=padding, bias=False),
            instance_norm(maps, affine),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, padding=1, padding_mode=padding, bias=False),
            instance_norm(maps, affine),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, maps, H, W) to the same."""
        return x.add(self.block(x))


def conv_norm(layer: nn.Conv2d | nn.ConvTranspose2d, affine: bool) -> list[nn.Module]:
    """A convolution, instance norm and ReLU.

    affine: whether the norm scales and shifts.
    """
    return [layer, instance_norm(layer.out_channels, affine), nn.ReLU()]


def instance_norm(maps: int, affine: bool = False) -> nn.GroupNorm:
    """Instance norm as group norm: torch's own makes a training step a tenth longer.

    affine: whether it scales and shifts.
    """
    return nn.GroupNorm(maps, maps, affine=affine)


class ImagePool(nn.Module):
    """A pool of past generated images for the discriminator (Shrivastava 2017).

    A module without parameters, so that checkpoints include it.

    Args:
        pools: how many separate ones.
        size: images in each; 0 keeps none.
        shape: of an image, (C, H, W).
    """

    images: Tensor
    """(pools, size, *shape)."""
    held: Tensor
    """How many of them are there, (pools,), int64."""

    def __init__(self, pools: int, size: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(pools, size, *shape))
        self.register_buffer("held", torch.zeros(pools, dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, pool: int, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images to show instead of x, (B, *shape).

        They are x itself until the pool is full; then half of them, by chance, change places with
        images of the pool.

        x: (B, *shape); B may be 0.
        """
        images, shown = self.images[pool], []
        for image in x:
            held = int(self.held[pool])
            if held < len(images):
                images[held] = image
                self.held[pool] += 1
                shown.append(image)
                continue
            u, v = torch.rand(2, generator=generator, device=x.device).tolist()
            if not len(images) or u < 0.5:
                shown.append(image)
                continue
            place = int(v * len(images))
            shown.append(images[place].clone())
            images[place] = image
        return torch.stack(shown) if shown else x


def sliced_wasserstein(
    x: Tensor, y: Tensor, generator: torch.Generator, directions: int = 256
) -> Tensor:
    """Mean distance of two sets of images along random directions, (), at 16x16 and in full.

    x, y: as many images each, (n, C, H, W), in [0, 1].
    """
    total = x.new_zeros(())
    for factor in {1, max(1, x.shape[-1] // 16)}:
        a, b = (functional.avg_pool2d(images, factor).flatten(1) for images in (x, y))
        lines = torch.randn(
            a.shape[1], directions, generator=generator, device=x.device, dtype=x.dtype
        )
        lines = lines / lines.norm(dim=0)
        total = total + ((a @ lines).sort(0).values - (b @ lines).sort(0).values).abs().mean()
    return total


def round_trip(
    G: Callable[[Tensor, int], Tensor],
    x: Tensor,
    domain: Tensor,
    domains: int,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """How good translations are, without pairs: (B,) each.

    `sliced_wasserstein` is the distance of translations from images of the domain that they are
    made for, a mean over domains and so the same for each input; a domain that the batch lacks
    counts as 0. `cycle` is how far each image is from itself, there and back, in [0, 1].

    G: translates images of one domain into another, in [−1, 1].
    x: images, (B, C, H, W), in [0, 1]; each is translated into the domain after its own.
    domain: (B,), int64.
    """
    z, distance, cycle = x * 2 - 1, x.new_zeros(()), x.new_zeros(len(x))
    for to in range(domains):
        here = domain == (source := (to - 1) % domains)
        if not here.any():
            continue
        fake = G(z[here], to)
        cycle[here] = (G(fake, source) - z[here]).abs().mean((1, 2, 3)) / 2
        target = x[domain == to][: len(fake)]
        if len(target):
            shown = (fake[: len(target)] + 1) / 2
            distance = distance + sliced_wasserstein(shown, target, generator) / domains
    return {"sliced_wasserstein": distance.expand(len(x)), "cycle": cycle}


def image_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape (C, H, W) whose sides can be halved twice, to 2 or more.

    Raises InvalidInput for another one.
    """
    if len(shape) != 3 or any(side < 8 or side % 4 for side in shape[1:]):
        raise InvalidInput(
            f"shape is {tuple(shape)}; expected (C, H, W) with sides that are multiples of 4, from "
            "8. Set size in the recipe to bring images there."
        )
    return tuple(shape)


def checked_domains(domains: Sequence[str], least: int, most: int | None = None) -> tuple[str, ...]:
    """The names of domains, if there are as many as a model takes.

    Raises InvalidInput where there are not, or two are alike.
    """
    names = tuple(domains)
    wrong = len(names) < least or (most is not None and len(names) > most)
    if wrong or len(set(names)) < len(names):
        number = f"{least}" if least == most else f"{least} or more"
        raise InvalidInput(f"domains is {list(names)}; expected {number} different names.")
    return names


def domain_of(name: str, domains: Sequence[str]) -> int:
    """The place of a domain.

    Raises UnknownName for one that the model does not know, InvalidInput for what is no name.
    """
    if not isinstance(name, str):
        raise InvalidInput(
            f"the domain is {quoted(name, SHORT)}, {type(name).__name__}; expected a name: "
            f"{' or '.join(domains)}."
        )
    if name not in domains:
        raise UnknownName(
            f"{quoted(name, SHORT)} is no domain of this model.{did_you_mean(name, domains)} "
            f"It translates to {', '.join(domains)}."
        )
    return list(domains).index(name)


def checked_labels(labels: Tensor | None, domains: Sequence[str]) -> Tensor:
    """The domain of each training image, (B,), int64.

    Raises InvalidInput where the data do not say.
    """
    if labels is None:
        raise InvalidInput(
            f"the data have no labels; expected images of {len(domains)} domains: a data set with "
            "classes, or a folder with a sub-folder for each domain."
        )
    if len(labels) and int(labels.max()) >= len(domains):
        raise InvalidInput(
            f"the data have the label {int(labels.max())}, but the model knows the domains "
            f"{', '.join(domains)}. Leave config.domains out to take the classes of the data."
        )
    return labels
