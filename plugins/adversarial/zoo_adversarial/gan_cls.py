"""GAN-CLS: text-to-image generation, by a discriminator that also sees mismatched texts.

Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016, Generative Adversarial Text to Image Synthesis
(arXiv 1605.05396). As in the paper: z ~ N(0, I), a text code φ(t) that each network compresses with
leaky ReLU and that the discriminator lays beside each place of its 4x4 maps, residual blocks at the
two coarsest sizes of the generator,

    L_D = −log D(x, φ(t)) − ½ log(1 − D(x, φ(t̂))) − ½ log(1 − D(G(z, φ(t)), φ(t)))

where t̂ is another image's text (CLS), and in the generator's loss a second term of codes halfway
between two texts, ½ φ(t₁) + ½ φ(t₂), for which there are no images (INT); Adam with β1 = 0.5.

Differences from the paper:
- φ, characters through convolutions and a recurrent layer, averaged over time, is not trained
  beforehand on a joint embedding of images and texts, but with the discriminator, whose features
  are the images' part of it; the generator has a copy of φ. The embedding's loss, beside L_D, is
  the cross-entropy of finding a batch's texts by its images and its images by its texts, for the
  authors' hinge. By L_D alone, which compares two texts an image, codes of all names came to lie
  in a plane: after eight epochs of emoji two directions held 93 % of their variance.
- Texts are names of a few words, not sentences: up to 48 characters of 37, two convolutions with
one
  pooling layer, a GRU. A sentence encoder can be used instead.
- Widths fit a processor: 16 maps at half size in either network, where the authors have 128 in the
  generator and 64 in the discriminator.
- t̂ is the text of the batch's next image, and so is t₂; where both have one text, as an emoji of
  two styles has, the pair is left out of CLS.
- The recipes shift, rotate and scale the discriminator's inputs (Zhao et al. 2020, Differentiable
  Augmentation): otherwise it memorizes the 5,324 emoji. There are no flips: names have left and
  right.
- Without a prompt, texts are sampled from the first 64 training texts.
- A model can keep the discriminator (`judge`), which scores how well a text fits an image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.layers import LatentGenerator, Unflatten, divisible_shape, initialise
from zoo_adversarial.losses import LOSSES
from zoo_adversarial.text import Characters, Sentences, text_encoder
from zoo_adversarial.trainer import diversity, remark_on
from zoo_adversarial.translation import sliced_wasserstein
from zoo_core.errors import InvalidInput
from zoo_core.training.augmentation import jittered
from zoo_core.training.objective import frozen, network_of

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = ["GANCLS", "Matcher", "Matching"]

_GAME = LOSSES["non-saturating"]
_SLOPE = 0.2
_KNOWN = 64
"""Training captions that a model keeps."""
_SHOWN = 32
"""Inputs of a preview, each beside an image of its text."""


class GANCLS(LatentGenerator):
    """The prompt-conditioned generator. Its latents are z, followed by the code of a text.

    Args:
        shape: of an image, (C, H, W); sides are multiples of 16.
        z: number of latents that are noise.
        channels: feature maps at half size; twice as many at each size below.
        compressed: features of the compressed text code.
        encoder: `characters`, or a sentence encoder of sentence-transformers: its name, a folder
            or a package that contains it.
        code: features of a text's code; a sentence encoder has its own number.
        alphabet: supported characters; upper case is lowered unless listed.
        length: largest number of characters of a text.
        judge: whether to keep the discriminator, for `fits`.
    """

    known: Tensor
    """Texts to sample from without a prompt, (64, size), as `text.tokens` returns them."""
    held: Tensor
    """Number of known texts, (), int64."""

    def __init__(
        self,
        shape: Sequence[int],
        z: int = 100,
        channels: int = 16,
        compressed: int = 128,
        encoder: str = "characters",
        code: int = 128,
        alphabet: str = " 0123456789abcdefghijklmnopqrstuvwxyz",
        length: int = 48,
        judge: bool = False,
    ) -> None:
        super().__init__(divisible_shape(shape, 16), z + code)
        self.z, self.channels, self.compressed = z, channels, compressed
        self.reader = partial(text_encoder, encoder, code, alphabet, length)
        self.text = self.reader().requires_grad_(False)  # what it learns, the discriminator does
        self.compress = nn.Sequential(nn.Linear(code, compressed), nn.LeakyReLU(_SLOPE))
        self.network = _decoder(z + compressed, self.event_shape, channels).apply(initialise)
        self.register_buffer("known", self.text.tokens([]).new_zeros(_KNOWN, self.text.size))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))
        self.judge = self.opponent().requires_grad_(False) if judge else None

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        noise, code = z[:, : self.z], z[:, self.z :]
        y: Tensor = self.network(torch.cat([noise, self.compress(code)], 1))
        return y

    def noise(
        self, n: int, *, generator: torch.Generator | None = None, truncation: float = math.inf
    ) -> Tensor:
        """Draw what an image is beside its text, (n, z), from N(0, I) within ±truncation."""
        return self._noise(n, self.z, generator, truncation)

    def latent(
        self, n: int, *, generator: torch.Generator | None = None, truncation: float = math.inf
    ) -> Tensor:
        """Sample n latents, (n, latent_dim): noise, and codes of texts known from training."""
        noise = self.noise(n, generator=generator, truncation=truncation)
        held = max(1, int(self.held))
        place = torch.randint(held, (n,), generator=generator, device=noise.device)
        return torch.cat([noise, self.text(self.known[place])], 1)

    def read(self, texts: Sequence[str]) -> Tensor:
        """The codes of texts, (n, code).

        Raises InvalidInput for one that the model cannot read, and says what it can.
        """
        code: Tensor = self.text(self.text.tokens(texts).to(self.known.device))
        return code

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        truncation: float = math.inf,
        prompt: str | Tensor | None = None,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature: scales the noise; towards 0, images of the same text become the same.
        truncation: bound of the noise.
        prompt: a text for all, a code for all, (1, code), or one for each, (n, code); None samples
            training texts.
        """
        z = self.latent(n, generator=generator, truncation=truncation)
        noise, code = temperature * z[:, : self.z], z[:, self.z :]
        if prompt is not None:
            code = self.read([prompt]) if isinstance(prompt, str) else prompt
        return self.decode(torch.cat([noise, code.expand(n, -1)], 1))

    def fits(self, x: Tensor, texts: Sequence[str]) -> Tensor:
        """The discriminator's logits of how well each image fits its text, (n,).

        x: images, (n, *event_shape), in [0, 1]. texts: one for each.

        Raises InvalidInput for a model that keeps no discriminator, and as `read`.
        """
        if self.judge is None:
            raise InvalidInput(
                "this model has not kept its discriminator, so it cannot say whether a text fits. "
                "A recipe's config.judge = true keeps it."
            )
        code = self.judge.read(self.text.tokens(texts).to(x.device))
        fit: Tensor = self.judge(self.judge.features(x * 2 - 1), code)
        return fit

    @torch.no_grad()
    def remember(self, tokens: Tensor) -> None:
        """Keep training texts, (n, size), as prompts by default, up to the limit."""
        held = int(self.held)
        more = tokens[: _KNOWN - held]
        self.known[held : held + len(more)] = more
        self.held.add_(len(more))

    def opponent(self, channels: int | None = None) -> Matcher:
        """Make a discriminator with its own text encoder.

        channels: feature maps of its first layer at half size; the generator's by default.
        """
        return Matcher(self.event_shape, channels or self.channels, self.compressed, self.reader())


class Matcher(nn.Module):
    """The discriminator: scores whether an image is real and fits its text.

    Args:
        shape: of an image, (C, H, W).
        channels: feature maps at half size; twice as many at each size below.
        compressed: features of the compressed text code, concatenated to the image's.
        text: the encoder.
    """

    def __init__(
        self, shape: Sequence[int], channels: int, compressed: int, text: Characters | Sentences
    ) -> None:
        super().__init__()
        C, H, W = shape
        top = 8 * channels
        self.text = text
        self.compress = nn.Sequential(nn.Linear(text.code, compressed), nn.LeakyReLU(_SLOPE))
        layers: list[nn.Module] = [nn.Conv2d(C, channels, 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for i in range(3):
            layers += _normed(nn.Conv2d(channels << i, channels << i + 1, 4, 2, 1, bias=False))
        self.trunk = nn.Sequential(*layers)
        self.embedding = nn.Linear(top, text.code)
        self.head = nn.Sequential(
            *_normed(nn.Conv2d(top + compressed, top, 1, bias=False)),
            nn.Conv2d(top, 1, (H // 16, W // 16)),
            nn.Flatten(0),
        )
        for part in (self.trunk, self.head):
            part.apply(initialise)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps of images (n, C, H, W), in [−1, 1]: (n, maps, H/16, W/16)."""
        y: Tensor = self.trunk(x)
        return y

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        """Logits that images are real and fit their texts, (n,).

        h: features of images. code: codes of texts, (n, code).
        """
        beside = self.compress(code)[:, :, None, None].expand(-1, -1, *h.shape[2:])
        y: Tensor = self.head(torch.cat([h, beside], 1))
        return y

    def read(self, tokens: Tensor) -> Tensor:
        """The codes of texts, (n, code)."""
        y: Tensor = self.text(tokens)
        return y

    def compare(self, h: Tensor, code: Tensor) -> Tensor:
        """Similarity of each image and each text in the joint embedding, (n, m).

        h: features of n images. code: codes of m texts, (m, code).
        """
        images: Tensor = self.embedding(h.mean((2, 3)))
        return images @ code.T / math.sqrt(code.shape[1])


class Matching:
    """Trains both networks, with texts in place of labels.

    Args:
        model: a GANCLS.
        channels: feature maps of the discriminator at half size; the generator's by default.
        w_between: weight of the interpolation term (INT); 0 is GAN-CLS alone.
        w_joint: weight of the joint embedding of images and texts.
        shift: how far each image that the discriminator sees is moved at most, as a share of the
            side.
        turn: how far it is turned at most, in degrees.
        zoom: how far it is scaled at most, as a share.
    """

    monitor: ClassVar[str] = "sliced_wasserstein"

    def __init__(
        self,
        model: GANCLS,
        channels: int | None = None,
        w_between: float = 1.0,
        w_joint: float = 1.0,
        shift: float = 0.0,
        turn: float = 0.0,
        zoom: float = 0.0,
    ) -> None:
        if model.judge is not None and channels not in (None, model.channels):
            raise InvalidInput(
                f"trainer.channels is {channels}, but a model that keeps its discriminator has as "
                f"many in both: {model.channels}. Leave trainer.channels or config.judge out."
            )
        D = model.opponent(channels)
        model.text.load_state_dict(D.text.state_dict())
        self.tokens = model.text.tokens
        self.networks: dict[str, nn.Module] = {"model": model, "discriminator": D}
        self.w_between, self.w_joint = w_between, w_joint
        self.jitter = shift, turn, zoom
        for network in (model.network, D.trunk, D.head):
            network.to(memory_format=torch.channels_last)

    def begin(self, mean: Tensor) -> None:
        """Do nothing: the model does not use the data's mean."""

    def read_captions(self, texts: Sequence[str]) -> Tensor:
        """What is learnt from of each caption, (n, size).

        Raises InvalidInput for one that the model cannot read.
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

        x: images, (B, C, H, W), in [0, 1].
        labels: their captions, (B, size), as `read_captions` gives them.
        """
        G, D, tokens = self._generator, self._matcher, _captions(labels)
        G.remember(tokens)
        code = D.read(tokens)
        between = (code + code.roll(1, 0)) / 2
        noise = torch.cat([G.noise(len(x), generator=generator)] * 2)
        fake = G(torch.cat([noise, torch.cat([code, between]).detach()], 1))

        h, drawn_h = (self._seen(z, generator) for z in (x * 2 - 1, fake[: len(x)].detach()))
        values = self._discriminate(h, drawn_h, tokens, code, update["discriminator"])
        with frozen(D):
            scores = D(self._seen(fake, generator), torch.cat([code, between]).detach())
            fitting, halfway = scores.chunk(2)
            loss_G = _GAME.generator(fitting) + self.w_between * _GAME.generator(halfway)
            update["model"](loss_G)
        self._hand_over()
        return {**values, "loss_G": loss_G.detach(), "D_fake": fitting.detach().sigmoid().mean()}

    def _seen(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """What the discriminator sees of images, (n, C, H, W), in [−1, 1]."""
        return self._matcher.features(jittered(images, *self.jitter, generator))

    def _discriminate(
        self, h: Tensor, drawn_h: Tensor, tokens: Tensor, code: Tensor, update: Update
    ) -> dict[str, Tensor]:
        """One step of the discriminator, by what it sees of images and of drawn ones."""
        D, other = self._matcher, tokens.roll(1, 0)
        real, wrong, drawn = D(h, code), D(h, code.roll(1, 0)), D(drawn_h, code)
        misfits = (tokens != other).any(1).to(code.dtype)
        wrong_loss = (functional.softplus(wrong) * misfits).sum() / misfits.sum().clamp_min(1)
        loss = functional.softplus(-real).mean()
        loss = loss + (wrong_loss + functional.softplus(drawn).mean()) / 2
        joint = _joint_loss(D.compare(h, code), tokens)
        update(loss + self.w_joint * joint)
        figures = {"D_real": real, "D_wrong": wrong}
        means = {key: scores.detach().sigmoid().mean() for key, scores in figures.items()}
        return {"loss_D": loss.detach(), "joint": joint.detach(), **means}

    @torch.no_grad()
    def _hand_over(self) -> None:
        """Give the generator the encoder as it has become, and the judge that it keeps."""
        G, D = self._generator.text, self._matcher.text
        for copy, learnt in zip(G.parameters(), D.parameters(), strict=True):
            copy.copy_(learnt)
        if self._generator.judge is not None:
            self._generator.judge.load_state_dict(self._matcher.state_dict())

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """How far samples of the same texts are from a batch of images, the same for each, (B,).

        `prefers_own` is 1 where the discriminator finds an image's own text the better one of two;
        `diversity` how far samples are from each other, as a share of how far the images are.
        """
        D, tokens = self._matcher, _captions(labels)
        samples = self._drawn(tokens, generator)
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
        """Inputs, and beside each an image of its text: (n, *event_shape), in [0, 1].

        x, labels: as in `training_step`, of texts that were not trained on.
        """
        x, tokens = x[:_SHOWN], _captions(labels)[:_SHOWN]
        return torch.stack([x, self._drawn(tokens, generator)], 1).flatten(0, 1)

    def remark(self, values: Mapping[str, float]) -> str:
        """A warning where samples lack diversity, else nothing."""
        return remark_on(values["diversity"], " or another seed")

    def _drawn(self, tokens: Tensor, generator: torch.Generator) -> Tensor:
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


def _joint_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    """Cross-entropy of each image's own text among a batch's, and of each text's own image, ().

    A text that is the same as an image's own is not among the others.

    logits: (B, B), of images by texts. tokens: of the texts, (B, size).
    """
    own = torch.eye(len(tokens), dtype=torch.bool, device=tokens.device)
    alike = (tokens[:, None] == tokens).all(2) & ~own
    others = logits.masked_fill(alike, -math.inf)
    place = torch.arange(len(tokens), device=tokens.device)
    return functional.cross_entropy(others, place) + functional.cross_entropy(others.T, place)


# Layers


class _Residual(nn.Module):
    """x + a bottleneck of a 1x1 and two 3x3 convolutions with batch norm."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        inner = max(1, maps // 4)
        self.block = nn.Sequential(
            nn.Conv2d(maps, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, maps, 3, padding=1, bias=False),
            nn.BatchNorm2d(maps),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x.add(self.block(x)))


def _decoder(inputs: int, shape: Sequence[int], c: int) -> nn.Sequential:
    """A vector to an image of 16 times the size at which it begins."""
    C, H, W = shape
    return nn.Sequential(
        nn.Linear(inputs, 8 * c * (H // 16) * (W // 16), bias=False),
        Unflatten((8 * c, H // 16, W // 16)),
        nn.BatchNorm2d(8 * c),
        _Residual(8 * c),
        nn.ConvTranspose2d(8 * c, 4 * c, 4, 2, 1, bias=False),
        nn.BatchNorm2d(4 * c),
        _Residual(4 * c),
        nn.ConvTranspose2d(4 * c, 2 * c, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * c),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * c, c, 4, 2, 1, bias=False),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        nn.ConvTranspose2d(c, C, 4, 2, 1),
        nn.Tanh(),
    )


def _normed(layer: nn.Conv2d) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(layer.out_channels), nn.LeakyReLU(_SLOPE)]
