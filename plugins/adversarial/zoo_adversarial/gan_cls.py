"""GAN-CLS: text-to-image generation, by a discriminator that also sees mismatched texts.

Reed, Akata, Yan, Logeswaran, Schiele & Lee 2016, Generative Adversarial Text to Image Synthesis
(arXiv 1605.05396). As in the paper: z ~ N(0, I), a text code φ(t) that each network compresses with
leaky ReLU and that the discriminator concatenates to each place of its 4x4 maps, residual blocks at
the two coarsest sizes of the generator,

    L_D = −log D(x, φ(t)) − ½ log(1 − D(x, φ(t̂))) − ½ log(1 − D(G(z, φ(t)), φ(t)))

where t̂ is another image's text (CLS), and in the generator's loss a second term of codes halfway
between two texts, ½ φ(t₁) + ½ φ(t₂), for which there are no images (INT); Adam with β1 = 0.5.

Differences from the paper:
- φ, characters through convolutions and a recurrent layer, averaged over time, is not trained
  beforehand on a joint embedding of images and texts, but with the discriminator, whose features
  are the images' part of it; the generator has a copy of φ. The embedding's loss, beside L_D, is
  the cross-entropy of finding a batch's texts by its images and its images by its texts, in place
  of the authors' hinge loss. By L_D alone, which compares two texts an image, codes of all names
  came to lie in a plane: after eight epochs of 5,324 named drawings two directions held 93 % of
  their variance.
- A recipe may train the joint embedding first (`pretrain`), as in the paper, with the
  discriminator's layers as its encoder of images; φ is then frozen. Its codes are whitened,
  since few directions, of hair and skin, hold nearly all of their variance. The discriminator adds
  an inner product of image and text to its score of the image alone (Miyato & Koyama 2018,
  cGANs with Projection Discriminator), and predicts the text's code from an image; the generator
  is held to that prediction (`w_predict`; after Odena et al. 2017, AC-GAN). A caption of a face
  names about five things, one of which is enough to reject a mismatched caption: without all this
  the generator followed what captions say of hair and skin, and after 160,000 images nothing else.
- While the joint embedding is trained, a layer may predict the words of a text from its code and
  from its image's place (`w_words`; after Joulin et al. 2016, Learning Visual Features from Large
  Weakly Supervised Data). By comparing captions alone, what they name is learnt one thing after
  another: after 7,000 steps codes of captions of faces hardly said which eyebrows, and with words
  after 1,750 they said all.
- Texts are short: in the recipe up to 160 characters of 27, two convolutions with one pooling
  layer, a GRU. A sentence encoder can be used instead.
- Widths fit a processor: 32 maps at half size in either network, where the authors have 128 in the
  generator and 64 in the discriminator.
- t̂ is the text of the batch's next image, and so is t₂; where both images have the same text, as
  two drawings of one name have, the pair is left out of CLS.
- A recipe may shift, rotate and scale the discriminator's inputs (Zhao et al. 2020, Differentiable
  Augmentation): a few thousand images it memorizes otherwise. There are no flips: texts have left
  and right.
- Without a prompt, texts are sampled from the first 64 training texts.
- A model can keep the discriminator (`judge`), which scores how well a text fits an image.
- A recipe may enlarge maps by nearest neighbours before a convolution (`up`), and have R1 and no
  norm in the discriminator, as `dcgan.faces` does.

Over 400 lines: nearly fifty of them are the differences above, and the generator shares its layers
with the discriminator.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.layers import (
    UP,
    LatentGenerator,
    Unflatten,
    check_choice,
    divisible_shape,
    enlarge,
    initialise,
)
from zoo_adversarial.text import Characters, Sentences, text_encoder
from zoo_core import draws
from zoo_core.checks import check_inputs, check_prompt, check_sampling, check_texts
from zoo_core.config import Size
from zoo_core.errors import InvalidInput
from zoo_core.export import Function, Value

__all__ = ["GANCLS", "Matcher"]

_SLOPE = 0.2
_KERNEL = (4, 2, 1)
"""Of convolutions that halve or double a side: side, stride and padding."""
_NORMS = ("batch", "none")
_MATCHES = ("concatenation", "projection")
_KNOWN = 64
"""Training captions that a model keeps."""


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
        up: how maps are enlarged: by `transposed` convolutions, or by `nearest` neighbours and a
            convolution.
        norm: of the discriminator: `batch`, or `none`, to be used with a gradient penalty.
        match: how the discriminator compares an image and a text: by `concatenation`, or by
            `projection`, an inner product; codes of texts are then whitened.
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
        length: Size = 48,
        judge: bool = False,
        up: str = "transposed",
        norm: str = "batch",
        match: str = "concatenation",
    ) -> None:
        super().__init__(divisible_shape(shape, 16), z + code)
        check_choice("up", up, UP)
        check_choice("norm", norm, _NORMS)
        check_choice("match", match, _MATCHES)
        self.z, self.channels, self.compressed = z, channels, compressed
        self.norm, self.match = norm, match
        whiten = match == "projection"
        self.reader = partial(text_encoder, encoder, code, alphabet, length, whiten)
        self.text = self.reader().requires_grad_(False)  # what it learns, the discriminator does
        self.compress = nn.Sequential(nn.Linear(code, compressed), nn.LeakyReLU(_SLOPE))
        self.network = _decoder(z + compressed, self.event_shape, channels, up).apply(initialise)
        self.register_buffer("known", self.text.tokens([]).new_zeros(_KNOWN, self.text.size))
        self.register_buffer("held", torch.zeros((), dtype=torch.int64))
        self.register_load_state_dict_post_hook(_check_texts)  # type: ignore[no-untyped-call] # of torch
        self.judge = self.opponent().requires_grad_(False) if judge else None

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        noise, code = z[:, : self.z], z[:, self.z :]
        y: Tensor = self.network(torch.cat([noise, self.compress(code)], 1))
        return y

    def first_response(self) -> Tensor:
        """What each latent of the noise adds to the first layer, (z, units): not the text's."""
        return super().first_response()[: self.z]

    def noise(
        self, n: int, *, generator: torch.Generator | None = None, truncation: float = math.inf
    ) -> Tensor:
        """Sample the noise, (n, z), from N(0, I) within ±truncation."""
        return self._noise(n, self.z, generator, truncation)

    def latent(
        self, n: int, *, generator: torch.Generator | None = None, truncation: float = math.inf
    ) -> Tensor:
        """Sample n latents, (n, latent_dim): noise, and codes of texts known from training."""
        check_sampling(n, shape=(self.latent_dim,))
        noise = self.noise(n, generator=generator, truncation=truncation)
        held = max(1, int(self.held))
        place = draws.randint(held, n, generator=generator, device=noise.device)
        return torch.cat([noise, self.text(self.known[place])], 1)

    def read(self, texts: Sequence[str]) -> Tensor:
        """The codes of texts, (n, code).

        Raises InvalidInput for a text that the model cannot read.
        """
        check_texts(texts)
        code: Tensor = self.text(self.text.tokens(texts).to(self.known.device))
        return code

    @property
    def alphabet(self) -> str | None:
        """The characters that are read; None where sentences are."""
        return self.text.alphabet if isinstance(self.text, Characters) else None

    def exports(self) -> list[Function]:
        """The text encoder, by the numbers of characters; nothing of a sentence encoder."""
        if not isinstance(self.text, Characters):
            return []
        most = float(len(self.text.alphabet))
        tokens = Value("tokens", ("n", self.text.size), 0, most, dtype="int64")
        code = Value("code", ("n", self.text.code))
        what = "Codes of texts: each character's place in the alphabet, from 1, then 0"
        return [Function("read", what, self.text, (tokens,), (code,))]

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
        check_sampling(n, temperature, self.event_shape)
        z = self.latent(n, generator=generator, truncation=truncation)
        noise, code = temperature * z[:, : self.z], z[:, self.z :]
        if prompt is not None:
            check_prompt(self, prompt, n, self.text.code)
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
        check_inputs(self, x)
        check_texts(texts)
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

    def opponent(self, channels: int | None = None, words: int = 0) -> Matcher:
        """Make a discriminator with its own text encoder.

        channels: feature maps of its first layer at half size; the generator's by default.
        words: number of words that it predicts.
        """
        channels = channels or self.channels
        return Matcher(
            self.event_shape, channels, self.compressed, self.reader(), self.norm, self.match, words
        )


class Matcher(nn.Module):
    """The discriminator: scores whether an image is real and fits its text.

    Args:
        shape: of an image, (C, H, W).
        channels: feature maps at half size; twice as many at each size below.
        compressed: features of the compressed text code.
        text: the encoder.
        norm: `batch`, or `none`.
        match: `concatenation` or `projection`.
        words: number of words that `words` predicts from the joint embedding.
    """

    def __init__(
        self,
        shape: Sequence[int],
        channels: int,
        compressed: int,
        text: Characters | Sentences,
        norm: str = "batch",
        match: str = "concatenation",
        words: int = 0,
    ) -> None:
        super().__init__()
        C, H, W = shape
        top, places = 8 * channels, (H // 16) * (W // 16)
        self.text = text
        self.compress = nn.Sequential(nn.Linear(text.code, compressed), nn.LeakyReLU(_SLOPE))
        layers: list[nn.Module] = [nn.Conv2d(C, channels, *_KERNEL), nn.LeakyReLU(_SLOPE)]
        for i in range(3):
            layers += _hidden(channels << i, channels << i + 1, _KERNEL, norm)
        self.trunk = nn.Sequential(*layers)
        self.projection = nn.Linear(top * places, compressed) if match == "projection" else None
        self.embedding = nn.Linear(top * (places if self.projection else 1), text.code)
        joined = () if self.projection else _hidden(top + compressed, top, (1, 1, 0), norm)
        self.head = nn.Sequential(*joined, nn.Conv2d(top, 1, (H // 16, W // 16)), nn.Flatten(0))
        self.words = nn.Linear(text.code, words) if words else None
        for part in (self.trunk, self.head):
            part.apply(initialise if norm == "batch" else _keep_scale)

    def features(self, x: Tensor) -> Tensor:
        """Feature maps of images (n, C, H, W), in [−1, 1]: (n, maps, H/16, W/16)."""
        y: Tensor = self.trunk(x)
        return y

    def forward(self, h: Tensor, code: Tensor) -> Tensor:
        """Logits that images are real and fit their texts, (n,).

        h: features of images. code: codes of texts, (n, code).
        """
        compressed = self.compress(code)
        if self.projection is not None:
            fit = (self.projection(h.flatten(1)) * compressed).sum(1) / math.sqrt(len(compressed.T))
            return self.head(h) + fit  # type: ignore[no-any-return]
        beside = compressed[:, :, None, None].expand(-1, -1, *h.shape[2:])
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
        return self.embed(h) @ code.T / math.sqrt(code.shape[1])

    def embed(self, h: Tensor) -> Tensor:
        """Images in the joint embedding by their features, (n, code)."""
        y: Tensor = self.embedding(h.mean((2, 3)) if self.projection is None else h.flatten(1))
        return y


def _check_texts(model: nn.Module, _: object) -> None:
    """Refuse weights that hold texts of other characters than the alphabet's."""
    assert isinstance(model, GANCLS)
    if model.held.is_meta:
        return
    last = len(model.text.alphabet) if isinstance(model.text, Characters) else math.inf
    if not 0 <= int(model.held) <= _KNOWN or float(model.known.max()) > last:
        raise ValueError("known and held are not texts that the model can read")


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


def _decoder(inputs: int, shape: Sequence[int], c: int, up: str) -> nn.Sequential:
    """A vector to an image of 16 times the size at which it begins."""
    C, H, W = shape
    return nn.Sequential(
        nn.Linear(inputs, 8 * c * (H // 16) * (W // 16), bias=False),
        Unflatten((8 * c, H // 16, W // 16)),
        nn.BatchNorm2d(8 * c),
        _Residual(8 * c),
        enlarge(up, 8 * c, 4 * c, _KERNEL, bias=False),
        nn.BatchNorm2d(4 * c),
        _Residual(4 * c),
        enlarge(up, 4 * c, 2 * c, _KERNEL, bias=False),
        nn.BatchNorm2d(2 * c),
        nn.ReLU(),
        enlarge(up, 2 * c, c, _KERNEL, bias=False),
        nn.BatchNorm2d(c),
        nn.ReLU(),
        enlarge(up, c, C, _KERNEL),
        nn.Tanh(),
    )


def _hidden(
    inputs: int, outputs: int, kernel: tuple[int, int, int], norm: str
) -> Iterator[nn.Module]:
    """A hidden layer of the discriminator.

    kernel: its side, stride and padding.
    """
    yield nn.Conv2d(inputs, outputs, *kernel, bias=norm == "none")
    if norm == "batch":
        yield nn.BatchNorm2d(outputs)
    yield nn.LeakyReLU(_SLOPE)


def _keep_scale(layer: nn.Module) -> None:
    """Initial weights that keep the scale of maps without norms (He et al. 2015)."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, _SLOPE)
