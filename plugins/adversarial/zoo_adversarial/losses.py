"""GAN losses by name, and gradient penalties.

Scores are the discriminator's outputs, one or more for each image, or one for each pack of images
that are judged together, which penalties then take for one; a loss is their mean. Where
scores are the logits of a probability, D(x) = σ(score).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core import draws
from zoo_core.errors import InvalidInput, did_you_mean

__all__ = ["LOSSES", "Loss", "gradient_penalty", "loss_of", "slope_penalty"]

_EPS = 1e-8


class Loss(NamedTuple):
    """The losses of generator and discriminator."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """The discriminator's loss, of scores of real and of generated images, any shape."""
    generator: Callable[[Tensor], Tensor]
    """The generator's loss, of scores of generated images, any shape."""
    probabilities: bool
    """Whether scores are logits."""
    penalised: bool = False
    """Whether the gradient penalty is part of it."""
    paired: bool = False
    """Whether a generated image is compared with a real one: `generator` takes the difference of
    their scores."""


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    """−E[log D(x)] − E[log(1 − D(G(z)))]."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def _squares(real: Tensor, fake: Tensor) -> Tensor:
    """½ (E[(D(x) − 1)²] + E[D(G(z))²])."""
    return ((real - 1).square().mean() + fake.square().mean()) / 2


def _margins(real: Tensor, fake: Tensor) -> Tensor:
    """E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))]."""
    return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()


def _distance(real: Tensor, fake: Tensor) -> Tensor:
    """E[D(G(z))] − E[D(x)]: minus a Wasserstein distance, for a Lipschitz D."""
    return fake.mean() - real.mean()


def _lower(fake: Tensor) -> Tensor:
    """−E[D(G(z))]."""
    return -fake.mean()


def _beyond(fake: Tensor) -> Tensor:
    """−E[log σ(D(G(z)))], or of differences of scores."""
    return functional.softplus(-fake).mean()


LOSSES: dict[str, Loss] = {
    # Goodfellow et al. 2014: E[log(1 − D(G(z)))], and −E[log D(G(z))] that they train with
    "minimax": Loss(_cross_entropy, lambda fake: -functional.softplus(fake).mean(), True),
    "non-saturating": Loss(_cross_entropy, _beyond, True),
    # Mao et al. 2017; the generator's without the half, as Zhu et al. 2017 weigh it
    "least-squares": Loss(_squares, lambda fake: (fake - 1).square().mean(), False),
    # Lim & Ye 2017
    "hinge": Loss(_margins, _lower, False),
    # Jolicoeur-Martineau 2019, in pairs: σ(D(x) − D(G(z))) is how sure D is which of two is real. A
    # generated image has to match a real one, not to pass a threshold; so modes are left out more
    # seldom (Huang et al. 2024, who add R1 and R2)
    "relativistic": Loss(lambda real, fake: _beyond(real - fake), _beyond, False, paired=True),
    # Gulrajani et al. 2017
    "wgan-gp": Loss(_distance, _lower, False, penalised=True),
}
"""Losses by name, as in a recipe's `trainer.loss`."""


def loss_of(name: str, *, paired: bool = True) -> Loss:
    """Look up losses by name.

    paired: whether losses that compare pairs of images are among them.

    Raises InvalidInput with the known names.
    """
    known = [key for key, loss in LOSSES.items() if paired or not loss.paired]
    if name not in known:
        raise InvalidInput(
            f"trainer.loss is {name!r}; expected {', '.join(known)}.{did_you_mean(name, known)}"
        )
    return LOSSES[name]


def gradient_penalty(
    D: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, generator: torch.Generator
) -> Tensor:
    """E[(‖∇D(x̂)‖ − 1)²] at points x̂ between real and generated images (Gulrajani et al. 2017).

    D: returns a score for each image, (n,), or for each pack.
    real, fake: (n, C, H, W).
    """
    u = draws.rand(len(real), 1, 1, 1, generator=generator, device=real.device, dtype=real.dtype)
    between = torch.lerp(real, fake.to(real.dtype), u).requires_grad_()
    norm = _squared_slopes(D, between).add(_EPS).sqrt()
    return (norm - 1).square().mean()


def slope_penalty(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """E[‖∇D(x)‖²] / 2: R1 at real images, R2 at generated ones (Mescheder et al. 2018).

    D: returns a score for each image, (n,), or for each pack.
    x: (n, C, H, W).
    """
    return _squared_slopes(D, x.detach().requires_grad_()).mean() / 2


def _squared_slopes(D: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """‖∇D‖² by the images, or the pack of them, that each score is of, as many as scores."""
    scores = D(x)
    (slope,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    squares: Tensor = slope.flatten(1).square().sum(1)
    if len(scores) == len(x):
        return squares
    size = -(-len(x) // len(scores))
    missing = size * len(scores) - len(x)  # what fills up the last pack counts in its own place
    of_packs: Tensor = functional.pad(squares, (0, missing)).unflatten(0, (-1, size)).sum(1)
    return of_packs
