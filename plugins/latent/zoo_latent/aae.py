"""AAE: Makhzani et al. 2015, Adversarial Autoencoders.

An encoder and a decoder learn to reproduce x, while the encoder deceives discriminators which hold
its latents against draws from a prior. So the aggregated posterior

    q(z) = ∫ q(z|x) p(x) dx

comes to the prior, and the decoder turns draws from the prior into samples. The prior need not have
a density: all that is asked of it is draws. Labels come in at one of three places:

    prior     each class fills a part of the prior; the discriminator is told the class
    decoder   the decoder is told the class, and z keeps what is left: the style
    encoder   the encoder gives the class, q(y|x), beside z: a few labels teach it which is which.
              With `clusters` instead of `classes` there are no labels at all

With the last two the latents are (z_1 … z_Z, y_1 … y_K), y a point of the simplex.

We differ from the paper in this. Classes of inputs whose latents are asked for without a label,
where the decoder takes labels, are those that reproduce the input best; the paper always has them.
The logits of classes are normalized over the batch: without that, all inputs soon fell into one
cluster. Weights start as Glorot & Bengio's and the decoder from the training data's mean. How the
objective differs is said where it is, in `adversarial.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Traversal
from zoo_latent.layers import MLPDecoder, affine, finite_logit, mlp
from zoo_latent.priors import make_prior

__all__ = ["AAE", "Code"]

_ENCODERS = ("deterministic", "gaussian", "universal")
_LABELS = ("prior", "decoder", "encoder")
_SHARPNESS = 3.0
"""Deviation of the classes' logits at the start: sharp enough to pass for draws of a class."""


class Code(NamedTuple):
    """What the encoder says of inputs."""

    z: Tensor
    """Latents, (B, Z)."""
    logits: Tensor | None
    """log q(y|x) up to a constant, (B, K), where the encoder gives classes."""


class AAE(nn.Module):
    """An autoencoder of which the prior is whatever can be drawn from.

    Args:
        shape: shape of an input: (C, H, W) or (D,).
        z: number of continuous latents.
        hidden: units of each hidden layer of the encoder; the decoder mirrors them.
        activation: tanh, relu, leaky_relu, gelu, silu or softplus.
        encoder: q(z|x): `deterministic`; `gaussian`, with a mean and a variance for each latent; or
            `universal`, a function of x and of as many normal variables as there are latents.
        prior: p(z): `normal`; in the plane also `mixture` and `swiss-roll`.
        scale: factor of the prior: the standard deviation of a normal one.
        components: of a mixture without labels.
        classes: number of labels; 0 trains without.
        labels: where they come in: `prior`, `decoder` or `encoder`.
        clusters: number of classes that the encoder finds without labels.
        dropout: share of the hidden units that are left out in training.
    """

    prior: str

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        z: int = 8,
        hidden: Sequence[int] = (1000, 1000),
        activation: str = "relu",
        encoder: str = "deterministic",
        prior: str = "normal",
        scale: float = 1.0,
        components: int = 10,
        classes: int = 0,
        labels: str = "encoder",
        clusters: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(encoder, classes, labels, clusters, prior)
        self.event_shape = tuple(shape)
        self.classes = classes or clusters
        self.clusters, self.z, self.kind, self.prior = clusters, z, encoder, prior
        self.labels = "encoder" if clusters else labels if classes else "none"
        parts = classes if self.labels == "prior" else components
        self.p = make_prior(prior, z, parts, scale)
        K = self.classes if self.labels in ("decoder", "encoder") else 0
        self.latent_dim = z + K
        inputs = prod(shape) + (z if encoder == "universal" else 0)
        self.features = mlp([inputs, *hidden], activation, dropout)
        self.head_z = affine(hidden[-1], 2 * z if encoder == "gaussian" else z)
        self.head_y = _class_head(hidden[-1], K) if self.labels == "encoder" else None
        sizes = [self.latent_dim, *reversed(hidden)]
        self.decoder = MLPDecoder(sizes, self.event_shape, activation, dropout)

    def begin(self, mean: Tensor) -> None:
        """Let the decoder start from the training data's mean, event_shape."""
        self.decoder.begin(finite_logit(mean))

    # From inputs to latents

    def code(self, x: Tensor, generator: torch.Generator | None, draw: bool = True) -> Code:
        """Encode inputs (B, *event_shape); without a draw the noise of q(z|x) is left out."""
        x = x.flatten(1)
        eps = x.new_zeros(len(x), self.z)
        if draw and self.kind != "deterministic":
            eps = torch.randn(eps.shape, generator=generator, device=x.device, dtype=x.dtype)
        h = self.features(torch.cat([x, eps], 1) if self.kind == "universal" else x)
        z = self.head_z(h)
        if self.kind == "gaussian":
            mu, log_var = z.chunk(2, 1)
            z = torch.addcmul(mu, (0.5 * log_var).exp(), eps)
        return Code(z, None if self.head_y is None else self.head_y(h))

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Map inputs (B, *event_shape) to latents, (B, latent_dim): z, and y where there is one.

        generator: draws from q(z|x); None leaves its noise out.
        """
        z, logits = self.code(x, generator, draw=generator is not None)
        if logits is not None:
            return torch.cat([z, logits.softmax(1)], 1)
        if self.labels == "decoder":
            return self.joined(z, self._fitting(x, z))
        return z

    def classify(self, x: Tensor) -> Tensor:
        """The class, or cluster, of each input (B, *event_shape): (B,), int64.

        Raises InvalidInput for a model that knows no classes.
        """
        if self.labels == "none":
            raise InvalidInput(
                "this AAE has no classes: it was trained without labels. Set config.classes, or "
                "config.clusters, and train it again."
            )
        z, logits = self.code(x, None, draw=False)
        if logits is not None:
            return logits.argmax(1)
        return self.p.part(z) if self.labels == "prior" else self._fitting(x, z)

    def _fitting(self, x: Tensor, z: Tensor) -> Tensor:
        """The label with which the decoder makes of z, (B, Z), what is nearest to x: (B,)."""
        errors = [
            (self.decode(self.joined(z, torch.full((len(z),), k, device=z.device))) - x)
            .square()
            .flatten(1)
            .sum(1)
            for k in range(self.classes)
        ]
        return torch.stack(errors, 1).argmin(1)

    # From latents to samples

    def latent(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        label: Tensor | int | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw n latents from the prior, (n, latent_dim): z, and a class where it has a place.

        label: the class of all, or of each, (n,), int64; None, or `classes`, leaves it open.
        temperature: factor of the deviation of z from the middle of its prior.
        """
        weight = self.head_z.weight
        y = self._checked(n, label).to(weight.device)
        part = y if self.labels == "prior" else torch.full_like(y, -1)
        z = self.p.draw(part, generator, temperature).to(weight.dtype)
        if self.latent_dim == self.z:
            return z
        u = torch.rand(n, generator=generator, device=weight.device)
        return self.joined(z, torch.where(y < 0, (u * self.classes).long(), y))

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to mean inputs, (n, *event_shape), in [0, 1]."""
        x: Tensor = self.decoder(z).sigmoid()
        return x

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        """Draw n inputs, (n, *event_shape), in [0, 1]: z from its prior, x its image.

        temperature, label: as `latent` takes them.

        Raises InvalidInput for a label that there is not.
        """
        z = self.latent(n, generator=generator, label=label, temperature=temperature)
        return self.decode(z)

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        """Go from one latent to another, each (latent_dim,), in a straight line.

        Return (steps, latent_dim). The line is right for any prior's z, and for the simplex of y.
        """
        return torch.lerp(z0, z1, torch.linspace(0, 1, steps).to(z0).unsqueeze(1))

    def traversals(self, x: Tensor | None = None) -> list[Traversal]:
        """The classes where they have a place, then each z from end to end of its prior.

        x: not looked at: no latent is told to be worth more than another.
        """
        Z, name = self.z, "cluster" if self.clusters else "class"
        ways = []
        if K := self.latent_dim - Z:
            ways.append(Traversal(name, tuple(range(Z, Z + K)), torch.eye(K).tolist()))
        reach = self.p.scale * (2.0 if self.prior == "normal" else 3.0)
        values = [(reach * (i / 4 - 1),) for i in range(9)]
        return ways + [Traversal(f"z{i}", (i,), values) for i in range(Z)]

    def joined(self, z: Tensor, y: Tensor) -> Tensor:
        """z, (n, Z), and the classes y, (n,), as latents; a negative class is none of them."""
        told = functional.one_hot(y + 1, self.classes + 1)[:, 1:]
        return torch.cat([z, told.to(z.dtype)], 1)

    def _checked(self, n: int, label: Tensor | int | None) -> Tensor:
        """A label for each of n draws, (n,), int64; -1 where it is left open."""
        if label is None:
            return torch.full((n,), -1)
        y = torch.as_tensor(label)
        if not self.classes:
            raise InvalidInput(
                f"label {label} cannot be asked for: this model was trained without any."
            )
        if int(y.min()) < 0 or int(y.max()) > self.classes:
            raise InvalidInput(
                f"label {label} cannot be asked for: expected 0 to {self.classes - 1}."
            )
        return torch.where(y == self.classes, -1, y).expand(n)


def _class_head(features: int, K: int) -> nn.Module:
    """Logits of K classes, normalized over the batch in training."""
    norm = nn.BatchNorm1d(K)
    nn.init.constant_(norm.weight, _SHARPNESS)
    return nn.Sequential(affine(features, K), norm)


def _check(encoder: str, classes: int, labels: str, clusters: int, prior: str) -> None:
    """Say which settings do not go together."""
    if encoder not in _ENCODERS:
        raise InvalidInput(f"encoder {encoder!r} is unknown: expected {', '.join(_ENCODERS)}.")
    if labels not in _LABELS:
        raise InvalidInput(f"labels {labels!r} is unknown: expected {', '.join(_LABELS)}.")
    if classes and clusters:
        raise InvalidInput(
            f"classes is {classes} and clusters {clusters}: classes are taught by labels, clusters "
            "are found without. Give one of them."
        )
    if classes and labels == "prior" and prior == "normal":
        raise InvalidInput(
            "labels = 'prior' gives each class a part of the prior, but a normal one has a single "
            "part. Set prior = 'mixture' or 'swiss-roll', or labels = 'decoder' or 'encoder'."
        )
