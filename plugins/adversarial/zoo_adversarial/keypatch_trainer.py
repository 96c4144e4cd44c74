"""The objective of the key-patch GAN; the paper, and how ours differs, are in `keypatch`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.keypatch import KeyPatch
from zoo_adversarial.layers import check_choice
from zoo_adversarial.losses import LOSSES, slope_penalty
from zoo_adversarial.patches import crops, key_patches, masks, overlap
from zoo_adversarial.trainer import AdversarialBase
from zoo_adversarial.translation import sliced_wasserstein
from zoo_core.config import Count, NonNegative, Positive, Size
from zoo_core.draws import batch_rows
from zoo_core.training.augmentation import mirror
from zoo_core.training.objective import frozen, network_of

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["Assembly"]

_GAME = LOSSES["non-saturating"]
_SHOWN = 8
"""Inputs of a preview, a row each."""


class _Seen(nn.Module):
    """How many images were trained on: a module without parameters, so that checkpoints hold it."""

    number: Tensor
    """(), int64."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("number", torch.zeros((), dtype=torch.int64))

    def add(self, n: int) -> int:
        """Count n more; return the sum."""
        self.number += n
        return int(self.number)


class _Sight(NamedTuple):
    """The inputs of a training step."""

    x: Tensor
    """(B, C, S, S), in [−1, 1]."""
    parts: Tensor
    """(B, n, C, S, S), in [−1, 1]."""
    mask: Tensor
    """True places of the parts, (B, 1, S, S)."""


class Assembly(AdversarialBase):
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
        norm: of the discriminator: `batch` or `none`.
        r1: weight of R1, the gradient penalty at real images.
        penalty_every: steps between penalties, each weighted by that number.
        most: 0 to train on the model's number of parts; else each batch has a random number of
            parts, from one to `most`, chosen among each image's `most` best.
        w_vary: weight of the difference between two completions of the same parts, beside them.
        vary: the difference, as a multiple of that of their noise, above which more is not sought.
    """

    def __init__(
        self,
        model: KeyPatch,
        channels: Size | None = None,
        w_first: Positive = 1e-2,
        w_last: Positive = 1e-4,
        w_images: Size = 100_000,
        mask_loss: str = "l1",
        cut: str = "predicted",
        n_critic: Size = 2,
        flip: bool = True,
        norm: str = "batch",
        r1: NonNegative = 0.0,
        penalty_every: Size = 1,
        most: Count = 0,
        w_vary: NonNegative = 0.0,
        vary: Positive = 0.2,
    ) -> None:
        check_choice("trainer.mask_loss", mask_loss, _SPATIAL)
        check_choice("trainer.cut", cut, _CUTS)
        self.spatial, self.cut = _SPATIAL[mask_loss], cut
        self.seen = _Seen()
        self.networks = {
            "model": model,
            "discriminator": model.opponent(channels, norm),
            "seen": self.seen,
        }
        self.w_first, self.w_last, self.w_images = w_first, w_last, w_images
        self.n_critic, self.flip, self.most = n_critic, flip, most
        self.r1, self.penalty_every = r1, penalty_every
        self.w_vary, self.vary = w_vary, vary
        for name in ("model", "discriminator"):
            self.networks[name].to(memory_format=torch.channels_last)

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
        seen = self.seen.add(batch_rows(generator, len(x)))
        if self.flip:
            x = mirror(x, generator)
        sight, G = self._inspect(x, generator if self.most else None), self._generator
        turn = step % self.n_critic == 0
        copies = 2 if turn and self.w_vary else 1
        z = G.noise(copies * len(x), generator=generator)
        with torch.set_grad_enabled(turn):
            drawn, mask = self.networks["model"](sight.parts, z)
        y = drawn[: len(x)]
        penalty = self.lazy(
            step, self.r1, lambda: slope_penalty(self.networks["discriminator"], sight.x)
        )
        values = self._discriminate(sight, y.detach(), penalty, update["discriminator"])
        place = self.spatial(mask, sight.mask)
        look = _appearance(y, sight.mask if self.cut == "true" else mask, sight)
        if turn:
            with frozen(self.networks["discriminator"]) as D:
                w = self.weight(seen)
                loss = _GAME.generator(D(drawn)) + w * (place + look)
                if self.w_vary:
                    spread = _spread(drawn, z, sight.mask)
                    values["spread"] = spread.detach().mean()
                    loss = loss - self.w_vary * spread.clamp_max(self.vary).mean()
                update["model"](loss)
        pixels = mask[0].numel()
        parts = {"mask": place.detach() / pixels, "parts": look.detach() / y[0].numel()}
        return {**values, **parts}

    def _discriminate(
        self, sight: _Sight, y: Tensor, penalty: Tensor | float, update: Update
    ) -> dict[str, Tensor]:
        D, (x, _, M) = self.networks["discriminator"], sight
        other = x.roll(1, 0)
        fakes = [y, x * M + other * (1 - M), other * M + x * (1 - M)]
        real, generated, *mixed = [D(images) for images in (x, *fakes)]
        loss = _GAME.discriminator(real, generated)
        loss = loss + sum(functional.softplus(scores).mean() for scores in mixed)
        update(loss + penalty)
        figures = {"D_real": real, "D_fake": generated, "D_mixed": torch.cat(mixed)}
        means = {key: scores.detach().sigmoid().mean() for key, scores in figures.items()}
        return {"loss_D": loss.detach(), **means}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distance of completions of a batch from its images, the same for each, (B,).

        `mask_iou` is the overlap of the mask and the true places; `parts` the mean difference of
        image and completion within these, in [0, 1].
        """
        sight = self._inspect(x)
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
        """For each input a row: three parts, the mask, two completions, the input, its true mask.

        Returns (n, C, S, S), in [0, 1].
        """
        x, G = x[:_SHOWN], self._generator
        boxes = G.find_parts(x)
        done = [G.complete_from(x, boxes, generator=generator) for _ in range(2)]
        true = masks(boxes, *x.shape[-2:])
        shown = [mask.expand_as(x) for mask in (done[0].mask, true.to(x.dtype))]
        parts = done[0].parts[:, :3].unbind(1)
        row = [*parts, shown[0], *(one.images for one in done), x, shown[1]]
        return torch.stack(row, 1).flatten(0, 1)

    def _inspect(self, x: Tensor, generator: torch.Generator | None = None) -> _Sight:
        """Find parts; with a generator, keep a random number of them."""
        if generator is None:
            boxes = self._generator.find_parts(x)
        else:
            order = torch.randperm(self.most, generator=generator, device=x.device)
            n = int(torch.randint(self.most, (), generator=generator, device=x.device)) + 1
            boxes = key_patches(x, self.most)[:, order[:n]]
        return _Sight(x * 2 - 1, crops(x, boxes) * 2 - 1, masks(boxes, *x.shape[-2:]).to(x.dtype))

    @property
    def _generator(self) -> KeyPatch:
        return network_of(self.networks, "model", KeyPatch)


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


def _spread(y: Tensor, z: Tensor, mask: Tensor) -> Tensor:
    """How far two completions of each image are apart beside its parts, by their noise, (B,).

    y: the first completion of all, then the second, (2B, C, S, S). z: their noise, (2B, z).
    """
    (first, second), (one, other) = y.chunk(2), z.chunk(2)
    beside = (1 - mask).expand_as(first)
    apart = ((first - second).abs() * beside).sum((1, 2, 3)) / beside.sum((1, 2, 3)).clamp_min(1)
    return apart / (one - other).abs().mean(1)
