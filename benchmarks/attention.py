"""Attention's sampler that keeps keys and values, against one that recomputes all for each pixel.

    uv run python benchmarks/attention.py [--threads 2] [--places 8]

Of the size of a well-known library's pixel transformer: 8 blocks, d = 64, 2 heads. The
naive one takes the same time for each of its 784 places (it computes all of them each time), so a
few are measured and the rest is extrapolated.
"""

import argparse
import time
from statistics import median

import torch
from torch import Tensor
from zoo_autoregressive.attention import Attention

DIGITS = 16


@torch.no_grad()
def naive(model: Attention, u: Tensor) -> Tensor:
    """Draw the first len(u) variables of each digit by a full pass for each, (n, D), int64."""
    v = torch.zeros(u.shape[1], len(model.order), dtype=torch.int64)
    for i, u_i in enumerate(u.unsqueeze(2)):
        below = model.logits(v)[:, i].softmax(1).cumsum(1)[:, :-1]
        v[:, i] = (u_i > below).sum(1)
    return v


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--places", type=int, default=8, help="of the naive sampler's, that run")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Attention(blocks=8, d=64, h=2).requires_grad_(False).eval()
    D, places = len(model.order), options.places

    cached, full = [], []
    for _ in range(options.turns):  # alternating: a machine's speed drifts
        start = time.perf_counter()
        x = model.sample(DIGITS, generator=torch.Generator().manual_seed(0))
        cached.append(time.perf_counter() - start)
        u = torch.rand(D, DIGITS, generator=torch.Generator().manual_seed(0))
        start = time.perf_counter()
        v = naive(model, u[:places])
        full.append((time.perf_counter() - start) * D / places)
    same = torch.equal(v[:, :places], model.categories(x)[:, :places])

    print(f"{DIGITS} digits of {D} pixels, 8 blocks, d = 64, 2 heads, {options.threads} threads:")
    print(f"  naive  {median(full):8.2f} s (extrapolated from {places} of {D} pixels)")
    print(f"  cached {median(cached):8.2f} s")
    print(f"  ratio  {median(full) / median(cached):8.1f}")
    print(f"  the pixels that both drew are {'equal' if same else 'NOT equal'}")


if __name__ == "__main__":
    main()
