"""The adversarial objective: alternating steps of discriminator and generator.

A step generates images once. The discriminator learns to classify them and the batch; then, with
its weights frozen, the generator takes a step on the same images. So there is one forward and one
backward pass through the generator, and no unused gradient of the discriminator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from zoo_adversarial.losses import gradient_penalty, loss_of, slope_penalty
from zoo_adversarial.translation import sliced_wasserstein
from zoo_core.config import NonNegative, Rate, Size, check_call
from zoo_core.draws import batch_rows
from zoo_core.protocols import narrow
from zoo_core.training.augmentation import jitter
from zoo_core.training.objective import frozen, network_of, unwrapped

if TYPE_CHECKING:
    from zoo_core.training.protocols import Update

__all__ = [
    "AdversarialBase",
    "AdversarialTrainer",
    "Adversary",
    "Generated",
    "Judged",
    "diversity",
    "remark_on",
    "spread",
]

_SHOWN = 64
"""Samples of a preview, from the same latents each time."""
_COLLAPSED = 0.5
"""Share of the data's spread below which samples are reported to lack diversity."""


@runtime_checkable
class Adversary(Protocol):
    """A generator that AdversarialTrainer can train."""

    event_shape: tuple[int, ...]

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Sample n latents, (n, latent_dim)."""
        ...

    def __call__(self, z: Tensor) -> Tensor:
        """Map latents to images, (n, *event_shape), in [−1, 1]."""
        ...

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1]."""
        ...

    @property
    def opponent(self) -> Callable[..., nn.Module]:
        """Makes the discriminator from the keywords of the recipe's `[trainer.discriminator]`."""
        ...


class Generated(NamedTuple):
    """Generated images and their latents."""

    images: Tensor
    """(n, *event_shape), in [−1, 1]."""
    source: Any
    """Latents, or whatever else a trainer's losses need."""


class Judged(NamedTuple):
    """The discriminator's output."""

    scores: Tensor
    """(n,), or one for each pack of images that are judged together."""
    more: Any = None
    """Further outputs, where a trainer's losses need them."""


class AdversarialBase:
    """What all trainers of a generator against a discriminator have in common.

    `r1` is the weight of R1, the gradient penalty at real images, and `penalty_every` the number
    of steps between two such penalties, each weighted by it (the lazy regularisation of Karras et
    al. 2020).
    """

    monitor: ClassVar[str] = "sliced_wasserstein"
    networks: dict[str, nn.Module]
    r1: float
    penalty_every: int

    def begin(self, mean: Tensor) -> None:
        """Initialise the generator from the training data's mean, event_shape, if it can."""
        if begin := getattr(self.networks["model"], "begin", None):
            begin(mean)

    def remark(self, values: Mapping[str, float]) -> str:
        """A warning about the means of a validation; by default there is none."""
        return ""

    def lazy(self, step: int, weight: float, slopes: Callable[[], Tensor]) -> Tensor | float:
        """A penalty of slopes with its weight, in every `penalty_every`-th step.

        slopes: computes the penalty, by a discriminator without Fabric's wrapper.
        """
        if not weight or step % self.penalty_every:
            return 0.0
        with unwrapped(self.networks, "discriminator"):
            return weight * self.penalty_every * slopes()


class AdversarialTrainer(AdversarialBase):
    """Trains a generator against a discriminator.

    Args:
        model: the generator, an Adversary.
        loss: a name of `zoo_adversarial.losses.LOSSES`.
        n_critic: discriminator steps per generator step.
        penalty: weight of the gradient penalty, for losses that have one.
        penalty_every: steps between gradient penalties, each weighted by that number (the lazy
            regularisation of Karras et al. 2020).
        discriminator: keywords of the model's opponent.
        r1: weight of R1, the gradient penalty at real images, beside any loss.
        r2: weight of R2, the same at generated images.
        shift: every image that is judged is moved by up to this share of its side (Zhao et al.
            2020, Differentiable Augmentation).
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
        r1: NonNegative = 0.0,
        r2: NonNegative = 0.0,
        shift: NonNegative = 0.0,
        turn: NonNegative = 0.0,
        zoom: Rate = 0.0,
    ) -> None:
        self.loss = loss_of(loss)
        self.n_critic, self.penalty, self.penalty_every = n_critic, penalty, penalty_every
        self.r1, self.r2, self.jitter = r1, r2, (shift, turn, zoom)
        self.networks = {
            "model": model,
            "discriminator": _opponent(narrow(model, Adversary), discriminator or {}),
        }
        for network in self.networks.values():
            network.to(memory_format=torch.channels_last)  # a tenth faster on a processor

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        """A discriminator step, and every `n_critic` steps a generator step.

        x: images, (B, C, H, W), in [0, 1].
        """
        if len(x) == 1:  # norms over a batch need two
            x = torch.cat([x, x])
        self.count(max(len(x), batch_rows(generator, len(x))))
        turn = step % self.n_critic == 0
        real = jitter(self.real(x), *self.jitter, generator)
        with torch.set_grad_enabled(turn):
            generated = self.draw(len(x), generator)
        values = self._discriminate(real, generated, update["discriminator"], generator, step)
        if turn:
            with frozen(self.networks["discriminator"]):
                judged = self.judge(jitter(generated.images, *self.jitter, generator))
                loss = self.loss.generator(self._against(real, judged.scores))
                update["model"](loss + self.generator_term(judged, generated))
        return values

    def _discriminate(
        self,
        real: Tensor,
        generated: Generated,
        update: Update,
        generator: torch.Generator,
        step: int,
    ) -> dict[str, Tensor]:
        """A step of the discriminator; returns what to log."""
        fake = jitter(generated.images.detach(), *self.jitter, generator)
        of_real, of_fake = self.judge(real), self.judge(fake)
        loss = self.loss.discriminator(of_real.scores, of_fake.scores)
        loss = loss + self.discriminator_term(of_real, of_fake, generated)
        penalty = self.penalty if self.loss.penalised else 0.0
        loss = loss + self.lazy(
            step, penalty, lambda: gradient_penalty(self._scores, real, fake, generator)
        )
        loss = loss + self.lazy(step, self.r1, lambda: slope_penalty(self._scores, real))
        update(loss + self.lazy(step, self.r2, lambda: slope_penalty(self._scores, fake)))
        with torch.no_grad():
            return self.figures(of_real, of_fake, generated)

    def _scores(self, x: Tensor) -> Tensor:
        return self.judge(x).scores

    def _against(self, real: Tensor, scores: Tensor) -> Tensor:
        """Scores of generated images, less those of real ones where the loss compares them."""
        if not self.loss.paired:
            return scores
        with torch.no_grad():
            of_real = self._scores(real)
        return scores - of_real

    def _mean(self, scores: Tensor) -> Tensor:
        """Mean of D(x); of probabilities, where scores are logits."""
        return (scores.sigmoid() if self.loss.probabilities else scores).mean()

    # For subclasses to override

    def count(self, n: int) -> None:
        """Count the n images of a step, of all processes."""

    def real(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W), in [0, 1], as the discriminator sees them, in [−1, 1]."""
        return x * 2 - 1

    def draw(self, n: int, generator: torch.Generator) -> Generated:
        """Generate n images."""
        G = network_of(self.networks, "model", Adversary)
        z = G.latent(n, generator=generator)
        return Generated(G(z), z)

    def judge(self, x: Tensor) -> Judged:
        """Score images, (n, C, H, W), in [−1, 1], by the discriminator."""
        return Judged(self.networks["discriminator"](x))

    def discriminator_term(
        self, real: Judged, fake: Judged, generated: Generated
    ) -> Tensor | float:
        """Additional loss of the discriminator."""
        return 0.0

    def generator_term(self, fake: Judged, generated: Generated) -> Tensor | float:
        """Additional loss of the generator."""
        return 0.0

    def figures(self, real: Judged, fake: Judged, generated: Generated) -> dict[str, Tensor]:
        """What to log of a step: both losses, and the means of D(x) and D(G(z))."""
        return {
            "loss_D": self.loss.discriminator(real.scores, fake.scores),
            "loss_G": self.loss.generator(
                fake.scores - real.scores if self.loss.paired else fake.scores
            ),
            "D_real": self._mean(real.scores),
            "D_fake": self._mean(fake.scores),
        }

    # Validation and previews

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Distance of samples from a batch of images, the same for each input, (B,).

        `sliced_wasserstein` is the distance; `diversity` the mean distance between samples, as a
        share of that between images. A model that keeps part of the discriminator is given it.
        """
        G = network_of(self.networks, "model", Adversary)
        if keep := getattr(G, "keep", None):
            keep(self.networks["discriminator"])
        samples = G.sample(len(x), generator=generator)
        distance = sliced_wasserstein(samples, x, generator)
        return {
            "sliced_wasserstein": distance.expand(len(x)),
            "diversity": diversity(samples, x).expand(len(x)),
        }

    def preview(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> Tensor:
        """Images from fixed latents, (n, *event_shape), in [0, 1]."""
        return network_of(self.networks, "model", Adversary).sample(_SHOWN, generator=generator)

    def remark(self, values: Mapping[str, float]) -> str:
        """A warning where samples lack diversity, else nothing."""
        return remark_on(values["diversity"], ", another seed, or trainer.loss = 'wgan-gp'")


def spread(x: Tensor) -> Tensor:
    """Mean distance between images, (); 0 for a single one.

    x: (n, C, H, W).
    """
    return torch.pdist(x.flatten(1)).mean() if len(x) > 1 else x.new_zeros(())


def diversity(samples: Tensor, x: Tensor) -> Tensor:
    """Mean distance between samples, as a share of that between images, ().

    samples, x: (n, C, H, W).
    """
    return spread(samples) / spread(x).clamp_min(1e-6)


def remark_on(diversity: float, instead: str) -> str:
    """A warning where samples lack diversity, else nothing.

    instead: further advice, after a lower learning rate.
    """
    if diversity >= _COLLAPSED:
        return ""
    return (
        f"samples are {diversity:.0%} as far from each other as the data are: the generator makes "
        f"few different images. If that lasts, start again with a lower learning rate{instead}."
    )


def _opponent(model: Adversary, settings: Mapping[str, Any]) -> nn.Module:
    """The model's discriminator.

    Raises InvalidInput for an unknown setting, and for a value that does not fit.
    """
    check_call(model.opponent, settings, at="trainer.discriminator.")
    return model.opponent(**settings)
