"""The Parzen-window log-likelihood, which implicit models used to be measured by.

Held-out rows are scored under a mixture of isotropic Gaussians, one about each of n samples,

    log p(x) ≈ log 1/n ∑_i N(x; x_i, σ² I),

whose σ is the best of a grid on validation rows (Breuleux et al. 2011, Goodfellow et al. 2014). It
is comparable with published figures of the same n, and with nothing else.

Theis, van den Oord & Bethge 2016, A Note on the Evaluation of Generative Models: in many dimensions
it is far from the likelihood for any n that can be had, and it does not rank models: the centres of
k-means score above samples of the true distribution. So those two stand beside every figure:
`parzen_data`, where training rows take the place of the samples, and `parzen_kmeans`, where the
centres do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, Root, load, seeded
from zoo_core.metrics.samples import OfSamples, choose, samples_of
from zoo_core.options import option
from zoo_core.protocols import Generator

__all__ = [
    "OfCentres",
    "OfWindow",
    "kmeans",
    "log_likelihood",
    "parzen",
    "parzen_data",
    "parzen_kmeans",
]

_SIGMAS = torch.logspace(-1, 0, 30, dtype=torch.float64)


@dataclass(frozen=True, kw_only=True)
class OfWindow(OfSamples):
    """The protocol of a Parzen window."""

    binarize: str = option("none", "Binarization of grey levels: none", choices=("none",))
    validation: str = option(
        "", "Rows that σ is chosen by; those of the validation split by default"
    )


@dataclass(frozen=True, kw_only=True)
class OfCentres(OfWindow):
    """The protocol of a Parzen window about the centres of k-means."""

    iterations: int = option(3, "Of k-means", minimum=0)


def parzen(model: Generator, protocol: OfWindow, data_root: Root = None) -> Measured:
    """Mean log-likelihood of held-out rows under a Parzen window about samples, in nats.

    Raises InvalidInput for samples of another shape than the rows.
    """
    return _measure(samples_of(model, protocol), protocol, data_root)


def parzen_data(model: nn.Module, protocol: OfWindow, data_root: Root = None) -> Measured:
    """The same, fitted to training rows: what samples from the data's own distribution score."""
    rows = load(protocol, data_root, protocol.train, "train")
    chosen = choose(rows, protocol.samples, seeded(protocol.seed))
    return _measure(rows.floats(chosen), protocol, data_root)


def parzen_kmeans(model: nn.Module, protocol: OfCentres, data_root: Root = None) -> Measured:
    """The same, fitted to the centres of k-means: no model at all, and yet a high score."""
    rows = load(protocol, data_root, protocol.train, "train")
    first = choose(rows, protocol.samples, seeded(protocol.seed))
    centres = kmeans(rows.floats().flatten(1), first, protocol.iterations)
    return _measure(centres.view(-1, *rows.event_shape), protocol, data_root)


def log_likelihood(x: Tensor, samples: Tensor, sigmas: Tensor) -> Tensor:
    """log p of each row under a Parzen window for each width, (B, S), float64, nats.

    x: rows, (B, D). samples: (n, D). sigmas: (S,), float64.
    """
    D = x.shape[1]
    constant = math.log(len(samples)) + D * (sigmas.log() + 0.5 * math.log(2 * math.pi))
    precision = (0.5 / sigmas**2).tolist()
    parts = []
    for part in x.split(BATCH):
        squares = _squares(part, samples)
        parts.append(torch.stack([(squares * -w).logsumexp(1) for w in precision], 1).double())
    return torch.cat(parts) - constant


def kmeans(x: Tensor, first: Tensor, iterations: int) -> Tensor:
    """Centres of x after so many of Lloyd's iterations, (k, D).

    A centre to which no row is nearest stays where it is.

    x: rows, (N, D). first: places of the rows that are centres at first, (k,), int64.
    """
    centres = x[first].clone()
    for _ in range(iterations):
        nearest = torch.cat([_squares(part, centres).argmin(1) for part in x.split(BATCH)])
        counts = torch.bincount(nearest, minlength=len(centres)).unsqueeze(1)
        sums = torch.zeros_like(centres).index_add_(0, nearest, x)
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return centres


@torch.inference_mode()
def _measure(samples: Tensor, protocol: OfWindow, data_root: Root) -> Measured:
    """Choose σ on the validation rows, and measure the held-out ones."""
    held_out = load(protocol, data_root)
    validation = load(protocol, data_root, protocol.validation, "validation")
    if samples.shape[1:] != held_out.event_shape:
        raise InvalidInput(
            f"{held_out.name} has rows of shape {held_out.event_shape}, but the samples have "
            f"{tuple(samples.shape[1:])}."
        )
    samples = samples.flatten(1)
    by_sigma = log_likelihood(validation.floats().flatten(1), samples, _SIGMAS).mean(0)
    sigma = _SIGMAS[by_sigma.argmax()].view(1)
    return Measured.of(log_likelihood(held_out.floats().flatten(1), samples, sigma).squeeze(1))


def _squares(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of each row of x, (B, D), to each of y, (n, D): (B, n)."""
    squares = torch.addmm(y.square().sum(1), x, y.t(), alpha=-2)
    return squares.add_(x.square().sum(1, keepdim=True)).clamp_min_(0)
