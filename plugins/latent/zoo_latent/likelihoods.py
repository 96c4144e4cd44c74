"""Likelihoods p(x|z) of decoder outputs; variables are independent given the latents.

An output has shape (*batch, P, *event_shape): P parameters for each variable. x broadcasts against
it, so that one input can be scored against several samples of the latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.errors import InvalidInput
from zoo_core.precision import single
from zoo_latent.layers import finite_logit

__all__ = ["Bernoulli", "Categorical", "Gaussian", "Likelihood", "make_likelihood"]

_LOG_SIGMA = (-6.0, 2.0)
"""Range of log σ: a constant variable would make the density infinite."""


class Likelihood(nn.Module):
    """Base class: a distribution of the variables given the decoder's output.

    Args:
        shape: event_shape.
    """

    P: int
    levels: int | None
    unbounded = False
    """Whether x may be any real numbers."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.event_dims = tuple(range(-len(shape), 0))
        self.axis = -len(shape) - 1
        """The axis of the P parameters."""

    def bias(self, mean: Tensor) -> Tensor:
        """The output, (P, *event_shape), that best encodes a mean, event_shape."""
        raise NotImplementedError

    def terms(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x_i|z) of each variable, (*batch, *event_shape), nats.

        output: (*batch, P, *event_shape).
        x: inputs that broadcast against (*batch, *event_shape), in [0, 1].
        """
        raise NotImplementedError

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p(x|z), (*batch,), nats: the sum of the terms."""
        return self.terms(output, x).sum(self.event_dims)

    def mean(self, output: Tensor) -> Tensor:
        """E[x|z], (*batch, *event_shape), in [0, 1]."""
        raise NotImplementedError

    def sample(
        self, output: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample x given z, (*batch, *event_shape), in [0, 1]."""
        raise NotImplementedError


class Bernoulli(Likelihood):
    """Binary variables; the output is their logit."""

    P = 1
    levels = 2

    def bias(self, mean: Tensor) -> Tensor:
        """logit(mean), clamped to be finite."""
        return finite_logit(mean).unsqueeze(0)

    def terms(self, output: Tensor, x: Tensor) -> Tensor:
        """x·l − log(1 + exp l)."""
        logit = single(output).squeeze(self.axis)
        return x * logit - functional.softplus(logit)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """∑ x·l − log(1 + exp l), by one product."""
        logit = single(output).squeeze(self.axis).flatten(self.axis + 1)
        agreement: Tensor = torch.linalg.vecdot(x.flatten(self.axis + 1).to(logit.dtype), logit)
        return agreement - functional.softplus(logit).sum(-1)

    def mean(self, output: Tensor) -> Tensor:
        """The probability of a one."""
        return output.squeeze(self.axis).sigmoid()

    def sample(
        self, output: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample zeros and ones."""
        p = (single(output).squeeze(self.axis) / temperature).sigmoid()
        return draws.bernoulli(p, generator).to(output.dtype)


class Gaussian(Likelihood):
    """Real variables: a mean and a learned variance.

    Args:
        shape: event_shape.
        each: whether the decoder predicts a variance for each variable, as in the paper; otherwise
            one variance is shared by all (Rybkin et al. 2021, Simple and Effective VAE Training
            with Calibrated Decoders).
        squashed: whether the mean passes through a sigmoid, as in the paper.
    """

    levels = None

    def __init__(self, shape: Sequence[int], each: bool = False, squashed: bool = True) -> None:
        super().__init__(shape)
        self.P, self.squashed = (2 if each else 1), squashed
        self.unbounded = not squashed
        self.log_sigma = None if each else nn.Parameter(torch.tensor(-1.0))

    def bias(self, mean: Tensor) -> Tensor:
        """The mean, or its logit; and log σ = −1."""
        mean = finite_logit(mean) if self.squashed else mean
        return torch.stack([mean, torch.full_like(mean, -1.0)])[: self.P]

    def terms(self, output: Tensor, x: Tensor) -> Tensor:
        """log N(x; μ, σ²)."""
        mu, log_sigma = self._moments(single(output))
        squares = ((x - mu) * (-log_sigma).exp()) ** 2
        return -0.5 * squares - log_sigma - 0.5 * math.log(2 * math.pi)

    def mean(self, output: Tensor) -> Tensor:
        """μ, clamped to [0, 1]."""
        return self._moments(output)[0].clamp(0, 1)

    def sample(
        self, output: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """μ + σ ε, clamped to [0, 1]; σ² is multiplied by the temperature."""
        mu, log_sigma = self._moments(output)
        noise = draws.randn(*mu.shape, generator=generator, device=mu.device, dtype=mu.dtype)
        sampled: Tensor = mu + temperature**0.5 * log_sigma.exp() * noise
        return sampled.clamp(0, 1)

    def _moments(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """μ, (*batch, *event_shape), and log σ that broadcasts against it."""
        parts = output.unbind(self.axis)
        log_sigma = parts[1] if self.log_sigma is None else self.log_sigma
        mu = parts[0].sigmoid() if self.squashed else parts[0]
        return mu, log_sigma.to(mu.dtype).clamp(*_LOG_SIGMA)


class Categorical(Likelihood):
    """Categorical variables, such as 256 grey levels: a softmax over the values.

    Args:
        shape: event_shape.
        levels: number of values of a variable.
    """

    def __init__(self, shape: Sequence[int], levels: int) -> None:
        super().__init__(shape)
        self.P = self.levels = levels

    def bias(self, mean: Tensor) -> Tensor:
        """Zeros: a mean says little about a distribution over many values."""
        return mean.new_zeros(self.P, *mean.shape)

    def terms(self, output: Tensor, x: Tensor) -> Tensor:
        """log softmax at the value of x."""
        output = single(output)
        category = (single(x) * (self.P - 1)).round().long().unsqueeze(self.axis)
        shape = (*output.shape[: self.axis], 1, *output.shape[self.axis + 1 :])
        chosen = output.gather(self.axis, category.expand(shape)).squeeze(self.axis)
        return chosen - output.logsumexp(self.axis)

    def mean(self, output: Tensor) -> Tensor:
        """The mean value."""
        values = torch.linspace(0, 1, self.P, device=output.device, dtype=output.dtype)
        return output.softmax(self.axis).movedim(self.axis, -1) @ values

    def sample(
        self, output: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample values."""
        p = (single(output) / temperature).softmax(self.axis).movedim(self.axis, -1)
        sampled = draws.categorical(p, generator)
        return sampled.to(output.dtype) / (self.P - 1)


def make_likelihood(name: str, shape: Sequence[int], levels: int) -> Likelihood:
    """Make a likelihood by name; `auto` follows the number of levels."""
    if name == "auto":
        name = "bernoulli" if levels == 2 else "categorical"
    if name == "bernoulli" and levels != 2:
        raise InvalidInput(
            f"likelihood is 'bernoulli' with levels = {levels}; expected levels = 2, or the "
            "likelihood 'categorical' or 'gaussian'."
        )
    match name:
        case "bernoulli":
            return Bernoulli(shape)
        case "categorical":
            return Categorical(shape, levels)
        case "gaussian" | "gaussian-each" | "gaussian-linear":
            return Gaussian(shape, each=name.endswith("each"), squashed=name != "gaussian-linear")
    raise InvalidInput(
        f"likelihood {name!r} is unknown: expected auto, bernoulli, categorical, gaussian (one "
        "variance), gaussian-each (one of each variable) or gaussian-linear (an unbounded mean)."
    )
