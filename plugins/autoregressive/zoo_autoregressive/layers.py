"""Shared by several models: the chain rule, orders and ancestral sampling."""

import reprlib
from collections.abc import Generator, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core import draws
from zoo_core.checks import check_inputs, check_mask, check_sampling
from zoo_core.errors import InvalidInput
from zoo_core.precision import single, single_type, weight_of

__all__ = [
    "BinaryAutoregressive",
    "ChainRule",
    "Independent",
    "bernoulli_log_prob",
    "bernoulli_logits",
    "check_levels",
    "choose",
    "keep_order",
    "permutation",
    "prefix_length",
    "unpermute",
]


class ChainRule(nn.Module):
    """Base class of density models by the chain rule, sampled one variable at a time.

    Subclasses implement `conditionals`, and `walk` or a sampler of their own.
    """

    event_shape: tuple[int, ...]
    levels: int | None
    order: Tensor

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        raise NotImplementedError

    def walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """Yield the logits of each variable in turn, and receive its sampled value, (n,).

        Logits are (n,) for binary variables, before the sigmoid, and (n, levels) otherwise, before
        the softmax. State is kept between steps, so a walk costs about as much as one pass over
        all variables.

        x: the variables before the first step, in the order, (n, d), in [0, 1].
        """
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log-probability of each input, or log-density of real values, (B,), nats.

        x: inputs, (B, *event_shape), in [0, 1].
        """
        return self.conditionals(x).sum(1)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Return n samples, (n, *event_shape), in [0, 1]."""
        check_sampling(n, temperature, self.event_shape)
        nothing = weight_of(self).new_empty(n, 0)
        return self._ancestral(nothing, generator, temperature)

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown variables of each input given the known ones.

        x: inputs, (B, *event_shape), in [0, 1].
        known: mask of the known variables, event_shape, bool; they must come first in the order.

        Raises InvalidInput when an unknown variable comes before a known one.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        check_sampling(len(x), temperature)
        d = prefix_length(known, self.order)
        return self._ancestral(x.flatten(1)[:, self.order[:d]], generator, temperature)

    def _ancestral(
        self, x: Tensor, generator: torch.Generator | None, temperature: float
    ) -> Tensor:
        """Sample the variables after x, (n, d), in the order."""
        return self._along(self.walk(x), x, generator, temperature)

    @torch.no_grad()
    def _along(
        self,
        walk: Generator[Tensor, Tensor, None],
        x: Tensor,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Tensor:
        """Sample the variables after x, (n, d), in the order, from the logits of a walk."""
        (n, d), D, binary = x.shape, len(self.order), self.levels == 2
        kind = single_type(x.dtype)
        u = draws.rand(D - d, n, dim=1, generator=generator, device=x.device, dtype=kind)
        # u < sigm(l / T) is l > T logit(u): no sigmoid inside the loop
        numbers = torch.logit(u) * temperature if binary else u
        sampled, x_i = torch.empty_like(u, dtype=x.dtype), None
        # a walk keeps what it has computed in memory of the weights' type
        with torch.autocast(x.device.type, enabled=False):
            for number, slot in zip(numbers.unbind(), sampled.unbind(), strict=True):
                logits = next(walk) if x_i is None else walk.send(x_i)
                if binary:
                    x_i = torch.gt(logits, number, out=slot)
                else:
                    x_i = slot.copy_(choose(single(logits) / temperature, number))
        x = torch.cat([x, sampled.t()], 1)
        return unpermute(x, self.order).reshape(n, *self.event_shape)


class Independent(ChainRule):
    """Base class of independent variables; subclasses implement `conditionals` and `sample`."""

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Sample the unknown variables, which are independent of the known ones.

        x: inputs, (B, *event_shape), in [0, 1].
        known: mask of the known variables, event_shape, bool; any.
        """
        check_mask(self, known)
        check_inputs(self, x, known)
        sampled = self.sample(len(x), generator=generator, temperature=temperature)
        return torch.where(known.to(x.device), x, sampled)


class BinaryAutoregressive(ChainRule):
    """Base class of binary density models by the chain rule; subclasses implement `logits`.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    levels = 2
    b: nn.Parameter
    """Biases of the logits, (D,), in the order."""

    def __init__(self, shape: tuple[int, ...], order: str | Sequence[int], order_seed: int) -> None:
        super().__init__()
        self.event_shape = tuple(shape)
        D = torch.Size(shape).numel()
        keep_order(self, permutation(D, order, order_seed))
        self.b = nn.Parameter(torch.zeros(D))

    def logits(self, x: Tensor) -> Tensor:
        """The logit of p(x_i = 1 | x_<i) of each variable, in the order: (B, D).

        x: variables in the order, (B, D), in {0, 1}.
        """
        raise NotImplementedError

    def begin(self, mean: Tensor) -> None:
        """Set b to the logit of the training data's mean.

        mean: event_shape, in [0, 1].
        """
        with torch.no_grad():
            self.b.copy_(bernoulli_logits(mean.flatten())[self.order])

    def conditionals(self, x: Tensor) -> Tensor:
        """log p(x_i | x before i) of each variable, at its own place in x: (B, D), nats."""
        check_inputs(self, x)
        x = x.flatten(1)[:, self.order]
        return unpermute(bernoulli_log_prob(self.logits(x), x), self.order)


def bernoulli_log_prob(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x_i) of each variable, in single precision or better, nats.

    x: in {0, 1}, of the logits' shape.
    """
    return -functional.binary_cross_entropy_with_logits(single(logits), single(x), reduction="none")


def check_levels(levels: int) -> int:
    """Return the number of values of a variable; raises InvalidInput below 2."""
    if levels < 2:
        raise InvalidInput(f"levels is {levels}; expected 2 or more: a variable has two values.")
    return levels


def keep_order(module: nn.Module, order: Tensor, name: str = "order") -> None:
    """Keep an order, (D,), or several, (K, D), int64, as a buffer of a module.

    Weights that hold something else there than permutations are refused with a ValueError.
    """
    module.register_buffer(name, order)
    module.register_load_state_dict_post_hook(partial(_check_order, name))


def _check_order(name: str, module: nn.Module, _: object) -> None:
    held = module.get_buffer(name)
    variables = torch.arange(held.shape[-1], device=held.device).expand_as(held)
    if not (held.is_meta or torch.equal(held.sort(-1).values, variables)):
        raise ValueError(f"{name} is no permutation of the variables")


def choose(logits: Tensor, u: Tensor) -> Tensor:
    """Invert the CDF of a softmax at uniform numbers: values in [0, 1], (n,).

    logits: one for each level, (n, levels).
    u: (n,), in [0, 1).
    """
    below = torch.softmax(logits, 1).cumsum(1)[:, :-1]
    return (below <= u.unsqueeze(1)).sum(1).to(u.dtype) / below.shape[1]


def permutation(D: int, order: str | Sequence[int], seed: int) -> Tensor:
    """The order in which the chain rule visits D variables, (D,), int64.

    order: `raster` for 0 … D-1, `random` for a permutation seeded by `seed`, or a list of all
        variables.
    """
    if order == "raster":
        return torch.arange(D)
    if order == "random":
        # on the CPU whatever the default device: the order is the same everywhere
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(D, generator=generator, device="cpu")
    if isinstance(order, Sequence) and len(order) == D and set(order) == set(range(D)):
        return torch.tensor(order, device="cpu")
    raise InvalidInput(
        f"order is {reprlib.repr(order)}; expected raster, random, or a list of the variables, "
        f"0 to {D - 1}, each once."
    )


def bernoulli_logits(mean: Tensor) -> Tensor:
    """Logits of Bernoulli means; means are clamped to [1e-3, 1 - 1e-3].

    mean: in [0, 1].
    """
    return torch.logit(mean, eps=1e-3)


def unpermute(x: Tensor, order: Tensor) -> Tensor:
    """Move variables from the order back to their own places, (n, D).

    order: the permutation, (D,), int64.
    """
    return x.new_empty(x.shape).index_copy(1, order, x)


def prefix_length(known: Tensor, order: Tensor) -> int:
    """The number of known variables, which must come first in the order.

    known: mask of the known variables, event_shape, bool.
    order: the permutation, (D,), int64.

    Raises InvalidInput when an unknown variable comes before a known one.
    """
    in_order = known.flatten().to(order.device)[order]
    d = int(in_order.sum())
    if not in_order[:d].all():
        first = int((~in_order).nonzero()[0])
        raise InvalidInput(
            f"this model can only complete what comes after the known variables in its order: "
            f"{d} of {len(order)} are known, but the one at place {first + 1} of the order is not. "
            "Give a mask whose known variables come first (for a raster order: whole rows from the "
            "top), or use an order-agnostic model."
        )
    return d
