"""A mixture of Gaussians that is fitted to a VAE's latents, to sample from in place of N(0, I).

Ghosh et al. 2020, From Variational to Deterministic Autoencoders (arXiv 1903.12436): where q(z|x)
of all data together is not N(0, I), latents from N(0, I) are ones that the decoder never saw. A
density that is fitted to the latents afterwards samples like them. Bounds do not change: their
prior is N(0, I).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo_core import draws

__all__ = ["Mixture"]

_STEPS = 40
_FLOOR = 1e-3
"""Added to each variance: parts may have few latents."""


class Mixture(nn.Module):
    """Gaussians with covariances of their own; N(0, I) until it is fitted.

    Args:
        parts: number of Gaussians.
        z: number of latents.
    """

    weights: Tensor
    """Weights of the parts, (parts,); their sum is 1."""
    means: Tensor
    """(parts, z)."""
    scales: Tensor
    """Cholesky factors of the covariances, (parts, z, z)."""

    def __init__(self, parts: int, z: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.full((parts,), 1 / parts))
        self.register_buffer("means", torch.zeros(parts, z))
        self.register_buffer("scales", torch.eye(z).repeat(parts, 1, 1))

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Sample n latents, (n, z)."""
        u = draws.rand(n, generator=generator, device=self.means.device)
        part = (u[:, None] > self.weights.float().cumsum(0)).sum(1).clamp_max(len(self.weights) - 1)
        eps = draws.randn(
            n, self.means.shape[1], generator=generator, device=u.device, dtype=self.means.dtype
        )
        return self.means[part] + torch.einsum("nij,nj->ni", self.scales[part], eps)

    @torch.no_grad()
    def fit(self, z: Tensor, generator: torch.Generator | None = None) -> None:
        """Fit the parts to latents (n, z) by expectation maximisation, from random latents.

        Of fewer latents than parts, some parts begin, and stay, alike.
        """
        z, parts = z.double(), len(self.weights)
        order = torch.randperm(len(z), generator=generator, device=z.device)
        means = z[order.repeat(-(-parts // len(z)))[:parts]]
        spread = torch.cov(z.T, correction=0).view(z.shape[1], z.shape[1]) + _FLOOR * torch.eye(
            z.shape[1], dtype=z.dtype, device=z.device
        )
        scales = torch.linalg.cholesky(spread).repeat(parts, 1, 1)
        weights = torch.full((parts,), 1 / parts, dtype=z.dtype, device=z.device)
        for _ in range(_STEPS):
            share = _log_densities(z, weights, means, scales).softmax(1)  # (n, parts)
            count = share.sum(0).clamp_min(1e-6)
            weights, means = count / len(z), (share.T @ z) / count[:, None]
            off = z[:, None] - means  # (n, parts, z)
            covariance = torch.einsum("nk,nki,nkj->kij", share, off, off) / count[:, None, None]
            # towards the covariance of all, the more so the fewer latents a part has
            trust = (count / (count + z.shape[1]))[:, None, None]
            scales = torch.linalg.cholesky(trust * covariance + (1 - trust) * spread)
        self.weights.copy_(weights)
        self.means.copy_(means)
        self.scales.copy_(scales)


def _log_densities(z: Tensor, weights: Tensor, means: Tensor, scales: Tensor) -> Tensor:
    """log of weight times density of each latent in each part, (n, parts)."""
    off = (z[:, None] - means).transpose(0, 1).transpose(1, 2)  # (parts, z, n)
    white = torch.linalg.solve_triangular(scales, off, upper=False)
    log_det = scales.diagonal(dim1=1, dim2=2).log().sum(1)
    squares = white.square().sum(1).T  # (n, parts)
    found: Tensor = weights.log() - log_det - 0.5 * (squares + z.shape[1] * math.log(2 * math.pi))
    return found
