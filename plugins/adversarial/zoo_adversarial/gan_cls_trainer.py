"""The objective of GAN-CLS; the paper, and how ours differs, are in `gan_cls`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.gan_cls import GANCLS, Matcher
from zoo_adversarial.losses import LOSSES, slope_penalty
from zoo_adversarial.text import WORDS, Characters, Whitening
from zoo_adversarial.trainer import AdversarialBase, diversity, remark_on
from zoo_adversarial.translation import sliced_wasserstein
from zoo_core.config import Count, NonNegative, Rate, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.augmentation import jitter
from zoo_core.training.objective import frozen, network_of

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["Matching"]

_GAME = LOSSES["non-saturating"]
_SHOWN = 32
"""Inputs of a preview, each beside a generated image of its text."""


class Matching(AdversarialBase):
    """Trains both networks, with texts in place of labels.

    Args:
        model: a GANCLS.
        channels: feature maps of the discriminator at half size; the generator's by default.
        w_between: weight of the interpolation term (INT); 0 is GAN-CLS alone.
        w_joint: weight of the joint embedding of images and texts.
        shift: largest random shift of the discriminator's inputs, as a share of the side.
        turn: their largest rotation, in degrees.
        zoom: the largest change of their scale, as a share.
        r1: weight of R1, the gradient penalty at real images with their own texts.
        penalty_every: steps between penalties, each weighted by that number.
        pretrain: steps in which the joint embedding alone is trained, with the discriminator's
            layers as the encoder of images; the encoder of texts is then frozen.
        w_predict: weight, in the generator's loss, of the squared error between its image's place
            in the joint embedding and the code of the text; it needs `pretrain`.
        w_words: weight, in `pretrain`, of the errors by which the words of a text are predicted
            from its code and from its image's place in the joint embedding.
    """

    unsharded: ClassVar[str] = "its steps copy weights from one network to the other"

    def __init__(
        self,
        model: GANCLS,
        channels: Size | None = None,
        w_between: NonNegative = 1.0,
        w_joint: NonNegative = 1.0,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
        r1: NonNegative = 0.0,
        penalty_every: Size = 1,
        pretrain: Count = 0,
        w_predict: NonNegative = 0.0,
        w_words: NonNegative = 0.0,
    ) -> None:
        if model.judge is not None and channels not in (None, model.channels):
            raise InvalidInput(
                f"trainer.channels is {channels}, but a model that keeps its discriminator has as "
                f"many in both: {model.channels}. Leave trainer.channels or config.judge out."
            )
        if bool(pretrain) != (model.match == "projection"):
            raise InvalidInput(
                f"trainer.pretrain is {pretrain}, but config.match is {model.match!r}: codes of a "
                "pretrained encoder are matched by projection, and no others. Set match = "
                "'projection' and pretrain to a number of steps, or neither."
            )
        if w_predict and not pretrain:
            raise InvalidInput(
                f"trainer.w_predict is {w_predict}, but codes are predicted of a pretrained "
                "encoder alone. Set trainer.pretrain to a number of steps, or leave w_predict out."
            )
        if w_words and not (pretrain and isinstance(model.text, Characters)):
            raise InvalidInput(
                f"trainer.w_words is {w_words}, but words are predicted while an encoder of "
                "characters is pretrained. Set trainer.pretrain to a number of steps and "
                "config.encoder to 'characters', or leave w_words out."
            )
        D = model.opponent(channels, words=WORDS if w_words else 0)
        model.text.load_state_dict(D.text.state_dict())
        self.tokens = model.text.tokens
        self.networks = {"model": model, "discriminator": D}
        self.w_between, self.w_joint = w_between, w_joint
        self.r1, self.penalty_every = r1, penalty_every
        self.pretrain, self.w_predict, self.w_words = pretrain, w_predict, w_words
        self.jitter = shift, turn, zoom
        for network in (model.network, D.trunk, D.head):
            network.to(memory_format=torch.channels_last)

    def read_captions(self, texts: Sequence[str]) -> Tensor:
        """The tokens of captions, (n, size).

        Raises InvalidInput for a caption that the model cannot read.
        """
        return self.tokens(texts)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
        step: int = 1,
    ) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator on the same images.

        The first `pretrain` steps are of the joint embedding alone.

        x: images, (B, C, H, W), in [0, 1].
        labels: their captions, (B, size), as `read_captions` gives them.
        """
        G, D, tokens = self._generator, self._matcher, _captions(labels)
        G.remember(tokens)
        if step <= self.pretrain:
            return self._embed(x, tokens, update["discriminator"], step)
        code = self._read(tokens)
        wanted = code.detach()
        if self.w_between:
            wanted = torch.cat([wanted, (wanted + wanted.roll(1, 0)) / 2])
        noise = G.noise(len(x), generator=generator).repeat(len(wanted) // len(x), 1)
        fake = G(torch.cat([noise, wanted], 1))

        real, generated = (jitter(z, *self.jitter, generator) for z in (x * 2 - 1, fake[: len(x)]))
        penalty = self.lazy(step, self.r1, partial(self._slopes, real, code.detach()))
        h, generated_h = D.features(real), D.features(generated.detach())
        values = self._discriminate(h, generated_h, tokens, code, penalty, update["discriminator"])
        with frozen(D):
            seen = D.features(jitter(fake, *self.jitter, generator))
            fitting, halfway = D(seen, wanted).split([len(x), len(wanted) - len(x)])
            loss_G = _GAME.generator(fitting)
            if self.w_predict:
                loss_G = loss_G + self.w_predict * _error(D, seen[: len(x)], code)
            if self.w_between:
                loss_G = loss_G + self.w_between * _GAME.generator(halfway)
            update["model"](loss_G)
        self._hand_over()
        return {**values, "loss_G": loss_G.detach(), "D_fake": fitting.detach().sigmoid().mean()}

    def _embed(self, x: Tensor, tokens: Tensor, update: Update, step: int) -> dict[str, Tensor]:
        """One step of the joint embedding; from the last one on, codes are whitened.

        That step also copies the encoder to the generator, and sets the embedding of images to
        zero, since codes have changed.
        """
        D = self._matcher
        code, h = D.read(tokens), D.features(x * 2 - 1)
        joint = _joint_loss(D.compare(h, code), tokens)
        words = self._predict_words(torch.cat([code, D.embed(h)]), tokens, step)
        update(joint + self.w_words * sum(words.values()))
        whitening = D.text.whitening
        assert isinstance(whitening, Whitening)
        whitening.observe(code.detach())
        if step == self.pretrain:
            whitening.settle()
            for parameter in D.embedding.parameters():
                nn.init.zeros_(parameter)
            self._hand_over()
        return {"joint": joint.detach(), **{key: value.detach() for key, value in words.items()}}

    def _predict_words(self, places: Tensor, tokens: Tensor, step: int) -> dict[str, Tensor]:
        """Negative log likelihood of texts' words, nats, where words are predicted.

        In the first step, words become as probable as they are in its batch.

        places: in the joint embedding, of texts and then of images, (2B, code).
        """
        layer, text = self._matcher.words, self._matcher.text
        if layer is None or not isinstance(text, Characters):
            return {}
        words = text.words(tokens)
        if step == 1:
            with torch.no_grad():
                layer.weight.zero_()
                layer.bias.copy_(((words.sum(0) + 0.1) / (len(words) + 0.2)).logit())
        errors = functional.binary_cross_entropy_with_logits(
            layer(places), words.repeat(2, 1).to(places.dtype), reduction="none"
        )
        return {"words": 2 * errors.sum(1).mean()}

    def _read(self, tokens: Tensor) -> Tensor:
        """The discriminator's codes of texts, (B, code), without a gradient if it was pretrained.

        Whitening amplifies rounding errors, so these codes are computed in full precision.
        """
        if not self.pretrain:
            return self._matcher.read(tokens)
        with torch.no_grad(), torch.autocast(tokens.device.type, enabled=False):
            return self._matcher.read(tokens)

    def _slopes(self, real: Tensor, code: Tensor) -> Tensor:
        """R1.

        real: images, (B, C, H, W), in [−1, 1]. code: of their texts, (B, code).
        """
        D = self._matcher
        return slope_penalty(lambda x: D(D.features(x), code), real)

    def _discriminate(
        self,
        h: Tensor,
        generated_h: Tensor,
        tokens: Tensor,
        code: Tensor,
        penalty: Tensor | float,
        update: Update,
    ) -> dict[str, Tensor]:
        """One step of the discriminator, by its features of images and of generated ones."""
        D, other = self._matcher, tokens.roll(1, 0)
        real, wrong, generated = D(h, code), D(h, code.roll(1, 0)), D(generated_h, code)
        misfits = (tokens != other).any(1).to(code.dtype)
        wrong_loss = (functional.softplus(wrong) * misfits).sum() / misfits.sum().clamp_min(1)
        loss = functional.softplus(-real).mean()
        loss = loss + (wrong_loss + functional.softplus(generated).mean()) / 2
        joint = _error(D, h, code) if self.pretrain else _joint_loss(D.compare(h, code), tokens)
        update(loss + self.w_joint * joint + penalty)
        figures = {"D_real": real, "D_wrong": wrong}
        means = {key: scores.detach().sigmoid().mean() for key, scores in figures.items()}
        return {"loss_D": loss.detach(), "joint": joint.detach(), **means}

    @torch.no_grad()
    def _hand_over(self) -> None:
        """Copy the text encoder, and the discriminator where it is kept, to the generator."""
        G, D = self._generator.text, self._matcher.text
        G.load_state_dict(D.state_dict())
        if self._generator.judge is not None:
            state = self._matcher.state_dict()
            judge = self._generator.judge
            judge.load_state_dict({key: state[key] for key in judge.state_dict()})

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distance of samples of the same texts from a batch of images, the same for each, (B,).

        `prefers_own` is 1 where the discriminator scores an image's own text above another;
        `diversity` is the mean distance between samples, as a share of that between images.
        """
        D, tokens = self._matcher, _captions(labels)
        samples = self._sample(tokens, generator)
        distance = sliced_wasserstein(samples, x, generator)
        h, code = D.features(x * 2 - 1), D.read(tokens)
        own = D(h, code) > D(h, code.roll(1, 0))
        return {
            "sliced_wasserstein": distance.expand(len(x)),
            "diversity": diversity(samples, x).expand(len(x)),
            "prefers_own": own.to(x.dtype),
        }

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """Inputs, and beside each a generated image of its text: (n, *event_shape), in [0, 1].

        x, labels: as in `training_step`, of texts that were not trained on.
        """
        x, tokens = x[:_SHOWN], _captions(labels)[:_SHOWN]
        return torch.stack([x, self._sample(tokens, generator)], 1).flatten(0, 1)

    def remark(self, values: Mapping[str, float]) -> str:
        """A warning where samples lack diversity, else nothing."""
        return remark_on(values["diversity"], " or another seed")

    def _sample(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
        """An image of each text, (n, *event_shape), in [0, 1]."""
        G = self._generator
        noise = G.noise(len(tokens), generator=generator)
        return G.decode(torch.cat([noise, G.text(tokens)], 1))

    @property
    def _generator(self) -> GANCLS:
        return network_of(self.networks, "model", GANCLS)

    @property
    def _matcher(self) -> Matcher:
        return network_of(self.networks, "discriminator", Matcher)


def _captions(labels: Tensor | None) -> Tensor:
    if labels is None or labels.ndim != 2:
        raise InvalidInput(
            "the data have no captions; expected a data set with a column `text` or `caption`."
        )
    return labels


def _error(D: Matcher, h: Tensor, code: Tensor) -> Tensor:
    """Mean squared error of images' places in the joint embedding from their texts' codes, ().

    h: features of images. code: (n, code).
    """
    return functional.mse_loss(D.embed(h).to(code.dtype), code)


def _joint_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each image's own text among a batch's, and of each text's own image, ().

    Texts that equal an image's own are not counted among the others.

    logits: (B, B), of images by texts. tokens: of the texts, (B, size).
    """
    own = torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
    alike = (tokens[:, None] == tokens).all(2) & ~own
    others = logits.masked_fill(alike, -math.inf)
    place = torch.arange(len(tokens), device=tokens.device)
    return functional.cross_entropy(others, place) + functional.cross_entropy(others.T, place)
