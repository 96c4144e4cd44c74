"""Samplers that keep what they computed, against a full pass of the network for each variable.

    uv run python benchmarks/sampling.py [NAME...] [--threads 2] [--places 16]

Both draw 16 digits with the same seed, in one run, with weights as they are before training; the
FVSBN's are the published ones, since its sampler has the more to do the more weights there are. A
full pass costs the same at each of the 784 places, so that only some are measured (--places 784 for
all); there the draws must be equal. Attention has a benchmark of its own.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from zoo_autoregressive.diagonal_bilstm import DiagonalBiLSTM
from zoo_autoregressive.layers import BinaryAutoregressive
from zoo_autoregressive.made import MADE
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.pixelcnn import PixelCNN
from zoo_autoregressive.pixels import PixelNetwork
from zoo_autoregressive.row_lstm import RowLSTM

from zoo_core import load

DIGITS = 16
MODELS: dict[str, tuple[str, Callable[[], Any]]] = {
    "fvsbn": ("trained", lambda: load("fvsbn.mnist")),
    "made": ("8,000 units", lambda: MADE(hidden=[8000])),
    "nade": ("500 units", NADE),
    "pixelcnn": ("15 layers, h = 16", PixelCNN),
    "row-lstm": ("7 layers, h = 16", RowLSTM),
    "diagonal-bilstm": ("7 layers, h = 16", DiagonalBiLSTM),
}


def logits(model: BinaryAutoregressive | PixelNetwork, x: Tensor, t: int) -> Tensor:
    """A full pass over x, (n, D) in the order, for the logits of its t-th variable, (n,)."""
    if isinstance(model, BinaryAutoregressive):
        return model.logits(x)[:, t]
    image = torch.empty_like(x).index_copy(1, model.order, x).reshape(len(x), *model.event_shape)
    return model.logits(image).flatten(1)[:, model.order[t]]


@torch.no_grad()
def naive(model: Any, u: Tensor, places: int) -> Tensor:
    """Draw the first places of the order, (n, places), by the numbers u, (D, n)."""
    x = torch.zeros(u.shape[1], u.shape[0])
    for t in range(places):
        x[:, t] = logits(model, x, t) > torch.logit(u[t])
    return x[:, :places]


def measure(model: Any, places: int, turns: int) -> tuple[float, float, bool]:
    """Seconds of the naive and of the cached sampler, and whether they drew the same."""
    D, same = len(model.order), True
    times: dict[str, list[float]] = {"cached": [], "naive": []}
    for turn in range(turns + 1):  # alternating: a machine's speed drifts; the first is not counted
        start = time.perf_counter()
        x = model.sample(DIGITS, generator=torch.Generator().manual_seed(turn))
        middle = time.perf_counter()
        u = torch.rand(D, DIGITS, generator=torch.Generator().manual_seed(turn))
        slow = naive(model, u, places)
        end = time.perf_counter()
        same &= torch.equal(slow, x.flatten(1)[:, model.order[:places]])
        if turn:
            times["cached"].append(middle - start)
            times["naive"].append((end - middle) * D / places)
    return median(times["naive"]), median(times["cached"]), same


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--places", type=int, default=16, help="of the naive sampler's, that run")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MODELS):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    torch.set_num_threads(options.threads)
    print(f"{DIGITS} digits, {options.threads} threads; naive from {options.places} of 784 places")
    for name in options.names or MODELS:
        size, make = MODELS[name]
        torch.manual_seed(0)
        slow, fast, same = measure(make().requires_grad_(False), options.places, options.turns)
        words = "equal draws" if same else "DRAWS DIFFER"
        print(
            f"  {name:16} naive {slow:8.2f} s, cached {fast:7.3f} s, ratio {slow / fast:6.0f}, "
            f"{words}{', ' if size else ''}{size}"
        )


if __name__ == "__main__":
    main()
