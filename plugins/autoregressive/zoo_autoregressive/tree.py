"""Tree-structured models, shared by the chain and Chow-Liu: each variable has one parent.

    p(x) = p(x_root) ∏ p(x_i | x_parent(i)),   2n - 1 parameters

Exact conditioning on any known variables costs one pass up the tree and one down (Pearl 1988).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.counting import check_alpha
from zoo_autoregressive.layers import ChainRule, bernoulli_log_prob, keep_order, unpermute
from zoo_core import draws
from zoo_core.checks import check_inputs, check_mask, check_sampling
from zoo_core.precision import single_type

__all__ = ["Tree"]


class Tree(ChainRule):
    """Binary variables in a tree; base class: subclasses choose the order and the parents.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        alpha: added to the count of each value of a variable and its parent.
        order: initial order, (D,), the root first; the parent of each variable is the one before.
    """

    levels = 2
    parent: Tensor
    """Place in the order of the parent of each variable but the root, (D - 1,), int64."""

    def __init__(self, shape: tuple[int, ...], alpha: float, order: Tensor) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        self.alpha = check_alpha(alpha)
        D = len(order)
        keep_order(self, order)
        self.register_buffer("parent", torch.arange(D - 1))
        self.register_load_state_dict_post_hook(_check_tree)  # type: ignore[no-untyped-call] # of torch
        self.root = nn.Parameter(torch.zeros(1), requires_grad=False)
        """The root's logit."""
        self.logits = nn.Parameter(torch.zeros(D - 1, 2), requires_grad=False)
        """Logits of the others, in the order, given a parent of 0 and of 1."""

    def statistics(self, x: Tensor) -> Tensor:
        """How often two variables are 1 together: (1 + D, 1 + D), int64; variable 0 is always 1."""
        check_inputs(self, x)
        ones = functional.pad(x.flatten(1), (1, 0), value=1.0)
        return (ones.t() @ ones).round().long()

    def fit(self, counts: Tensor) -> None:
        """Set the logits from the sum of the statistics, (1 + D, 1 + D)."""
        N, α = counts.cpu().double(), self.alpha
        order = 1 + self.order.cpu()
        child, parent = order[1:], order[self.parent.cpu()]
        n, n_root, n_child, n_parent = N[0, 0], N[0, order[:1]], N[0, child], N[0, parent]
        n_both = N[parent, child]
        on = torch.stack([n_child - n_both, n_both], 1)
        seen = torch.stack([n - n_parent, n_parent], 1)
        self.root.data.copy_(torch.logit((n_root + α) / (n + 2 * α)))
        self.logits.data.copy_(torch.logit((on + α) / (seen + 2 * α)))

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x_parent(i)) of each variable, at its own place in x: (B, D), nats.

        x: inputs, (B, *event_shape), in {0, 1}.
        """
        check_inputs(self, x)
        x = x.flatten(1)[:, self.order]
        others = _conditional_logits(self.logits, x[:, self.parent])
        logits = torch.cat([self.root.expand(x.shape[0], 1), others], 1)
        return unpermute(bernoulli_log_prob(logits, x), self.order)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in {0, 1}."""
        check_sampling(n, temperature, self.event_shape)
        return self._down(self.root.new_zeros(len(self.order), n), generator, temperature)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown variables of each input given the known ones, exactly.

        x: inputs, (B, *event_shape), in {0, 1}.
        known: mask of the known variables, event_shape, bool; any.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        check_sampling(len(x), temperature)
        order = self.order
        log_odds = self._up(x.flatten(1)[:, order], known.flatten().to(order.device)[order])
        sampled = self._down(log_odds, generator, temperature)
        return torch.where(known.to(x.device), x, sampled)

    def _up(self, x: Tensor, known: Tensor) -> Tensor:
        """Evidence from the known variables at and below each one: log-odds of 1, (D, B).

        x: variables in the order, (B, D). known: (D,), in the order.
        """
        never = x.new_tensor(float("inf"))
        own = torch.where(known, (2 * x - 1) * never, torch.zeros_like(x)).t().unbind()
        evidence, parents = list(own), self.parent.tolist()
        for logits, child, parent in reversed(
            list(zip(self.logits.unbind(), range(1, len(own)), parents, strict=True))
        ):
            off, on = (_log_odds_message(logit, evidence[child]) for logit in logits)
            evidence[parent] = evidence[parent] + on - off
        return torch.stack(evidence)

    @torch.no_grad()
    def _down(
        self, log_odds: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample each variable given its parent and the evidence from below, (D, n)."""
        u = draws.rand(*log_odds.shape, dim=1, generator=generator, device=log_odds.device)
        # u < sigm(l / T) is l > T logit(u): no sigmoid inside the loop
        kind = single_type(log_odds.dtype)
        threshold = (torch.logit(u).to(kind) * temperature - log_odds).unbind()
        sampled = [(self.root > threshold[0]).to(log_odds.dtype)]
        parents = zip(self.logits.unbind(), self.parent.tolist(), threshold[1:], strict=True)
        for logits, parent, threshold_i in parents:
            sampled.append(
                (_conditional_logits(logits, sampled[parent]) > threshold_i).to(log_odds.dtype)
            )
        x = torch.stack(sampled, 1)
        return unpermute(x, self.order).reshape(len(x), *self.event_shape)


def _check_tree(tree: nn.Module, _: object) -> None:
    """Refuse weights whose parents do not come before their children."""
    parent = tree.get_buffer("parent")
    if parent.is_meta:
        return
    if not ((parent >= 0) & (parent <= torch.arange(len(parent), device=parent.device))).all():
        raise ValueError("parent is no tree: a parent does not come before its child in the order")


def _conditional_logits(logits: Tensor, parent: Tensor) -> Tensor:
    """The logits of variables whose parents have these values.

    logits: (…, 2). parent: (B, …), in {0, 1}.
    """
    return torch.lerp(logits[..., 0], logits[..., 1], parent)


def _log_odds_message(logit: Tensor, evidence: Tensor) -> Tensor:
    """log Σ_b p(b) exp(b · evidence), for b of this logit: the message from a child to its parent.

    Where the evidence is certain, in favour of 1, the part that all parents share is left out.
    """
    certain = evidence == float("inf")
    finite = torch.where(certain, torch.zeros_like(evidence), evidence)
    on, off = functional.logsigmoid(logit), functional.logsigmoid(-logit)
    return torch.where(certain, on.expand_as(finite), torch.logaddexp(off, on + finite))
