"""NADE: Larochelle & Murray 2011, The Neural Autoregressive Distribution Estimator (AISTATS).

    a_1 = c,   h_i = σ(a_i),   p(x_i = 1 | x_<i) = sigm(b_i + V_i·h_i),   a_{i+1} = a_i + W_i x_i

W (D, H) is tied over the order, V (D, H) is not; one pass costs O(DH).

Differences from the paper. σ may be a rectifier (`activation = "relu"`), which
trains faster and was used for the best figures that have been published since. b starts at the
logit of the training data's mean. The optimiser is the recipe's.
"""

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_autoregressive.layers import BinaryAutoregressive
from zoo_core.errors import InvalidInput
from zoo_core.export import exporting

__all__ = ["NADE"]

_CHUNK = 16
"""Variables computed together: their activations, (16, B, H), fit in the cache."""
_MANY = 2**13
"""Activations of a variable, B·H, from which adding rows is faster than a product with zeros."""


class NADE(BinaryAutoregressive):
    """NADE: exact likelihood, and a sampler of the same cost.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        hidden: number of hidden units, H.
        activation: the hidden units' σ, `sigmoid` (the paper's) or `relu`.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            variables, numbered from 0.
        order_seed: seed of the random order.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (1, 28, 28),
        hidden: int = 500,
        activation: str = "sigmoid",
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, order, order_seed)
        if activation not in ("sigmoid", "relu"):
            raise InvalidInput(f"activation {activation!r} is unknown: expected sigmoid or relu.")
        self.activation = activation
        D, H = len(self.order), hidden
        self.W = nn.Parameter(torch.empty(D, H))
        self.V = nn.Parameter(torch.empty(D, H))
        self.c = nn.Parameter(torch.zeros(H))
        for weight in (self.W, self.V):
            nn.init.normal_(weight, std=0.01 if activation == "sigmoid" else (1 / H) ** 0.5 / 4)

    def logits(self, x: Tensor) -> Tensor:
        """b_i + V_i·h_i of each variable, in the order: (B, D)."""
        if exporting():
            Wx = x.unsqueeze(2) * self.W
            return (self._σ(self.c + Wx.cumsum(1) - Wx) * self.V).sum(2) + self.b
        logits: Tensor = _ChunkedLogits.apply(x, self.W, self.V, self.b, self.c, self.activation)
        return logits

    def walk(self, x: Tensor) -> Generator[Tensor, Tensor, None]:
        """Carry a from each variable to the next."""
        d, σ = x.shape[1], self._σ
        a = torch.addmm(self.c, x, self.W[:d])
        for W_i, V_i, b_i in zip(self.W[d:], self.V[d:], self.b[d:], strict=True):
            x_i = yield torch.mv(σ(a), V_i) + b_i
            a.addr_(x_i, W_i)

    def state(self, n: int) -> tuple[Tensor, ...]:
        """Σ W_j x_j before the first variable, (n, H): zeros."""
        return (self.c.new_zeros(n, self.c.shape[0]),)

    def step(self, t: Tensor, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The logits of the variable at place t of the order, (n,), and the new state.

        t: (), int64. x: value of the variable before it, (n,), in {0, 1}; 0 where t is 0.
        """
        row = t.reshape(1)
        before = functional.pad(self.W, (0, 0, 1, 0)).index_select(0, row)
        a = state[0] + x.unsqueeze(1) * before
        # a product with a vector takes onnxruntime four times as long
        logits = (self._σ(self.c + a) * self.V.index_select(0, row)).sum(1)
        return logits + self.b.index_select(0, row), a

    def _σ(self, a: Tensor) -> Tensor:
        return torch.sigmoid(a) if self.activation == "sigmoid" else torch.relu(a)


class _ChunkedLogits(torch.autograd.Function):
    """The logits of all variables, a chunk at a time, without keeping an activation.

    Within a chunk of K variables a_k = a + Σ_{j<k} x_j W_j is one product of the strictly lower
    triangular part of x, (K·B, K), with W, (K, H). The backward pass computes the activations
    again from the a that each chunk began with: it needs D/K times less memory, and that is cached.
    """

    @staticmethod
    def forward(ctx, x, W, V, b, c, activation):  # type: ignore[no-untyped-def]
        """x (B, D), W (D, H), V (D, H), b (D,), c (H,) -> logits (B, D)."""
        σ = torch.sigmoid_ if activation == "sigmoid" else torch.relu_
        a = c.expand(len(x), -1)
        starts, logits, room = [], [], _room(x, W)
        for x_k, W_k, V_k in _chunks(x, W, V):
            starts.append(a)
            h = σ(_activations(a, x_k, W_k, room))
            logits.append(_dot(h, V_k))
            a = torch.addmm(a, x_k, W_k)
        ctx.save_for_backward(x, W, V, torch.stack(starts))
        ctx.activation = activation
        return torch.cat(logits).t() + b

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):  # type: ignore[no-untyped-def]
        """g (B, D), the gradient of the logits -> those of x, W, V, b, c."""
        x, W, V, starts = ctx.saved_tensors
        dW, dV = torch.empty_like(W), torch.empty_like(V)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        # Σ over the variables after this chunk of the gradient of their a, (B, H)
        after = torch.zeros_like(starts[0])
        chunks = zip(_chunks(x, W, V), _chunks(g, dW, dV), starts.unbind(), strict=True)
        end, room, room_of_da = x.shape[1], _room(x, W), _room(g, W)
        for (x_k, W_k, V_k), (g_k, dW_k, dV_k), a in reversed(list(chunks)):
            K = x_k.shape[1]
            mask, h = _strictly_lower(x_k), _activations(a, x_k, W_k, room)
            h = torch.sigmoid_(h) if ctx.activation == "sigmoid" else torch.relu_(h)
            g_k = g_k.t().contiguous()  # (K, B)
            torch.bmm(g_k.unsqueeze(1), h, out=dV_k.unsqueeze(1))
            da = room_of_da[:K]  # (K, B, H)
            torch.mul(g_k.unsqueeze(2), V_k.unsqueeze(1), out=da)
            if ctx.activation == "sigmoid":
                torch.ops.aten.sigmoid_backward.grad_input(da, h, grad_input=da)
            else:
                torch.ops.aten.threshold_backward.grad_input(da, h, 0, grad_input=da)
            torch.addmm(x_k.t() @ after, mask.t(), da.flatten(0, 1), out=dW_k)
            if dx is not None:
                # gradient of a_{j+1}: all variables of the chunk after j, and those after the chunk
                later = da.sum(0) + after - da.cumsum(0)
                dx[:, end - K : end] = _dot(later, W_k).t()
            after = after + da.sum(0)
            end -= K
        return dx, dW, dV, g.sum(0), after.sum(0), None


def _dot(h: Tensor, V: Tensor) -> Tensor:
    """Σ_H of h (K, B, H) times V (K, H): (K, B)."""
    # a row times a matrix: a matrix times a column takes twelve times as long on a processor
    return torch.bmm(V.unsqueeze(1), h.transpose(1, 2)).squeeze(1)


def _chunks(x: Tensor, W: Tensor, V: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(x.split(_CHUNK, 1), W.split(_CHUNK), V.split(_CHUNK), strict=True)


def _strictly_lower(x: Tensor) -> Tensor:
    """x (B, K) -> (K·B, K): row (k, b) holds x_b's variables before k, and zeros."""
    K = x.shape[1]
    return (x * x.new_ones(K, K).tril(-1).unsqueeze(1)).flatten(0, 1)


def _room(x: Tensor, W: Tensor) -> Tensor:
    """Memory for what a chunk computes, (K, B, H): new memory costs as much as the computation."""
    dtype = torch.result_type(x, W)
    return x.new_empty(min(_CHUNK, x.shape[1]), len(x), W.shape[1], dtype=dtype)


def _activations(a: Tensor, x: Tensor, W: Tensor, room: Tensor) -> Tensor:
    """a_k of each variable of a chunk, (K, B, H), from the a (B, H) that the chunk begins with.

    room: which may hold them.
    """
    if not _adds_rows(a):
        return (_strictly_lower(x) @ W).view(x.shape[1], *a.shape).add_(a)
    sums = room[: x.shape[1]]  # Σ_{j<k} x_j W_j, in the order of the product
    sums[0].zero_()
    rows = sums.unbind()
    for before, after, x_k, W_k in zip(rows, rows[1:], x.t().unsqueeze(2), W, strict=False):
        torch.addcmul(before, x_k, W_k, out=after)
    return sums.add_(a)


def _adds_rows(a: Tensor) -> bool:
    """Whether rows are added one by one, by which a processor has half of the work.

    It rounds as the product does, which in half precision sums in single precision.
    """
    return (
        a.device.type == "cpu"
        and a.dtype in (torch.float32, torch.float64)
        and a.numel() >= _MANY
        and not torch.is_autocast_enabled("cpu")
    )
