"""AAE: Makhzani et al. 2015, Adversarial Autoencoders.

An encoder and a decoder learn to reconstruct x, while discriminators compare the latents with
samples of a prior. So the aggregated posterior

    q(z) = ∫ q(z|x) p(x) dx

is matched to the prior, and the decoder turns samples of the prior into samples of x. The prior
need not have a density, it only has to be sampled. Labels enter at one of three places:

    prior     each class fills a part of the prior; the discriminator is conditional on the class
    decoder   the decoder is conditional on the class, and z encodes what is left: the style
    encoder   the encoder predicts the class, q(y|x), beside z: semi-supervised, from few labels.
              With `clusters` instead of `classes` it is unsupervised

With the last two the latents are (z_1 … z_Z, y_1 … y_K), y a point of the simplex.

Differences from the paper. Where the decoder is conditional on a label and none is given, inputs
are encoded with the label that reconstructs them best; the paper always has labels. Class logits
are batch-normalized: without that, all inputs soon fell into one cluster. Weights are initialized
by Glorot & Bengio's rule, the decoder's output by the training data's mean. `adversarial.py` has
the objective and its differences.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.checks import (
    check_inputs,
    check_labels,
    check_latents,
    check_path,
    check_sampling,
)
from zoo_core.config import Positive, Rate, Size
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Traversal
from zoo_latent.layers import MLPDecoder, affine, finite_logit, mlp
from zoo_latent.priors import make_prior

__all__ = ["AAE", "Code"]

_ENCODERS = ("deterministic", "gaussian", "universal")
_LABELS = ("prior", "decoder", "encoder")
_SHARPNESS = 3.0
"""Initial standard deviation of the class logits: sharp enough to pass for one-hot samples."""


class Code(NamedTuple):
    """The encoder's output."""

    z: Tensor
    """Latents, (B, Z)."""
    logits: Tensor | None
    """log q(y|x) up to a constant, (B, K), where the encoder gives classes."""


class AAE(nn.Module):
    """An autoencoder whose prior is any distribution that can be sampled.

    Args:
        shape: shape of an input: (C, H, W) or (D,).
        z: number of continuous latents.
        hidden: units of each hidden layer of the encoder; the decoder mirrors them.
        activation: tanh, relu, leaky_relu, gelu, silu or softplus.
        encoder: q(z|x): `deterministic`; `gaussian`, with a mean and a variance for each latent; or
            `universal`, a function of x and Gaussian noise of the latents' dimension.
        prior: p(z): `normal`; in the plane also `mixture` and `swiss-roll`.
        scale: scale factor of the prior; the standard deviation of a normal one.
        components: number of mixture components without labels.
        classes: number of labels; 0 trains without labels.
        labels: where labels enter: `prior`, `decoder` or `encoder`.
        clusters: number of classes that the encoder finds without labels.
        dropout: dropout probability of hidden units.
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
        scale: Positive = 1.0,
        components: Size = 10,
        classes: int = 0,
        labels: str = "encoder",
        clusters: int = 0,
        dropout: Rate = 0.0,
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
        """Initialize the decoder's output with the training data's mean, event_shape."""
        self.decoder.begin(finite_logit(mean))

    # From inputs to latents

    def code(self, x: Tensor, generator: torch.Generator | None, draw: bool = True) -> Code:
        """Encode inputs (B, *event_shape); `draw=False` leaves out the noise of q(z|x)."""
        x = x.flatten(1)
        eps = x.new_zeros(x.shape[0], self.z)
        if draw and self.kind != "deterministic":
            eps = draws.randn(*eps.shape, generator=generator, device=x.device, dtype=x.dtype)
        h = self.features(torch.cat([x, eps], 1) if self.kind == "universal" else x)
        z = self.head_z(h)
        if self.kind == "gaussian":
            mu, log_var = z.chunk(2, 1)
            z = torch.addcmul(mu, (0.5 * log_var).exp(), eps)
        return Code(z, None if self.head_y is None else self.head_y(h))

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Map inputs (B, *event_shape) to latents, (B, latent_dim): z, and y where there is one.

        generator: samples from q(z|x); None leaves out its noise.
        """
        check_inputs(self, x)
        z, logits = self.code(x, generator, draw=generator is not None)
        if logits is not None:
            return torch.cat([z, logits.softmax(1)], 1)
        if self.labels == "decoder":
            return self.join_code(z, self._best_label(x, z))
        return z

    def classify(self, x: Tensor) -> Tensor:
        """The class, or cluster, of each input (B, *event_shape): (B,), int64.

        Raises InvalidInput for a model without classes.
        """
        check_inputs(self, x)
        if self.labels == "none":
            raise InvalidInput(
                "this AAE has no classes: it was trained without labels. Set config.classes, or "
                "config.clusters, and train it again."
            )
        z, logits = self.code(x, None, draw=False)
        if logits is not None:
            return logits.argmax(1)
        return self.p.part(z) if self.labels == "prior" else self._best_label(x, z)

    def _best_label(self, x: Tensor, z: Tensor) -> Tensor:
        """The label with which the decoder reconstructs x best from z, (B, Z): (B,), int64."""
        errors = [
            (self.decode(self.join_code(z, z.new_full((z.shape[0],), k, dtype=torch.int64))) - x)
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
        """Sample n latents from the prior, (n, latent_dim): z, and a one-hot class if any.

        label: class to condition on, one for all or (n,), int64; None, or `classes`, for none.
        temperature: scales the deviation of z from the centre of its prior.
        """
        check_sampling(n, shape=(self.latent_dim,))
        weight = self.head_z.weight
        y = self._labels(n, label).to(weight.device)
        part = y if self.labels == "prior" else torch.full_like(y, -1)
        z = self.p.draw(part, generator, temperature).to(weight.dtype)
        if self.latent_dim == self.z:
            return z
        u = draws.rand(n, generator=generator, device=weight.device)
        return self.join_code(z, torch.where(y < 0, (u * self.classes).long(), y))

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to mean inputs, (n, *event_shape), in [0, 1]."""
        check_latents(self, z)
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
        """Return n samples, (n, *event_shape), in [0, 1]: z from its prior, then x = decode(z).

        temperature, label: as for `latent`.

        Raises InvalidInput for an unknown label.
        """
        check_sampling(n, temperature, self.event_shape)
        z = self.latent(n, generator=generator, label=label, temperature=temperature)
        return self.decode(z)

    def path(self, z0: Tensor, z1: Tensor, steps: int) -> Tensor:
        """Interpolate linearly between two latents, (latent_dim,) each: (steps, latent_dim).

        A line suits the z of any prior, and the simplex of y.
        """
        check_path(self, z0, z1, steps)
        return torch.lerp(z0, z1, torch.linspace(0, 1, steps).to(z0).unsqueeze(1))

    def traversals(self, x: Tensor | None = None) -> list[Traversal]:
        """Traversals of the classes, where they are latents, then of each z over its prior.

        x: ignored: the latents have no ranking.
        """
        Z, name = self.z, "cluster" if self.clusters else "class"
        found = []
        if K := self.latent_dim - Z:
            found.append(Traversal(name, tuple(range(Z, Z + K)), torch.eye(K).tolist()))
        reach = self.p.scale * (2.0 if self.prior == "normal" else 3.0)
        values = [(reach * (i / 4 - 1),) for i in range(9)]
        return found + [Traversal(f"z{i}", (i,), values) for i in range(Z)]

    def join_code(self, z: Tensor, y: Tensor) -> Tensor:
        """Concatenate z, (n, Z), and one-hot classes y, (n,); a negative class gives zeros."""
        one_hot = functional.one_hot(y + 1, self.classes + 1)[:, 1:]
        return torch.cat([z, one_hot.to(z.dtype)], 1)

    def _labels(self, n: int, label: Tensor | int | None) -> Tensor:
        """A label for each of n samples, (n,), int64; -1 for none."""
        y = check_labels(self, label, n)
        return torch.where(y == self.classes, -1, y)


def _class_head(features: int, K: int) -> nn.Module:
    """Batch-normalized logits of K classes."""
    norm = nn.BatchNorm1d(K)
    nn.init.constant_(norm.weight, _SHARPNESS)
    return nn.Sequential(affine(features, K), norm)


def _check(encoder: str, classes: int, labels: str, clusters: int, prior: str) -> None:
    """Refuse settings that do not go together."""
    if encoder not in _ENCODERS:
        raise InvalidInput(f"encoder {encoder!r} is unknown: expected {', '.join(_ENCODERS)}.")
    if labels not in _LABELS:
        raise InvalidInput(f"labels {labels!r} is unknown: expected {', '.join(_LABELS)}.")
    if classes and clusters:
        raise InvalidInput(
            f"classes is {classes} and clusters {clusters}: classes are learned with labels, "
            "clusters without. Give one of them."
        )
    if classes and labels == "prior" and prior == "normal":
        raise InvalidInput(
            "labels = 'prior' gives each class a part of the prior, but a normal prior has one "
            "part. Set prior = 'mixture' or 'swiss-roll', or labels = 'decoder' or 'encoder'."
        )
