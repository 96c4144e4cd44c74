"""The recurrence that computes its own gradient, against the plain loop left to autograd."""

import pytest
import torch
from torch import Tensor
from zoo_autoregressive.recurrence import Spans, lstm, recur

CASES = {
    "rows": (1, 3, 4, [(0, 4)] * 3),
    "diagonals": (2, 2, 3, [(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)]),
    "diagonals of a tall image": (2, 2, 4, [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]),
}


def naive(x: Tensor, U: Tensor, h0: Tensor, c0: Tensor, spans: Spans, R: int) -> Tensor:
    (G, _, B, _), h = x.shape, h0.shape[1]
    k = U.shape[1] // h
    line = [h0[:, None].expand(G, B, h)] * (R + k - 1)
    cells = [c0[:, None].expand(G, B, h)] * R
    y = []
    for lo, hi in spans:
        old = list(line)
        for r in range(lo, hi):
            a = x[:, len(y)] + torch.cat(old[r : r + k], -1) @ U
            line[r + 1], cells[r] = lstm(a, cells[r])
            y.append(line[r + 1])
    return torch.stack(y, 1)


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_plain_loop_and_so_is_its_gradient(case: str) -> None:
    G, k, R, spans = CASES[case]
    N, B, h = sum(hi - lo for lo, hi in spans), 2, 3
    generator = torch.Generator().manual_seed(0)
    shapes = [(G, N, B, 4 * h), (G, k * h, 4 * h), (G, h), (G, h)]
    given = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    results = []
    for run in (recur, naive):
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        y = run(*leaves, spans, R)
        weights = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).double()
        results.append((y, *torch.autograd.grad((y * weights).sum(), leaves)))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
