"""Bounds of a latent-variable model's likelihood, their terms, and how many latents are active."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from zoo_core.metrics.likelihood import held_out
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import OfBinaryRows, Root, seeded
from zoo_core.options import option
from zoo_core.protocols import Bound, Encoder

__all__ = ["OfBound", "OfWeightedBound", "active_units", "elbo", "iw_bound", "prior_fitting"]

_ACTIVE = 0.01
"""Variance, over the rows, of a latent's posterior mean from which it is active (Burda et al.)."""


@dataclass(frozen=True, kw_only=True)
class OfBound(OfBinaryRows):
    """The protocol of a metric that samples latents."""

    seed: int = option(0, "Seed of the latents' samples and of binarization", minimum=0)


@dataclass(frozen=True, kw_only=True)
class OfWeightedBound(OfBound):
    """The protocol of a bound that is tighter with more samples of the latents."""

    k: int = option(5000, "Samples of the latents for each row", minimum=1)


def iw_bound(model: Bound, protocol: OfWeightedBound, data_root: Root = None) -> Measured:
    """Mean of −log 1/k ∑ w_i, in expectation at least −log p(x), in nats (Burda et al. 2015)."""
    random = seeded(protocol.seed, model)

    def bound(x: Tensor) -> Tensor:
        return model.log_prob_bound(x, protocol.k, generator=random)

    return Measured.of(-held_out(model, protocol, data_root, bound, random))


def elbo(model: Bound, protocol: OfBound, data_root: Root = None) -> Measured:
    """Mean of the negative evidence lower bound, in nats."""
    random = seeded(protocol.seed, model)

    def bound(x: Tensor) -> Tensor:
        return model.elbo(x, generator=random).bound

    return Measured.of(-held_out(model, protocol, data_root, bound, random))


def prior_fitting(model: Bound, protocol: OfBound, data_root: Root = None) -> Measured:
    """Mean of the ELBO's second term, the KL of the posterior to the prior, in nats."""
    random = seeded(protocol.seed, model)

    def divergence(x: Tensor) -> Tensor:
        return model.elbo(x, generator=random).prior_fitting

    return Measured.of(held_out(model, protocol, data_root, divergence, random))


def active_units(model: Encoder, protocol: OfBound, data_root: Root = None) -> Measured:
    """Number of latents that depend on the input: their posterior mean varies by more than 0.01."""
    means = held_out(model, protocol, data_root, model.encode)
    return Measured(float((means.var(0) > _ACTIVE).sum()), math.nan, len(means))
