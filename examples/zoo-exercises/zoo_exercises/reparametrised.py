"""Exercise 8: the reparametrised gradient (Kingma & Welling 2014).

The gradient of E[f(z)] by μ and σ goes through the sample when z is a function of μ, σ and of noise
that depends on neither. Write that function.

    zoo plugin check . --architecture reparametrised-gradient
"""

import torch
from torch import Tensor, nn


class Reparametrised(nn.Module):
    """A Gaussian that is sampled with gradients.

    Args:
        shape: shape of one sample, (D,).
    """

    def __init__(self, shape: tuple[int, ...] = (2,)) -> None:
        super().__init__()
        self.event_shape = tuple(shape)

    def draw(self, μ: Tensor, log_variance: Tensor, generator: torch.Generator) -> Tensor:
        """Sample z from N(μ, σ²), (B, D); μ and log σ²: (B, D)."""
        raise NotImplementedError  # your lines here
