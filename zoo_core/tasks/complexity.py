"""How much there is to say of an image, whatever it shows: the nats of a code without training.

A compressor that was trained on nothing stands for a background model (Serrà et al. 2020, Input
Complexity and Out-of-Distribution Detection with Likelihood-Based Generative Models). They take PNG
and the like, and so do we for grey levels and colours. Black and white are coded by their
neighbours, as in JBIG: each of 2^7 contexts counts its zeros and ones, starting from a half
(Krichevsky & Trofimov 1981). What a context has coded depends on its counts only:

    p(n0, n1) = Γ(n0 + ½) Γ(n1 + ½) / (Γ(½)² Γ(n0 + n1 + 1))
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["complexity"]

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (1, 2), (1, -2))
"""Those before a pixel that are its context: rows above, columns to the left."""
_EDGE = 2
"""How far they reach."""


def complexity(x: Tensor, levels: int | None) -> Tensor:
    """The nats of each image by a code without training, (B,), float64, on the CPU.

    x: images, (B, C, H, W), in [0, 1].
    levels: number of values of a pixel: 2 are coded by their neighbours, others by PNG.
    """
    return _by_neighbours(x.cpu()) if levels == 2 else _by_png(x.cpu())


def _by_neighbours(x: Tensor) -> Tensor:
    """The nats of binary images, each channel coded by itself."""
    import torch
    from torch.nn import functional

    (B, C, H, W), K = x.shape, 2 ** (len(_NEIGHBOURS) + 1)
    bits = (x > 0.5).flatten(0, 1).long()
    padded = functional.pad(bits, (_EDGE, _EDGE, _EDGE, 0))
    cells = bits
    for t, (up, left) in enumerate(_NEIGHBOURS, start=1):
        top, start = _EDGE - up, _EDGE - left
        cells = cells + (padded[:, top : top + H, start : start + W] << t)
    first = torch.arange(B * C).view(-1, 1, 1) * K
    counts = torch.bincount((cells + first).flatten(), minlength=B * C * K)
    n = counts.view(B, -1, 2).double()  # zeros and ones of each context and channel
    log_p = torch.lgamma(n + 0.5).sum(2) - math.log(math.pi) - torch.lgamma(n.sum(2) + 1)
    return -log_p.sum(1)


def _by_png(x: Tensor) -> Tensor:
    """The nats that PNG takes, with its headers, which are the same for images of one size."""
    import torch
    from PIL import Image

    from zoo_core.output.grid import pixels

    def size(tile: object) -> int:
        buffer = io.BytesIO()
        picture = Image.fromarray(tile)  # type: ignore[arg-type]  # Pillow's stubs ask for more
        (picture if x.shape[1] == 3 else picture.convert("L")).save(buffer, "png", optimize=True)
        return buffer.tell()

    sizes = [size(tile) for tile in pixels(x)]
    return torch.tensor(sizes, dtype=torch.float64) * 8 * math.log(2)
