"""EoNADE: Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator (ICML).

One network for every order. It sees the known variables, and which ones they are, o in {0, 1}^D:

    h = relu(c + W (x ⊙ o) + W_o o),   logit p(x_i = 1 | x_o) = b_i + V_i·h

Training draws an order and how many variables d it has passed; what comes after them is predicted
at once, weighted so that the loss is an unbiased estimate of -log p(x) under a random order:

    D / (D - d) · Σ_{i not in o} -log p(x_i | x_o)

The density is the equal mixture of the networks of K fixed orders: the log-mean-exp of their
log-probabilities (a mean of logits would be no likelihood).

We differ from the paper in three places. There is one hidden layer, as in its EoNADE 1hl: then a
variable that is passed adds a row to h's pre-activation, and an order costs as little as in NADE.
b starts at the logit of the training data's mean. Training uses whatever optimiser the recipe
names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import bernoulli_logits
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Update

__all__ = ["EoNADE", "OrderAgnostic"]


class EoNADE(nn.Module):
    """An ensemble over orders that can complete any mask.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        hidden: number of hidden units, H.
        orders: number of orders in the mixture, K.
        order_seed: seed of the orders.
    """

    levels = 2
    orders: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: int = 500,
        orders: int = 16,
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        if orders < 1:
            raise InvalidInput(f"eonade has at least one order; given orders = {orders}.")
        self.event_shape = tuple(shape)
        D, H = torch.Size(shape).numel(), hidden
        generator = torch.Generator().manual_seed(order_seed)
        drawn = [torch.randperm(D, generator=generator, device="cpu") for _ in range(orders)]
        self.register_buffer("orders", torch.stack(drawn))
        self.W = nn.Parameter(torch.empty(D, H))
        self.W_o = nn.Parameter(torch.empty(D, H))
        self.V = nn.Parameter(torch.empty(D, H))
        self.b = nn.Parameter(torch.zeros(D))
        self.c = nn.Parameter(torch.zeros(H))
        for weight in (self.W, self.W_o, self.V):
            nn.init.normal_(weight, std=(1 / D) ** 0.5)  # smaller ones learn far more slowly

    def begin(self, mean: Tensor) -> None:
        """Set b to the logit of the training data's mean, event_shape, in [0, 1]."""
        with torch.no_grad():
            self.b.copy_(bernoulli_logits(mean.flatten()))

    def logits(self, x: Tensor, o: Tensor) -> Tensor:
        """The logit of p(x_i = 1 | x_o) of each variable: (B, D).

        x: variables, (B, D), in {0, 1}; those that o leaves out are ignored.
        o: which variables are known, (B, D), in {0, 1}.
        """
        a = torch.addmm(self.c, x * o, self.W) + o @ self.W_o
        return functional.linear(torch.relu(a), self.V, self.b)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-probability of each input under the mixture over orders, (B,), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        """
        each = torch.stack([self.log_prob_in(x, order) for order in self.orders])
        return each.logsumexp(0) - math.log(len(self.orders))

    def log_prob_in(self, x: Tensor, order: Tensor) -> Tensor:
        """Log-probability of each input in one order, (B,), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        order: the permutation, (D,), int64.
        """
        x = x.flatten(1)[:, order]
        W, V, W_o = self.W[order], self.V[order], self.W_o[order]
        a, logits = self.c.expand(len(x), -1), []
        for x_i, W_i, W_oi, V_i in zip(x.unbind(1), W, W_o, V, strict=True):
            logits.append(torch.mv(torch.relu(a), V_i))
            a = torch.addr(a + W_oi, x_i, W_i)
        log_p = -functional.binary_cross_entropy_with_logits(
            torch.stack(logits, 1) + self.b[order], x, reduction="none"
        )
        return log_p.sum(1)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw n samples, (n, *event_shape), in {0, 1}; each one in an order of the mixture."""
        of = torch.randint(len(self.orders), (n,), generator=generator, device=self.orders.device)
        x = self.b.new_zeros(n, len(self.b))
        return self._ancestral(x, self.orders[of], 0, generator, temperature)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Draw the unknown variables of each input given any others, each in a random order.

        x: inputs, (B, *event_shape), in {0, 1}.
        known: which variables are given, event_shape, bool.
        """
        o, x = known.flatten().to(x.device), x.flatten(1)
        u = torch.rand(x.shape, generator=generator, device=x.device)
        order = torch.where(o, -1.0, u).argsort(1)  # the known ones first
        return self._ancestral(x * o, order, int(o.sum()), generator, temperature)

    @torch.no_grad()
    def _ancestral(
        self,
        x: Tensor,
        order: Tensor,
        d: int,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Tensor:
        """Draw the variables after the first d of each row's own order, (n, D); a is carried."""
        (n, D), rows = x.shape, torch.arange(len(x), device=x.device)
        o = torch.zeros_like(x).scatter_(1, order[:, :d], 1.0)
        a = torch.addmm(self.c, x, self.W) + o @ self.W_o
        u = torch.rand(D - d, n, generator=generator, device=x.device, dtype=x.dtype)
        x = x.clone()
        for i, threshold in zip(order[:, d:].unbind(1), torch.logit(u) * temperature, strict=True):
            logit = (torch.relu(a) * self.V[i]).sum(1) + self.b[i]
            x_i = (logit > threshold).to(x.dtype)
            a += self.W_o[i] + x_i.unsqueeze(1) * self.W[i]
            x[rows, i] = x_i
        return x.reshape(n, *self.event_shape)


class OrderAgnostic:
    """Minimises an unbiased estimate of -log p(x) under a random order, in nats.

    Args:
        model: an EoNADE.
    """

    monitor: ClassVar[str] = "order_nll"

    def __init__(self, model: nn.Module) -> None:
        self.networks = {"model": model}

    @property
    def _model(self) -> EoNADE:
        return cast("EoNADE", self.networks["model"])

    def begin(self, mean: Tensor) -> None:
        """Let the model start from the training data's mean, event_shape."""
        self._model.begin(mean)

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Apply the loss of a batch x, (B, *event_shape)."""
        loss = self._losses(x, generator).mean()
        update["model"](loss)
        return {"order_nll": loss.detach()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the estimate of each input, (B,), nats."""
        return {"order_nll": self._losses(x, generator)}

    def _losses(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """D / (D - d) times the cross-entropy of the D - d variables that a random o leaves out."""
        x = x.flatten(1)
        B, D = x.shape
        d = torch.randint(D, (B, 1), generator=generator, device=x.device)
        ranks = torch.rand(B, D, generator=generator, device=x.device).argsort(1).argsort(1)
        o = (ranks < d).to(x.dtype)
        each = functional.binary_cross_entropy_with_logits(
            self._model.logits(x, o), x, reduction="none"
        )
        return (each * (1 - o)).sum(1) * D / (D - d.squeeze(1))
