"""The recurrence of the two PixelRNNs: an LSTM that runs along many lines at once.

A line has R cells, each with a state h and c; a step renews the states of some cells, lo to hi,
from k neighbouring ones that the step before left (the first of them is cell r - 1):

    i, f, o = sigm(a),  g = tanh(a),   a = x + Σ_q h_{r-1+q} U_q
    c_r <- f c_r + i g,   h_r <- o tanh(c_r)

What is outside, and each cell before its first step, has the learned state h0, c0. Row LSTM steps
down over rows (R = W, k = 3: neighbours left and right); Diagonal BiLSTM over diagonals (R = H,
k = 2: the cell above, and the same one, which is the pixel to the left).

The input's part x comes in one product for all steps. So does the gradient of U on the way back,
which is written out here: left to autograd, a step would be some thirty nodes of a graph. In it
tanh(a) is 2 sigm(2a) - 1, which is several times faster on a processor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from zoo_core.export import exporting

__all__ = ["Spans", "State", "lstm", "recur"]

Spans = Sequence[tuple[int, int]]
"""The cells lo to hi of each step."""


class State(nn.Module):
    """The weights of a recurrence in G directions.

    Args:
        directions: number of directions, G, each with its own weights.
        taps: number of neighbours, k.
        h: number of features of a state.
    """

    def __init__(self, directions: int, taps: int, h: int) -> None:
        super().__init__()
        self.U = nn.Parameter(torch.empty(directions, taps * h, 4 * h))
        self.h0 = nn.Parameter(torch.zeros(directions, h))
        self.c0 = nn.Parameter(torch.zeros(directions, h))
        nn.init.uniform_(self.U, -((taps * h) ** -0.5), (taps * h) ** -0.5)

    def forward(self, x: Tensor, spans: Spans, R: int) -> Tensor:
        """Run all steps: x (G, N, B, 4h) -> h (G, N, B, h), N cells of one step after another."""
        # in mixed precision too a state that is added to at each step keeps its own
        with torch.autocast(x.device.type, enabled=False):
            return recur(x.to(self.U.dtype), self.U, self.h0, self.c0, spans, R)


def lstm(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The new h and c, (…, h), of what goes into the gates, a (…, 4h), and the old c."""
    h = c.shape[-1]
    i, f, o = torch.sigmoid(a[..., : 3 * h]).chunk(3, -1)
    c = torch.addcmul(f * c, i, torch.tanh(a[..., 3 * h :]))
    return o * torch.tanh(c), c


def recur(x: Tensor, U: Tensor, h0: Tensor, c0: Tensor, spans: Spans, R: int) -> Tensor:
    """Run all steps.

    x: the input's part of the gates, (G, N, B, 4h): the cells of one step after another's.
    U: weights of the k neighbours' states, (G, k·h, 4h).
    h0, c0: the state of what has not been stepped, (G, h).
    spans: the cells lo to hi of each step; N in all.
    R: number of cells.

    Returns h of the cells, in the order of x: (G, N, B, h).
    """
    if exporting():
        return _unrolled(x, U, h0, c0, spans, R)
    y: Tensor = _Recurrence.apply(x.contiguous(), U, h0, c0, spans, R)
    return y


def _unrolled(x: Tensor, U: Tensor, h0: Tensor, c0: Tensor, spans: Spans, R: int) -> Tensor:
    """The same, without writing into tensors: what an exported file can say."""
    G, _, B, _ = x.shape
    h = h0.shape[1]
    k = U.shape[1] // h
    line = h0[:, None, None].expand(G, R + k - 1, B, h)  # cell r is at r + 1
    cells = c0[:, None, None].expand(G, R, B, h)
    y = []
    for (lo, hi), s in zip(spans, _slices(spans), strict=True):
        z = torch.cat([line[:, lo + q : hi + q] for q in range(k)], -1)
        states, c = lstm(x[:, s] + z @ U.unsqueeze(1), cells[:, lo:hi])
        line = torch.cat([line[:, : lo + 1], states, line[:, hi + 1 :]], 1)
        cells = torch.cat([cells[:, :lo], c, cells[:, hi:]], 1)
        y.append(states)
    return torch.cat(y, 1)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, U, h0, c0, spans, R):  # type: ignore[no-untyped-def]
        G, N, B, _ = x.shape
        h = h0.shape[1]
        k = U.shape[1] // h
        line = h0[:, None, None].repeat(1, R + k - 1, B, 1)  # cell r is at r + 1
        cells = c0[:, None, None].repeat(1, R, B, 1)
        z, gates = x.new_empty(G, N, B, k * h), torch.empty_like(x)
        before, after, y = (x.new_empty(G, N, B, h) for _ in range(3))
        for (lo, hi), s in zip(spans, _slices(spans), strict=True):
            for q in range(k):
                z[:, s, :, q * h : (q + 1) * h] = line[:, lo + q : hi + q]
            before[:, s] = cells[:, lo:hi]
            a = gates[:, s]
            torch.baddbmm(_flat(x[:, s]), _flat(z[:, s]), U, out=_flat(a))
            i, f, o, g = a.chunk(4, -1)
            g.mul_(2)
            a.sigmoid_()
            g.mul_(2).sub_(1)  # tanh, like the one below
            c = torch.mul(f, before[:, s], out=cells[:, lo:hi]).addcmul_(i, g)
            t = torch.mul(c, 2, out=after[:, s]).sigmoid_().mul_(2).sub_(1)
            line[:, lo + 1 : hi + 1] = torch.mul(o, t, out=y[:, s])
        ctx.save_for_backward(U, z, gates, before, after)
        ctx.spans, ctx.R = spans, R
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy):  # type: ignore[no-untyped-def]
        U, z, gates, before, after = ctx.saved_tensors
        G, _, B, h = dy.shape
        k = U.shape[1] // h
        # of the states as later steps see them
        dline, dcells = dy.new_zeros(G, ctx.R + k - 1, B, h), dy.new_zeros(G, ctx.R, B, h)
        da, Ut = torch.empty_like(gates), U.transpose(1, 2)
        spans = list(zip(ctx.spans, _slices(ctx.spans), strict=True))
        for (lo, hi), s in reversed(spans):
            i, f, o, g = gates[:, s].chunk(4, -1)
            di, df, do, dg = da[:, s].chunk(4, -1)
            dh, dc = dline[:, lo + 1 : hi + 1], dcells[:, lo:hi]
            dh += dy[:, s]
            dc += torch.ops.aten.tanh_backward(dh * o, after[:, s])
            torch.mul(dc, g, out=di)
            torch.mul(dc, before[:, s], out=df)
            torch.mul(dh, after[:, s], out=do)
            torch.mul(dc, i, out=dg)
            sigmoids = slice(0, 3 * h)
            da[:, s, :, sigmoids] = torch.ops.aten.sigmoid_backward(
                da[:, s, :, sigmoids], gates[:, s, :, sigmoids]
            )
            da[:, s, :, 3 * h :] = torch.ops.aten.tanh_backward(dg, g)
            dc *= f
            dh.zero_()  # the step has replaced these states: what was before them comes from z
            dz = torch.bmm(_flat(da[:, s]), Ut).view(G, hi - lo, B, k * h)
            for q in range(k):
                dline[:, lo + q : hi + q] += dz[..., q * h : (q + 1) * h]
        dU = torch.bmm(_flat(z).transpose(1, 2), _flat(da))
        return da, dU, dline.sum((1, 2)), dcells.sum((1, 2)), None, None


def _slices(spans: Spans) -> list[slice]:
    """Where the cells of each step are among those of all."""
    slices, start = [], 0
    for lo, hi in spans:
        slices.append(slice(start, start + hi - lo))
        start += hi - lo
    return slices


def _flat(x: Tensor) -> Tensor:
    """(G, n, B, F) -> (G, n·B, F), a view."""
    G, n, B, F = x.shape
    return x.view(G, n * B, F)
