"""NADE at the size of `nade.mnist`: training and sampling against their plain loops, in one run.

    uv run python benchmarks/nade.py [--threads 2]

A machine's speed drifts, so each figure is the median of turns that alternate; those of a single
thread are processor time, which other programs do not disturb. `sliced` is the loop as it is mostly
written: the gradient of each slice has the size of the whole weight.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional
from zoo_autoregressive.nade import NADE

BATCH = 100


def naive_log_prob(model: NADE, x: Tensor) -> Tensor:
    """The paper's recursion, a variable at a time, left to autograd."""
    x = x.flatten(1)
    a = model.c.expand(len(x), -1)
    logits = []
    for x_i, W_i, V_i, b_i in zip(
        x.unbind(1), model.W.unbind(), model.V.unbind(), model.b, strict=True
    ):
        logits.append(torch.mv(torch.relu(a), V_i) + b_i)
        a = a + torch.outer(x_i, W_i)
    log_p = -functional.binary_cross_entropy_with_logits(
        torch.stack(logits, 1), x, reduction="none"
    )
    return log_p.sum(1)


def sliced_log_prob(model: NADE, x: Tensor) -> Tensor:
    """The same, with a slice of each weight for each variable."""
    x = x.flatten(1)
    a, logits = model.c.expand(len(x), -1), []
    for i in range(x.shape[1]):
        logits.append(torch.relu(a) @ model.V[i : i + 1].t() + model.b[i : i + 1])
        a = a + x[:, i : i + 1] @ model.W[i : i + 1]
    log_p = -functional.binary_cross_entropy_with_logits(torch.cat(logits, 1), x, reduction="none")
    return log_p.sum(1)


def step(model: NADE, log_prob: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[], None]:
    """One step of training: forward, backward, Adam."""
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def run() -> None:
        optimizer.zero_grad()
        (-log_prob(x).mean()).backward()
        optimizer.step()

    return run


def seconds(runs: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median time of each, in alternating turns after one that is not counted."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            start = clock()
            run()
            if turn:
                times[name].append(clock() - start)
    return {name: median(values) for name, values in times.items()}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = NADE(activation="relu")
    x = (torch.rand(BATCH, 1, 28, 28) < 0.19).float()

    train = seconds(
        {
            "chunked": step(model, model.log_prob, x),
            "naive": step(model, lambda x: naive_log_prob(model, x), x),
            "sliced": step(model, lambda x: sliced_log_prob(model, x), x),
        },
        options.turns,
    )
    print(f"training, {BATCH} images, {options.threads} threads (forward, backward, Adam):")
    for name, taken in train.items():
        print(f"  {name:8} {BATCH / taken:7.0f} images/s")
    for name in ("naive", "sliced"):
        print(f"  chunked, times as fast as {name:8} {train[name] / train['chunked']:7.2f}")

    sizes = (1, 16, 1000)
    draw = seconds({str(n): lambda n=n: model.sample(n) for n in sizes}, options.turns)  # type: ignore[misc]
    print("sampling:")
    for n in sizes:
        print(f"  {n:4} digits {draw[str(n)]:8.4f} s  {1e3 * draw[str(n)] / n:8.3f} ms each")
    print(f"  each of 1,000 against one alone: {1000 * draw['1'] / draw['1000']:.1f} times faster")


if __name__ == "__main__":
    main()
