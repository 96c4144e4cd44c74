"""The objective of Progressive GAN, and when it grows; its paper is in `progan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from zoo_adversarial.progan import ProGAN, fade, normalise
from zoo_adversarial.trainer import AdversarialTrainer, Generated, Judged
from zoo_core.config import Count, NonNegative, Size
from zoo_core.errors import InvalidInput
from zoo_core.training.objective import network_of

__all__ = ["Progressive"]


class Progressive(AdversarialTrainer):
    """Trains both networks, and lets them grow with the number of images seen.

    Args:
        model: a ProGAN.
        stable: images that each stage but the last is trained on once it has faded in; one number
            for all of them, or one for each. The last stage is trained to the end.
        fade: images during which each stage but the first fades in; likewise.
        loss: a name of `zoo_adversarial.losses.LOSSES`; the paper's by default.
        penalty: weight of the gradient penalty, for losses that have one.
        penalty_every: steps between gradient penalties, each weighted by that number (the lazy
            regularisation of Karras et al. 2020); 1 is the paper's.
        drift: weight of the mean square of the discriminator's output for real images.
        r1: weight of R1, the gradient penalty at real images, beside any loss.
        r2: weight of R2, the same at generated images.
    """

    monitor: ClassVar[str] = "distance"

    def __init__(
        self,
        model: ProGAN,
        stable: Count | Sequence[Count] = 600_000,
        fade: Count | Sequence[Count] = 600_000,
        loss: str = "wgan-gp",
        penalty: NonNegative = 10.0,
        penalty_every: Size = 1,
        drift: NonNegative = 1e-3,
        r1: NonNegative = 0.0,
        r2: NonNegative = 0.0,
    ) -> None:
        super().__init__(model, loss, penalty=penalty, penalty_every=penalty_every, r1=r1, r2=r2)
        stages = len(model.channels) - 1
        self.stable = _for_each("stable", stable, stages)
        self.fade = _for_each("fade", fade, stages)
        self.drift = drift

    def growth(self, seen: int) -> tuple[int, int, int]:
        """How far the networks have grown after a number of images: stage, and α as a fraction."""
        for stage, (stable, fading) in enumerate(zip(self.stable, self.fade, strict=True)):
            if seen <= stable:
                return stage, 1, 1
            seen -= stable
            if seen < fading:
                return stage + 1, seen, fading
            seen -= fading
        return len(self.stable), 1, 1

    def restarts(self, n: int) -> bool:
        """Whether the next n images begin a stage, or complete its fading in."""
        G = self._generator
        before, after = G.grown.tolist(), self.growth(int(G.seen) + n)
        return _phase(*before) != _phase(*after)

    @torch.no_grad()
    def count(self, n: int) -> None:
        """Count n images, and set the generator's stage."""
        G = self._generator
        G.seen.add_(n)
        G.grown.copy_(torch.tensor(self.growth(int(G.seen))))

    def real(self, x: Tensor) -> Tensor:
        """Images at the resolution of the generator's stage."""
        return fade(super().real(x), *self._generator.growth_now)

    def draw(self, n: int, generator: torch.Generator) -> Generated:
        """Generate n images of the stage; their source is the feature maps."""
        G = self._generator
        stage, alpha = G.growth_now
        maps = G.feature_maps(normalise(G.latent(n, generator=generator)), stage)
        return Generated(G.images(maps, alpha), maps)

    def judge(self, x: Tensor) -> Judged:
        """Score images of the stage by the discriminator."""
        return Judged(self.networks["discriminator"](x, self._generator.growth_now.alpha))

    def discriminator_term(self, real: Judged, fake: Judged, generated: Generated) -> Tensor:
        """The drift of scores from 0."""
        return self.drift * real.scores.square().mean()

    def generator_term(self, fake: Judged, generated: Generated) -> Tensor:
        """The error of the earlier stages' toRGB layers."""
        return self._generator.readout_loss(generated.source, generated.images)

    def figures(self, real: Judged, fake: Judged, generated: Generated) -> dict[str, Tensor]:
        """Add how far the networks have grown."""
        stage = real.scores.new_tensor(self._generator.growth_now.reached)
        return {**super().figures(real, fake, generated), "stage": stage}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Add `distance`: the sliced Wasserstein distance, plus 1 for each stage to come.

        It chooses the best weights: the distance alone may be small for enlarged images.
        """
        values = super().validation_step(x, generator, labels)
        to_come = len(self.stable) - self._generator.growth_now.reached
        return {**values, "distance": values["sliced_wasserstein"] + to_come}

    @property
    def _generator(self) -> ProGAN:
        return network_of(self.networks, "model", ProGAN)


def _phase(stage: int, faded: int, fade: int) -> tuple[int, bool]:
    """A stage, and whether it has faded in; when either changes, moments are reset."""
    return stage, faded == fade


def _for_each(name: str, images: int | Sequence[int], stages: int) -> list[int]:
    """The number of images of each stage."""
    each = [images] * stages if isinstance(images, int) else list(images)
    if len(each) != stages or min(each, default=1) < 1:
        raise InvalidInput(
            f"trainer.{name} is {images}; expected a number of images, or one for each of the "
            f"{stages} times that this network grows."
        )
    return each
