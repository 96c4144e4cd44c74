"""What several models of this family share."""

import torch
from torch import Tensor

from zoo_core.errors import InvalidInput

__all__ = ["bernoulli_logits", "permutation", "prefix_length"]


def permutation(D: int, order: str, seed: int) -> Tensor:
    """The order in which the chain rule visits D variables, (D,), int64.

    order: `raster` for 0 … D-1, `random` for a permutation drawn from `seed`.
    """
    if order == "raster":
        return torch.arange(D)
    if order == "random":
        # on the CPU whatever the default device: the order is the same everywhere
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(D, generator=generator, device="cpu")
    raise InvalidInput(f"order {order!r} is unknown: expected raster or random.")


def bernoulli_logits(mean: Tensor) -> Tensor:
    """Logits of Bernoulli means; means of 0 and 1 are held off at 1e-3.

    mean: in [0, 1].
    """
    return torch.logit(mean, eps=1e-3)


def prefix_length(known: Tensor, order: Tensor) -> int:
    """The number of known variables, when they are the first ones of the order.

    known: which variables are given, event_shape, bool.
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
