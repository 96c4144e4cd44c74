"""How much memory a training takes, estimated before its first step.

Counted are the data, the weights with what belongs to them, and what a batch keeps for its
backward pass: measured on a few rows, as the slope in their number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from zoo_core import memory
from zoo_core.text import argument
from zoo_core.training.seeds import stream
from zoo_core.training.sharding import shares_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.training.loop import Loop
    from zoo_core.training.recipe import Recipe

__all__ = ["check", "of_loop", "of_weights"]

_COPIES = 4
"""Of each weight: itself, its gradient and two moments of the optimiser."""
_GATHERED = 2
"""Of each weight that is shared out: itself and its gradient, while its network computes."""
_BACKWARD = 1.5
"""What is kept and its gradients are there at once for a part of it."""
_ROWS = (1, 3)


def of_weights(networks: Iterable[nn.Module], recipe: Recipe, shares: int = 1) -> int:
    """Bytes of networks with their gradients, an optimiser's moments and a moving average.

    shares: processes of which each keeps its share, and all weights and gradients for a while.
    """
    copies = (_COPIES + bool(recipe.ema)) / shares + (_GATHERED if shares > 1 else 0)
    return sum(
        int(parameter.numel() * parameter.element_size() * copies)
        if parameter.requires_grad
        else parameter.numel() * parameter.element_size()
        for network in networks
        for parameter in network.parameters()
    )


def of_loop(loop: Loop, processes: int = 1, *, together: bool = False) -> int:
    """Bytes that a loop takes, which is not yet running.

    processes: those of this machine whose memory is counted.
    together: whether they hold the data once.
    """
    data = (loop.batches.train.x, loop.batches.validation.x)
    held = sum(x.numel() * x.element_size() for x in data)
    mean = 4 * data[0].numel()  # all rows as numbers, once at the beginning, in the first process
    weights = of_weights(loop.networks.values(), loop.recipe, shares_of(loop.fabric))
    own = weights + _of_batch(loop)
    return held * (1 if together else processes) + max(mean, own) + (processes - 1) * own


def check(name: str, needed: int, device: torch.device, *, forced: bool) -> None:
    """Raise InvalidInput where more memory is needed than the device has, unless it is forced.

    name: of what is trained.
    """
    if not forced:
        memory.require(
            f"training {name} takes",
            needed,
            f"Take a smaller batch ({argument('batch_size')}), smaller images "
            f"({argument('size')}) or a smaller model, or train all the same "
            f"({argument('over_memory', True)}).",
            device,
        )


def _of_batch(loop: Loop) -> int:
    """Bytes that a batch keeps for its backward pass; nothing where a few rows cannot be tried."""
    try:
        few, more = (_kept_bytes(loop, rows) for rows in _ROWS)
    except Exception:  # the trainer's own, which training will say in its place
        return 0
    slope = (more - few) / (_ROWS[1] - _ROWS[0])
    rows = loop.recipe.batch_size / loop.fabric.world_size / loop.recipe.accumulate
    return int(_BACKWARD * (few + max(0.0, slope) * (rows - _ROWS[0])))


def _kept_bytes(loop: Loop, rows: int) -> int:
    """Bytes beside the weights that the losses of some rows keep for a backward pass.

    They are counted and let go at once, so that trying takes little memory.
    """
    weights = {
        parameter.untyped_storage().data_ptr()
        for network in loop.networks.values()
        for parameter in network.parameters()
    }
    total = 0

    def count(kept: Tensor) -> None:
        nonlocal total
        if kept.untyped_storage().data_ptr() not in weights:
            total += kept.numel() * kept.element_size()

    batch = loop.batches.held_out(rows)
    labels = None if batch.labels is None else batch.labels.cpu()
    random = stream(loop.recipe.seed, "memory", 0)
    never = torch.autograd.graph.saved_tensors_hooks(count, lambda _: None)  # type: ignore[arg-type, return-value] # none is used again
    with loop.evaluated(), torch.enable_grad(), torch.random.fork_rng(devices=[]), never:
        loop.trainer.validation_step(batch.x.cpu(), random, labels)
    return total
