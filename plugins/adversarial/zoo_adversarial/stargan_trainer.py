"""The objective of StarGAN; the paper, and how ours differs, are in `stargan`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.losses import gradient_penalty, loss_of, slope_penalty
from zoo_adversarial.stargan import Judge, StarGAN
from zoo_adversarial.trainer import AdversarialBase
from zoo_adversarial.translation import checked_labels, round_trip
from zoo_core.config import NonNegative, Rate, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.augmentation import jitter, mirror
from zoo_core.training.objective import frozen, unwrapped

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["Star"]

_VALIDATED = 50
"""Images of a validation batch that are translated into a domain of each of several groups."""
_UNKNOWN = -1
"""The domain of an image in a group whose domains its data do not name."""
_SHOWN = 8
"""Images of a preview, and the domains that they are shown in."""


class Star(AdversarialBase):
    """Trains the generator against the discriminator.

    Args:
        model: a StarGAN.
        channels: feature maps of the discriminator's first layer.
        loss: a name of `zoo_adversarial.losses.LOSSES`.
        n_critic: discriminator steps per generator step.
        w_penalty: weight of the gradient penalty, for losses that have one.
        w_domain: weight of the classification loss.
        w_reconstruction: weight of |x − round trip|.
        shift: largest random shift of the discriminator's inputs, as a share of the side.
        turn: their largest rotation, in degrees.
        zoom: the largest change of their scale, as a share.
        flip: whether to flip half of the training images horizontally.
        r1: weight of R1, the gradient penalty at real images, of the score and of the logits of
            their domains: imperceptible patterns then no longer pass for a domain.
        r1_every: steps between two such penalties, each weighted by that number.
        incomplete: whether the domain of an image may be unknown in some groups, as where data
            sets with different labels are joined; in a label's number each group then has one
            more value, the last, for that.
    """

    def __init__(
        self,
        model: StarGAN,
        channels: Size = 24,
        loss: str = "wgan-gp",
        n_critic: Size = 5,
        w_penalty: NonNegative = 10.0,
        w_domain: NonNegative = 1.0,
        w_reconstruction: NonNegative = 10.0,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
        flip: bool = True,
        r1: NonNegative = 0.0,
        r1_every: Size = 8,
        incomplete: bool = False,
    ) -> None:
        self.r1, self.penalty_every = r1, r1_every
        self.domains, self.groups, self.incomplete = model.domains, model.groups, incomplete
        self.networks = {
            "model": model,
            "discriminator": Judge(model.event_shape, len(model.domains), channels),
        }
        self.game, self.n_critic, self.w_penalty = loss_of(loss, paired=False), n_critic, w_penalty
        self.w_domain, self.w_reconstruction = w_domain, w_reconstruction
        self.jitter, self.flip = (shift, turn, zoom), flip

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        """A discriminator step, and every `n_critic` steps a generator step.

        x: images of all domains, (B, C, H, W), in [0, 1].
        labels: the domain of each, (B,), int64.
        """
        source = self._values(labels)
        x = (mirror(x, generator) if self.flip else x) * 2 - 1
        wanted = self._change(source, generator)
        turn = step % self.n_critic == 0
        with torch.set_grad_enabled(turn):
            fake = self.networks["model"](x, wanted.to)
        values = self._discriminate(
            x, source, fake.detach(), update["discriminator"], generator, step
        )
        if turn:
            self._translate(x, fake, wanted, update["model"], generator)
        return values

    def _values(self, labels: Tensor | None) -> Tensor:
        """Which domain of each group images are of, (B, groups), int64, from 0 in each group.

        A domain that is unknown is -1.
        """
        if len(self.groups) == 1 and not self.incomplete:
            return checked_labels(labels, self.domains)[:, None]
        sizes = [size + self.incomplete for size in self.groups]
        if labels is None or int(labels.max()) >= math.prod(sizes):
            and_unknown = ", with one more for an unknown domain," if self.incomplete else ""
            raise InvalidInput(
                f"the groups {list(self.groups)}{and_unknown} have {math.prod(sizes)} "
                "combinations; expected labels below that number, each the one that an image's "
                "domains make."
            )
        values = torch.stack(torch.unravel_index(labels, sizes), 1)
        values[values == torch.tensor(self.groups, device=values.device)] = _UNKNOWN
        if (values == _UNKNOWN).all(1).any():
            raise InvalidInput(
                "an image's domains are unknown in every group; expected one that is known."
            )
        return values

    def _change(self, source: Tensor, generator: torch.Generator) -> _Wanted:
        """Change one group of each image to another image's domain, and leave the others.

        In that group the domains of both are known.
        """
        B, count = source.shape
        mixed = source.clone()
        for each in mixed.unbind(1):  # the batch's own domains in another order, as the authors do
            named = (each != _UNKNOWN).nonzero().squeeze(1)
            order = torch.randperm(len(named), generator=generator, device=source.device)
            each[named] = each[named[order]]
        group = torch.zeros(B, dtype=torch.int64, device=source.device)
        if count > 1:
            known = (source != _UNKNOWN).float()
            group = torch.multinomial(known, 1, generator=generator).squeeze(1)
        first = torch.tensor([0, *self.groups[:-1]], device=source.device).cumsum(0)[group]
        rows = torch.arange(B, device=source.device)
        values = source.clone()
        values[rows, group] = mixed[rows, group]
        return _Wanted(first + values[rows, group], first + source[rows, group], values)

    def _discriminate(
        self,
        x: Tensor,
        source: Tensor,
        fake: Tensor,
        update: Update,
        generator: torch.Generator,
        step: int,
    ) -> dict[str, Tensor]:
        D = self.networks["discriminator"]
        seen = jitter(torch.cat([x, fake]), *self.jitter, generator)
        scores, logits = D(seen)
        real, generated = scores.chunk(2)
        domain = self._cross_entropy(logits[: len(x)], source)
        loss = self.game.discriminator(real, generated) + self.w_domain * domain
        if self.game.penalised:
            x, fake = seen.chunk(2)
            with unwrapped(self.networks, "discriminator"):
                D = self.networks["discriminator"]
                penalty = gradient_penalty(lambda x: D(x)[0].mean(1), x, fake, generator)
            loss = loss + self.w_penalty * penalty
        certainty = partial(self._certainty, source)
        update(loss + self.lazy(step, self.r1, lambda: slope_penalty(certainty, seen[: len(x)])))
        return {"distance": (real - generated).detach().mean(), "domain": domain.detach()}

    def _certainty(self, source: Tensor, x: Tensor) -> Tensor:
        """The score of each image and the logits of its domains together, (B,)."""
        scores, logits = self.networks["discriminator"](x)
        total: Tensor = scores.mean(1)
        for part, y in zip(logits.split(self.groups, 1), source.unbind(1), strict=True):
            logit = part.gather(1, y.clamp(min=0)[:, None]).squeeze(1)
            total = total + logit * (y != _UNKNOWN)
        return total

    def _cross_entropy(self, logits: Tensor, values: Tensor) -> Tensor:
        """The sum over the groups of −log of the probability of each image's domain, a mean, ().

        The mean of a group is over the images whose domain is known.

        logits: (B, domains). values: (B, groups), int64, from 0 in each group.
        """
        total = logits.new_zeros(())
        for part, value in zip(logits.split(self.groups, 1), values.unbind(1), strict=True):
            each = functional.cross_entropy(part, value, ignore_index=_UNKNOWN, reduction="sum")
            total = total + each / (value != _UNKNOWN).sum().clamp(min=1)
        return total

    def _translate(
        self, x: Tensor, fake: Tensor, wanted: _Wanted, update: Update, generator: torch.Generator
    ) -> None:
        reconstruction = (self.networks["model"](fake, wanted.back) - x).abs().mean()
        with frozen(self.networks["discriminator"]) as D:
            scores, logits = D(jitter(fake, *self.jitter, generator))
            update(
                self.game.generator(scores)
                + self.w_domain * self._cross_entropy(logits, wanted.values)
                + self.w_reconstruction * reconstruction
            )

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distance of translations from their domain's images, and of images from their round trip.

        With several groups it is the mean over them, for the first images of a batch.
        """
        values, G, first, B = self._values(labels), self.networks["model"], 0, len(x)
        if len(self.groups) > 1:
            x, values = x[:_VALIDATED], values[:_VALIDATED]
        found = []
        for size, domain in zip(self.groups, values.unbind(1), strict=True):
            into, known = partial(_translate_within, G, first), domain != _UNKNOWN
            if known.any():
                found.append(round_trip(into, x[known], domain[known], size, generator))
            first += size
        if len(self.groups) == 1:
            return found[0]
        means = {key: torch.stack([each[key].mean() for each in found]) for key in found[0]}
        return {key: each.mean().expand(B) for key, each in means.items()}

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """Images, each before its translations into domains from all groups, in [0, 1]."""
        x = x[:_SHOWN]
        places = torch.linspace(0, len(self.domains) - 1, _SHOWN - 1).round().long().unique()
        shown = [x, *((self.networks["model"](2 * x - 1, int(to)) + 1) / 2 for to in places)]
        return torch.stack(shown, 1).flatten(0, 1)


class _Wanted(NamedTuple):
    """The targets of translations."""

    to: Tensor
    """The requested domain, (B,), int64, among all domains."""
    back: Tensor
    """The one of the same group that undoes it, (B,)."""
    values: Tensor
    """The domain of each group, (B, groups), int64, from 0 in each group."""


def _translate_within(G: nn.Module, first: int, x: Tensor, to: int) -> Tensor:
    """Translate into a domain of a group, whose domains begin at `first`."""
    y: Tensor = G(x, first + to)
    return y
