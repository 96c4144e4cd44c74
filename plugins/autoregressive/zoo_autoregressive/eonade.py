"""EoNADE: Uria, Murray & Larochelle 2014, A Deep and Tractable Density Estimator (ICML).

One network for every order (DeepNADE). It sees the known variables, and which ones they are,
o in {0, 1}^D:

    h^1 = relu(c + W (x ⊙ o) + W_o o),   h^l = relu(c^l + U^l h^{l-1}),
    logit p(x_i = 1 | x_o) = b_i + V_i·h^L

Training samples a mask of known variables, their number d uniform; the others are predicted at
once, weighted so that the loss is an unbiased estimate of -log p(x) under a random order:

    (D + 1) / (D - d) · Σ_{i not in o} -log p(x_i | x_o),   0 where d = D

The density is the equal mixture of the networks of K fixed orders: the log-mean-exp of their
log-probabilities (a mean of logits would be no likelihood).

Each visited variable adds a row of W and W_o to the first layer, whose activations are carried
along; later layers are recomputed at each step. With one layer, one order costs as little as in
NADE.

Differences from the paper. It samples d from 0 … D - 1 and weights by D / (D - d); here each
variable is known with a probability that is itself uniform, which makes d uniform on 0 … D without
sorting. b starts at the logit of the training data's mean. The optimiser is the
recipe's, and all layers learn at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import bernoulli_log_prob, bernoulli_logits, keep_order
from zoo_core import draws
from zoo_core.checks import check_inputs, check_mask, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.export import exporting
from zoo_core.precision import single_type
from zoo_core.training.objective import Objective

__all__ = ["EoNADE", "OrderAgnostic"]


class EoNADE(nn.Module):
    """A mixture over orders that can complete any mask.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        hidden: number of units of each hidden layer.
        orders: number of orders in the mixture, K.
        order_seed: seed of the orders.
    """

    levels = 2
    orders: Tensor

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: Sequence[int] = (500,),
        orders: int = 16,
        order_seed: int = 0,
    ) -> None:
        super().__init__()
        if orders < 1 or not hidden:
            raise InvalidInput(
                f"eonade needs at least one order and one hidden layer; given orders = {orders}, "
                f"hidden = {list(hidden)}."
            )
        self.event_shape = tuple(shape)
        D = torch.Size(shape).numel()
        generator = torch.Generator().manual_seed(order_seed)
        sampled = [torch.randperm(D, generator=generator, device="cpu") for _ in range(orders)]
        keep_order(self, torch.stack(sampled), "orders")
        self.W = nn.Parameter(torch.empty(D, hidden[0]))
        self.W_o = nn.Parameter(torch.empty(D, hidden[0]))
        self.c = nn.Parameter(torch.zeros(hidden[0]))
        layers = [nn.Linear(below, H) for below, H in pairwise(hidden)]
        self.layers = nn.ModuleList(layers)
        self.V = nn.Parameter(torch.empty(D, hidden[-1]))
        self.b = nn.Parameter(torch.zeros(D))
        for weight in (self.W, self.W_o, self.V):
            nn.init.normal_(weight, std=(1 / D) ** 0.5)  # smaller ones learn far more slowly
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def begin(self, mean: Tensor) -> None:
        """Set b to the logit of the training data's mean, event_shape, in [0, 1]."""
        with torch.no_grad():
            self.b.copy_(bernoulli_logits(mean.flatten()))

    def logits(self, x: Tensor, o: Tensor) -> Tensor:
        """The logit of p(x_i = 1 | x_o) of each variable: (B, D).

        x: variables, (B, D), in {0, 1}; those that o leaves out are ignored.
        o: which variables are known, (B, D), in {0, 1}.
        """
        return functional.linear(
            self._last_layer(self._first_layer(x.where(o > 0, 0.0), o)), self.V, self.b
        )

    def _first_layer(self, x: Tensor, o: Tensor) -> Tensor:
        """a = c + W x + W_o o, (B, H): what goes into the first layer; x is zero where o is."""
        return torch.addmm(self.c, torch.cat([x, o], 1), torch.cat([self.W, self.W_o]))

    def _last_layer(self, a: Tensor) -> Tensor:
        """The units of the last layer, (B, H'), of what goes into the first, (B, H)."""
        h = torch.relu(a)
        for layer in self.layers:
            h = torch.relu(layer(h))
        return h

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
        check_inputs(self, x)
        x = x.flatten(1)
        if exporting():
            return bernoulli_log_prob(self._logits_in(x, order), x).sum(1)
        x = x[:, order]
        W, V, W_o = self.W[order], self.V[order], self.W_o[order]
        a, logits = self.c.expand(x.shape[0], -1), []
        for x_i, W_i, W_oi, V_i in zip(x.unbind(1), W, W_o, V, strict=True):
            logits.append(torch.mv(self._last_layer(a), V_i))
            a = torch.addr(a + W_oi, x_i, W_i)
        return bernoulli_log_prob(torch.stack(logits, 1) + self.b[order], x).sum(1)

    def _logits_in(self, x: Tensor, order: Tensor) -> Tensor:
        """The logits of all variables in one order, at their own places, (B, D), for x (B, D).

        The weights are not put in order, so that an exported file holds them once.
        """
        rows = (x.unsqueeze(2) * self.W + self.W_o)[:, order]
        a = (rows.cumsum(1) - rows)[:, order.argsort()]
        return (self._last_layer(self.c + a) * self.V).sum(2) + self.b

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}; each in a random order of the mixture."""
        check_sampling(n, temperature, self.event_shape)
        of = draws.randint(len(self.orders), n, generator=generator, device=self.orders.device)
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
        """Sample the unknown variables given any known ones, each input in a random order.

        x: inputs, (B, *event_shape), in {0, 1}.
        known: mask of the known variables, event_shape, bool.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        check_sampling(len(x), temperature)
        o, x = known.flatten().to(x.device), x.flatten(1)
        u = draws.rand(*x.shape, generator=generator, device=x.device)
        order = torch.where(o, -1.0, u).argsort(1)  # the known ones first
        return self._ancestral(x.where(o, 0.0), order, int(o.sum()), generator, temperature)

    @torch.no_grad()
    def _ancestral(
        self,
        x: Tensor,
        order: Tensor,
        d: int,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Tensor:
        """Sample the variables after the first d of each row's own order, (n, D); a is carried."""
        (n, D), rows = x.shape, torch.arange(len(x), device=x.device)
        o = torch.zeros_like(x).scatter_(1, order[:, :d], 1.0)
        a = self._first_layer(x, o)
        kind = single_type(x.dtype)
        u = draws.rand(D - d, n, dim=1, generator=generator, device=x.device, dtype=kind)
        x = x.clone()
        for i, threshold in zip(order[:, d:].unbind(1), torch.logit(u) * temperature, strict=True):
            logit = (self._last_layer(a) * self.V[i]).sum(1) + self.b[i]
            x_i = (logit > threshold).to(x.dtype)
            a += self.W_o[i] + x_i.unsqueeze(1) * self.W[i]
            x[rows, i] = x_i
        return x.reshape(n, *self.event_shape)


class OrderAgnostic(Objective):
    """Minimises an unbiased estimate of -log p(x) under a random order, in nats.

    Args:
        model: an EoNADE.
    """

    monitor: ClassVar[str] = "order_nll"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the weighted cross-entropy of the masked variables of each input, (B,)."""
        x = x.flatten(1)
        B, D = x.shape
        # the probability of being known is stratified over the batch: less variance
        p = torch.arange(B, device=x.device) / B + torch.rand(
            1, generator=generator, device=x.device
        )
        u = torch.rand(B, D, generator=generator, device=x.device)
        o = (u < p.frac().unsqueeze(1)).to(x.dtype)
        each = functional.binary_cross_entropy_with_logits(
            self.model.logits(x, o), x, reduction="none"
        )
        left_out = 1 - o
        # where nothing is left out the sum is zero
        return {"order_nll": (each * left_out).sum(1) * (D + 1) / left_out.sum(1).clamp(min=1)}
