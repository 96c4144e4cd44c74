"""InfoGAN: interpretable latent codes by maximizing their mutual information with the image.

Chen et al. 2016, InfoGAN: Interpretable Representation Learning by Information Maximizing
Generative Adversarial Nets (arXiv 1606.03657). Besides noise z, the generator takes codes c, a
category and real numbers, and maximises with the discriminator the bound

    L_I = E[log Q(c|G(z, c))] + H(c) ≤ I(c; G(z, c))

where Q shares all layers of the discriminator but the last. The category then clusters digits
without labels. As in the paper and the authors' code for MNIST: z ~ U(−1, 1)^62, ten categories,
two codes ~ U(−1, 1) of which Q gives the mean with variance 1, both networks, leaky ReLU of slope
0.1, L_I in the losses of both, Adam with β1 = 0.5, at 1e-3 for the generator (in the recipe).

Differences from the paper:
- Images are in [−1, 1] and the generator ends in tanh; the authors' are in [0, 1], by a sigmoid.
- Weights are initialized as in DCGAN.
- One recipe has thirty categories. Of ten, several came to hold two or three digits, unless what is
  judged is moved, turned and scaled, which the recipe of ten does. Real codes have weight 0.1,
  where the authors' λ is 1 for all codes, and the discriminator's rate is 5e-4, not 2e-4.
- `preset = "compact"` takes the small network of `dcgan`, with Q as one more dense layer of it.
- `preset = "dcgan"`, for larger images, takes the networks of `dcgan`'s recipe of faces: maps
  enlarged by nearest neighbours, a discriminator without norm. Its trainer then has R1.

The published model holds Q, as it was at the validation that chose the weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_adversarial.dcgan import DCGAN
from zoo_adversarial.layers import (
    LatentGenerator,
    Unflatten,
    check_choice,
    compact_generator,
    compact_trunk,
    divisible_shape,
    initialise,
)
from zoo_adversarial.trainer import AdversarialTrainer, Generated, Judged
from zoo_core import draws
from zoo_core.checks import check_inputs, check_labels, check_path, check_sampling
from zoo_core.config import NonNegative, Rate, Size
from zoo_core.precision import weight_of
from zoo_core.protocols import Traversal
from zoo_core.training.objective import network_of

__all__ = ["InfoGAN", "InfoTrainer", "Recogniser"]

_NETWORKS = ("paper", "compact", "dcgan")
_OF_Q = 128
"""Units of Q's own hidden layer."""
_CODE_REACH = 2.0
"""Range of a code's traversals, as in the paper's figures: twice its prior's."""


class InfoGAN(LatentGenerator):
    """The generator, and Q, which predicts codes from images.

    Args:
        shape: of an image, (C, H, W); sides are multiples of 4.
        z: number of latents that are noise.
        clusters: number of categories.
        codes: number of real-valued codes.
        channels: feature maps at half size; twice as many at a quarter.
        hidden: units of the dense layer of each network; of the paper's alone.
        preset: `paper`, `compact` or `dcgan`.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        z: int = 62,
        clusters: int = 10,
        codes: int = 2,
        channels: int = 64,
        hidden: int = 1024,
        preset: str = "paper",
    ) -> None:
        check_choice("preset", preset, _NETWORKS)
        super().__init__(divisible_shape(shape, 4), z + clusters + codes, "uniform")
        self.z, self.classes, self.codes = z, clusters, codes
        self.opponent_of = partial(
            Discriminator, self.event_shape, clusters + codes, channels, hidden, preset
        )
        if preset == "dcgan":
            self.network = _dcgan(self.event_shape, self.latent_dim, channels).network
        elif preset == "compact":
            self.network = compact_generator(self.latent_dim, shape, channels)
        else:
            self.network = _paper_generator(self.latent_dim, shape, channels, hidden)
        self.network.apply(initialise)
        self.Q = self.opponent().Q.requires_grad_(False)

    # From latents to images

    def forward(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to images, (n, *event_shape), in [−1, 1]."""
        x: Tensor = self.network(z)
        return x

    def latent(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        label: Tensor | int | None = None,
        temperature: float = 1.0,
        truncation: float = math.inf,
    ) -> Tensor:
        """Sample n latents, (n, latent_dim): noise, a one-hot category, the real codes.

        label: category to condition on, one for all or (n,), int64; None, or `classes`, for any.
        temperature: scales the noise and the real codes.
        truncation: their bound; for uniform latents, as here, a scale too.
        """
        check_sampling(n, shape=(self.latent_dim,))
        K = self.classes
        noise = temperature * self._noise(n, self.z + self.codes, generator, truncation)
        u = draws.rand(n, generator=generator, device=noise.device)
        y = check_labels(self, label, n).to(noise.device)
        category = functional.one_hot(torch.where(y == K, (u * K).long(), y), K)
        return torch.cat([noise[:, : self.z], category.to(noise.dtype), noise[:, self.z :]], 1)

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        truncation: float = math.inf,
        label: Tensor | int | None = None,
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1].

        temperature, truncation, label: as for `latent`.

        Raises InvalidInput for an unknown label.
        """
        check_sampling(n, temperature, self.event_shape)
        return self.decode(
            self.latent(
                n,
                generator=generator,
                label=label,
                temperature=temperature,
                truncation=truncation,
            )
        )

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        """Interpolate linearly between two latents, (latent_dim,) each: (steps, latent_dim).

        A line suits uniform latents and a category.
        """
        check_path(self, z0, z1, steps)
        return torch.lerp(z0, z1, torch.linspace(0, 1, steps).to(z0).unsqueeze(1))

    def traversals(self) -> list[Traversal]:
        """Traversals of the category, then of each real code over its range."""
        K, first = self.classes, self.z + self.classes
        values = [(_CODE_REACH * (i / 4 - 1),) for i in range(9)]
        category = [Traversal("cluster", tuple(range(self.z, first)), torch.eye(K).tolist())]
        return category + [Traversal(f"c{i + 1}", (first + i,), values) for i in range(self.codes)]

    # From images to codes

    def classify(self, x: Tensor) -> Tensor:
        """The most probable category of each image (B, *event_shape), in [0, 1]: (B,), int64."""
        check_inputs(self, x)
        _, codes = self.Q(2 * x - 1)
        y: Tensor = codes[:, : self.classes].argmax(1)
        return y

    @property
    def feature_dim(self) -> int:
        """Number of features: the inputs of Q's own layers."""
        return self.Q.features

    def features(self, x: Tensor) -> Tensor:
        """Features of images (B, *event_shape), in [0, 1], that Q shares with the discriminator.

        Returns (B, feature_dim).
        """
        check_inputs(self, x)
        h: Tensor = self.Q.trunk(2 * x - 1)
        return h

    def keep(self, discriminator: Discriminator) -> None:
        """Copy the Q of a discriminator."""
        self.Q.load_state_dict(discriminator.Q.state_dict())

    def opponent(self) -> Discriminator:
        """Make a discriminator with its own Q."""
        return self.opponent_of()


class Recogniser(nn.Module):
    """Q: predicts codes from images.

    Args:
        trunk: layers shared with the discriminator.
        codes: its own layers.
        features: number of outputs of the trunk.
    """

    def __init__(self, trunk: nn.Module, codes: nn.Module, features: int) -> None:
        super().__init__()
        self.trunk, self.codes, self.features = trunk, codes, features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of images (n, C, H, W), in [−1, 1], and Q's prediction of their codes.

        Returns (n, features) and (n, K + codes): logits of the category, means of the others.
        """
        h = self.trunk(x)
        return h, self.codes(h)


class Discriminator(nn.Module):
    """Q, and the logit that an image is real."""

    def __init__(
        self, shape: Sequence[int], codes: int, channels: int, hidden: int, preset: str
    ) -> None:
        super().__init__()
        if preset == "dcgan":
            layers = _dcgan(shape, 1, channels).opponent(norm="none")
            features = weight_of(layers[-2])[0].numel()
            trunk = nn.Sequential(*layers[:-2], nn.Flatten())
            self.Q = Recogniser(trunk, _codes(features, codes, normed=False), features)
        elif preset == "compact":
            trunk, features = compact_trunk(shape, channels)
            self.Q = Recogniser(trunk, nn.Linear(features, codes), features)
        else:
            features = hidden
            self.Q = Recogniser(
                _paper_trunk(shape, channels, hidden), _codes(hidden, codes), hidden
            )
        self.score = nn.Linear(features, 1)
        if preset != "dcgan":  # whose layers without norm have a scale of their own
            self.apply(initialise)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, (n,), and Q's prediction, (n, K + codes), of images (n, C, H, W), in [−1, 1]."""
        h, codes = self.Q(x)
        return self.score(h).squeeze(1), codes


class InfoTrainer(AdversarialTrainer):
    """Trains both networks, with −L_I in both losses.

    Args:
        model: an InfoGAN.
        loss: a name of `zoo_adversarial.losses.LOSSES`.
        n_critic: discriminator steps per generator step.
        penalty: weight of the gradient penalty, for losses that have one.
        penalty_every: steps between gradient penalties, each weighted by that number.
        discriminator: keywords of the model's opponent.
        w_category: λ, the weight of L_I, for the category.
        w_codes: the same for the real codes.
        r1: weight of R1, the penalty of slopes at real images.
        r2: weight of R2, the same at generated images.
        shift: what is judged is moved by up to this share of its side. A category that Q finds all
            the same is of no place.
        turn: and turned by up to so many degrees.
        zoom: and scaled by up to this share.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: str = "non-saturating",
        n_critic: Size = 1,
        penalty: NonNegative = 10.0,
        penalty_every: Size = 1,
        discriminator: Mapping[str, Any] | None = None,
        w_category: NonNegative = 1.0,
        w_codes: NonNegative = 1.0,
        r1: NonNegative = 0.0,
        r2: NonNegative = 0.0,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
    ) -> None:
        super().__init__(
            model, loss, n_critic, penalty, penalty_every, discriminator, r1, r2, shift, turn, zoom
        )
        self.w_category, self.w_codes = w_category, w_codes

    def judge(self, x: Tensor) -> Judged:
        """Score images by the discriminator, and predict their codes by Q."""
        return Judged(*self.networks["discriminator"](x))

    def discriminator_term(self, real: Judged, fake: Judged, generated: Generated) -> Tensor:
        """−λ L_I of the generated images, up to a constant."""
        return self.generator_term(fake, generated)

    def generator_term(self, fake: Judged, generated: Generated) -> Tensor:
        """−λ L_I, up to a constant."""
        entropy, squares = self._errors(fake.more, generated.source)
        return self.w_category * entropy + self.w_codes * squares / 2

    def figures(self, real: Judged, fake: Judged, generated: Generated) -> dict[str, Tensor]:
        """Add L_I of the category, in nats, and the squared error of the real codes."""
        entropy, squares = self._errors(fake.more, generated.source)
        more = {"information": self._entropy - entropy, "code_error": squares}
        return {**super().figures(real, fake, generated), **more}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Add L_I of the category."""
        values = super().validation_step(x, generator, labels)
        generated = self.draw(len(x), generator)
        entropy, _ = self._errors(self.judge(generated.images).more, generated.source)
        return {**values, "information": (self._entropy - entropy).expand(len(x))}

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """A row for each category, with the same noise in each."""
        model, n = self._model, self._model.classes
        z = model.latent(n, generator=generator).repeat(n, 1)
        category = torch.eye(n, device=z.device).repeat_interleave(n, 0)
        z[:, model.z : model.z + n] = category
        return model.decode(z)

    def _errors(self, said: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Q's errors: −E[log Q] of the category, in nats, and the squared errors of the codes."""
        K, first = self._model.classes, self._model.z
        category, codes = z[:, first : first + K], z[:, first + K :]
        squares = (said[:, K:] - codes).square().sum(1).mean()
        return functional.cross_entropy(said[:, :K], category), squares

    @property
    def _entropy(self) -> Tensor:
        """H(c) of the category, in nats."""
        return torch.tensor(float(self._model.classes)).log()

    @property
    def _model(self) -> InfoGAN:
        return network_of(self.networks, "model", InfoGAN)


def _dcgan(shape: Sequence[int], z: int, channels: int) -> DCGAN:
    return DCGAN(shape, z, channels, up="nearest")


def _paper_generator(z: int, shape: Sequence[int], channels: int, hidden: int) -> nn.Sequential:
    (C, H, W), c = divisible_shape(shape, 4), channels
    maps = (2 * c, H // 4, W // 4)
    return nn.Sequential(
        nn.Linear(z, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, maps[0] * maps[1] * maps[2], bias=False),
        nn.BatchNorm1d(maps[0] * maps[1] * maps[2]),
        nn.ReLU(inplace=True),
        Unflatten(maps),
        nn.ConvTranspose2d(2 * c, c, 4, 2, 1, bias=False),
        nn.BatchNorm2d(c),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(c, C, 4, 2, 1),
        nn.Tanh(),
    )


def _paper_trunk(shape: Sequence[int], channels: int, hidden: int) -> nn.Sequential:
    C, H, W = shape
    return nn.Sequential(
        nn.Conv2d(C, channels, 4, 2, 1),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(channels, 2 * channels, 4, 2, 1, bias=False),
        nn.BatchNorm2d(2 * channels),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Flatten(),
        nn.Linear(2 * channels * (H // 4) * (W // 4), hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.LeakyReLU(0.1, inplace=True),
    )


def _codes(hidden: int, codes: int, normed: bool = True) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(hidden, _OF_Q, bias=not normed),
        *([nn.BatchNorm1d(_OF_Q)] if normed else []),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Linear(_OF_Q, codes),
    )
