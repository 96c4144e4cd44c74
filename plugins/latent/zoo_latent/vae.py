"""VAE: Kingma & Welling 2013, Auto-Encoding Variational Bayes; Burda et al. 2015, IWAE.

With x = z_0 and L stochastic layers,

    p(x, z) = N(z_L; 0, I) ∏ p(z_{l-1} | z_l),   q(z | x) = ∏ q(z_l | z_{l-1})

where every q and every p above x is a Gaussian with a diagonal covariance, whose mean and log
variance are affine in the last hidden layer of a network. One layer is the paper's VAE,

    log p(x) >= E_q[log p(x|z)] − KL(q(z|x) ‖ p(z))
    log p(x) >= E[log 1/k ∑_i w_i],   w_i = p(x, z_i) / q(z_i | x)

Differences from the papers. tanh units are those of Burda et al., but weights are initialized by
Glorot's rule without their factor. With L > 1 the KL of the top layer is in closed form and that of
the others is a Monte Carlo estimate; they estimate all. The convolutional form is ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from zoo_core import draws
from zoo_core.checks import check_inputs, check_latents, check_sampling, check_whole
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, weight_of
from zoo_core.protocols import ELBO, ELBOTerms, Traversal
from zoo_latent.layers import ConvDecoder, ConvEncoder, MLPDecoder, TimmEncoder, affine, mlp
from zoo_latent.likelihoods import make_likelihood
from zoo_latent.mixture import Mixture

__all__ = ["VAE", "Normal"]

_ROWS = 2000
"""Rows that are decoded at once; more do not fit in the cache."""
_COLOUR = {
    "z": 64,
    "hidden": [32, 64, 128, 256],
    "activation": "silu",
    "encoder": "conv",
    "likelihood": "gaussian",
}
"""The config for colour images: an MLP with a softmax over 256 levels of each colour of each pixel
takes gigabytes."""
_MOMENTUM = 0.01
"""Weight of a batch in the running mean of each latent's KL."""


class Normal(NamedTuple):
    """A Gaussian with a diagonal covariance."""

    mu: Tensor
    """(*batch, Z)."""
    log_var: Tensor
    """(*batch, Z)."""

    def draw(self, generator: torch.Generator | None, k: int | None = None) -> Tensor:
        """Sample once, (*batch, Z), or k times, (k, *batch, Z)."""
        shape = self.mu.shape if k is None else (k, *self.mu.shape)
        eps = draws.randn(
            *shape,
            dim=len(shape) - 2,
            generator=generator,
            device=self.mu.device,
            dtype=self.mu.dtype,
        )
        return torch.addcmul(self.mu, (0.5 * self.log_var).exp(), eps)

    def terms(self, z: Tensor) -> Tensor:
        """log N(z_i; mu_i, var_i) of each latent, (*batch, Z)."""
        log_var = single(self.log_var)
        squares = (single(z) - self.mu) ** 2 * (-log_var).exp()
        return -0.5 * (squares + log_var + math.log(2 * math.pi))

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; mu, var), (*batch,)."""
        return self.terms(z).sum(-1)

    def kl(self) -> Tensor:
        """KL to N(0, I) of each latent, (*batch, Z), nats."""
        mu, log_var = single(self.mu), single(self.log_var)
        return 0.5 * (mu**2 + log_var.exp() - log_var - 1)


class Layer(nn.Module):
    """A conditional Gaussian: q(z_l | z_{l-1}) or p(z_{l-1} | z_l).

    Args:
        network: maps inputs to features.
        features: number of features.
        z: number of the Gaussian's variables.
    """

    def __init__(self, network: nn.Module, features: int, z: int) -> None:
        super().__init__()
        self.network, self.moments = network, affine(features, 2 * z)

    def forward(self, x: Tensor) -> Normal:
        """The Gaussian of each row."""
        mu, log_var = self.moments(self.network(x)).chunk(2, -1)
        # keeps exp finite; learned values stay far inside
        return Normal(mu, log_var.clamp(-14, 14))


class VAE(nn.Module):
    """A variational autoencoder.

    Its likelihood is an intractable integral over the latents: it implements Bound, and not
    DensityModel.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        levels: number of values of a variable: 2 for Bernoulli variables, more for a softmax.
        z: number of latents; a list, from x upwards, for several stochastic layers.
        hidden: units of each hidden layer of the encoder (for `conv` the channels), mirrored by the
            decoder; a list of lists for several stochastic layers.
        activation: tanh, relu, leaky_relu, gelu, silu or softplus.
        encoder: `mlp`, `conv`, or the name of one of timm's backbones; the decoder is convolutional
            unless it is `mlp`.
        likelihood: `auto` by the levels, `bernoulli`, `categorical`, `gaussian`, `gaussian-each` or
            `gaussian-linear`; the latter three take variables as real numbers.
        prior_parts: Gaussians of a mixture that is fitted to the latents at each validation, from
            which latents are sampled in place of N(0, I); 0 for none.
    """

    kl: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        levels: int = 2,
        z: int | Sequence[int] = 50,
        hidden: Sequence[int] | Sequence[Sequence[int]] = (200, 200),
        activation: str = "tanh",
        encoder: str = "mlp",
        likelihood: str = "auto",
        prior_parts: int = 0,
    ) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        Z, H = _stochastic_layers(z, hidden)
        self.latent_dim = Z[-1]
        self.likelihood = make_likelihood(likelihood, shape, levels)
        self.levels = self.likelihood.levels
        output = (self.likelihood.P, *shape)
        first, features = _encoder(encoder, shape, H[0], activation)
        self.q = nn.ModuleList([Layer(first, features, Z[0])])
        self.p = nn.ModuleList()
        for (below, z_above), units in zip(pairwise(Z), H[1:], strict=True):
            self.q.append(_layer(below, units, z_above, activation))
            self.p.append(_layer(z_above, units[::-1], below, activation))
        self.decoder: MLPDecoder | ConvDecoder
        if encoder == "mlp":
            self.decoder = MLPDecoder([Z[0], *H[0][::-1]], output, activation)
        else:
            self.decoder = ConvDecoder(Z[0], output, H[0], activation)
        self.register_buffer("kl", torch.zeros(self.latent_dim))
        self.fitted = Mixture(prior_parts, self.latent_dim) if prior_parts else None

    @staticmethod
    def config_for(shape: Sequence[int], config: Mapping[str, Any]) -> dict[str, Any]:
        """A config for data of a shape: convolutions and a Gaussian for colour images.

        config: what is given; it is left as it is where it chooses networks or a likelihood.
        """
        colour = len(shape) == 3 and shape[0] > 1
        chosen = {"hidden", "encoder", "activation", "likelihood"} & config.keys()
        return {**(_COLOUR if colour and not chosen else {}), **config}

    def __getattr__(self, name: str) -> Any:
        """Explain why there is no exact likelihood."""
        if name == "log_prob":
            raise AttributeError(
                "a VAE is no DensityModel: log p(x) = log ∫ p(x|z) p(z) dz is intractable. Use its "
                "lower bounds: log_prob_bound(x, k), which is tighter for larger k, or elbo(x)."
            )
        return super().__getattr__(name)

    def begin(self, mean: Tensor) -> None:
        """Initialize the decoder's output with the training data's mean, event_shape."""
        self.decoder.begin(self.likelihood.bias(mean))

    # Latents and inputs

    @property
    def unbounded(self) -> bool:
        """Whether variables may be any real numbers."""
        return self.likelihood.unbounded

    def posterior(self, x: Tensor) -> Normal:
        """q(z_1 | x) of inputs x (B, *event_shape)."""
        check_inputs(self, x)
        normal: Normal = self.q[0](x)
        return normal

    def encode(self, x: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Map inputs (B, *event_shape) to latents of the top layer, (B, latent_dim)."""
        top = self._top(x, generator)
        return top.mu if generator is None else top.draw(generator)

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Sample n latents, (n, latent_dim), from N(0, I) or from the fitted mixture."""
        check_sampling(n, shape=(self.latent_dim,))
        if self.fitted is not None:
            return self.fitted.draw(n, generator)
        weight = weight_of(self.decoder)
        return draws.randn(
            n, self.latent_dim, generator=generator, device=weight.device, dtype=weight.dtype
        )

    def decode(self, z: Tensor) -> Tensor:
        """Map latents (n, latent_dim) to mean images, (n, *event_shape), in [0, 1]."""
        check_latents(self, z)
        for layer in reversed(self.p):
            z = layer(z).mu
        return self.likelihood.mean(self.decoder(z))

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1]: z from its prior, x given z.

        temperature: of x given z; towards 0, the most probable x for each z.
        """
        check_sampling(n, temperature, self.event_shape)
        z = self.latent(n, generator=generator)
        for layer in reversed(self.p):
            z = layer(z).draw(generator)
        return self.likelihood.sample(self.decoder(z), generator, temperature)

    def traversals(self, x: Tensor | None = None) -> list[Traversal]:
        """Traversals of each latent from −3 to 3, sorted by KL, largest first.

        x: inputs over which the KL is averaged, (B, *event_shape), in [0, 1]; None takes the
            running mean of training.
        """
        kl = self.kl if x is None else self.kl_per_dimension(x)
        values = [(-3 + 0.75 * i,) for i in range(9)]
        order = kl.argsort(descending=True).tolist()
        return [Traversal(f"z{i} ({float(kl[i]):.2f} nats)", (i,), values) for i in order]

    # Bounds

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None, k: int = 1) -> ELBO:
        """The evidence lower bound and its two terms, averaged over k samples of the latents.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        path = self._climb(self.posterior(x), k, generator)
        kl = path.top.kl()
        self._note(kl)
        reconstruction = self.likelihood.log_prob(self.decoder(path.z), x)
        prior_fitting = (path.ratios.sum(-1) + kl.sum(-1)).expand_as(reconstruction)
        return ELBO(reconstruction.mean(0), prior_fitting.mean(0))

    def elbo_terms(self, x: Tensor, *, generator: torch.Generator | None = None) -> ELBOTerms:
        """The terms of `elbo`: of each variable, and of each latent from the first layer upwards.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        path = self._climb(self.posterior(x), 1, generator)
        kl = path.top.kl().expand_as(path.z_top)
        reconstruction = self.likelihood.terms(self.decoder(path.z), x)
        return ELBOTerms(reconstruction[0], torch.cat([path.ratios, kl], -1)[0])

    def log_weights(self, x: Tensor, k: int, *, generator: torch.Generator | None = None) -> ELBO:
        """The two terms of log w = log p(x|z) − log q(z|x)/p(z) of k samples, each (k, B), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        return self._weigh(self.posterior(x), x, k, generator)

    def log_prob_bound(
        self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        """Importance-weighted lower bound of log p(x), (B,), nats: log 1/k ∑ w_i.

        In expectation it increases with k, towards log p(x). Inputs are encoded once and decoded in
        chunks: memory does not grow with k.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        check_whole("k", k, "a whole number of samples of the latents", 1)
        q, at_once = self.posterior(x), max(1, _ROWS // max(1, len(x)))
        total = single(x).new_full((len(x),), -math.inf)
        for start in range(0, k, at_once):
            weights = self._weigh(q, x, min(at_once, k - start), generator)
            total = torch.logaddexp(total, weights.bound.logsumexp(0))
        return total - math.log(k)

    def kl_per_dimension(self, x: Tensor) -> Tensor:
        """Mean KL of each latent of the top layer over inputs x, (latent_dim,), nats."""
        return self._top(x, None).kl().mean(0)

    def _top(self, x: Tensor, generator: torch.Generator | None) -> Normal:
        """q of the top layer, given means or samples of the layers below."""
        normal = self.posterior(x)
        for layer in self.q[1:]:
            normal = layer(normal.mu if generator is None else normal.draw(generator))
        return normal

    def _weigh(self, q: Normal, x: Tensor, k: int, generator: torch.Generator | None) -> ELBO:
        path = self._climb(q, k, generator)
        self._note(path.top.kl())
        prior = Normal(torch.zeros_like(path.z_top), torch.zeros_like(path.z_top))
        ratio = path.ratios.sum(-1) + path.top.log_prob(path.z_top) - prior.log_prob(path.z_top)
        return ELBO(self.likelihood.log_prob(self.decoder(path.z), x), ratio)

    def _climb(self, q: Normal, k: int, generator: torch.Generator | None) -> _Path:
        """Sample the latents from x upwards, k times."""
        z = first = q.draw(generator, k)
        ratios = [z.new_empty(*z.shape[:-1], 0)]
        for up, down in zip(self.q[1:], self.p, strict=True):
            below, z_below = q, z
            q = up(z_below)
            z = q.draw(generator)
            ratios.append(below.terms(z_below) - down(z).terms(z_below))
        return _Path(first, torch.cat(ratios, -1), q, z)

    @torch.no_grad()
    def _note(self, kl: Tensor) -> None:
        """Update the running mean of each latent's KL, (*batch, latent_dim), in training mode."""
        if self.training:
            mean = kl.flatten(0, -2).mean(0).to(self.kl.dtype)  # of mixed precision, too
            self.kl.lerp_(mean, _MOMENTUM)


class _Path(NamedTuple):
    """Latents sampled from x upwards."""

    z: Tensor
    """Of the first layer, (k, B, Z)."""
    ratios: Tensor
    """log q(z_l | z_{l-1}) − log p(z_l | z_{l+1}) of each latent below the top, (k, B, any)."""
    top: Normal
    """q of the top layer, (B, Z) where it is the first, else (k, B, Z)."""
    z_top: Tensor
    """(k, B, Z)."""


def _stochastic_layers(
    z: int | Sequence[int], hidden: Sequence[int] | Sequence[Sequence[int]]
) -> tuple[list[int], list[list[int]]]:
    """The number of latents and the hidden units of each stochastic layer."""
    Z = [z] if isinstance(z, int) else list(z)
    nested = [list(units) for units in hidden if not isinstance(units, int)]
    H = nested or [[units for units in hidden if isinstance(units, int)]]
    if not Z or len(Z) != len(H) or (nested and len(nested) != len(hidden)):
        raise InvalidInput(
            f"z is {z} and hidden {hidden}; expected a list of hidden units for each stochastic "
            "layer, as z = [100, 50] with hidden = [[200, 200], [100, 100]]."
        )
    return Z, H


def _encoder(
    name: str, shape: Sequence[int], hidden: Sequence[int], activation: str
) -> tuple[nn.Module, int]:
    """The network from x to features, and the number of features."""
    if name == "mlp":
        sizes = [prod(shape), *hidden]
        return nn.Sequential(nn.Flatten(), *mlp(sizes, activation)), sizes[-1]
    if name == "conv":
        conv = ConvEncoder(shape, hidden, activation)
        return conv, conv.features
    backbone = TimmEncoder(name, shape[0])
    return backbone, backbone.features


def _layer(inputs: int, hidden: Sequence[int], z: int, activation: str) -> Layer:
    """A Gaussian of z latents given those of another layer."""
    sizes = [inputs, *hidden]
    return Layer(mlp(sizes, activation), sizes[-1], z)
