"""Key patches: boxes of an image that hold something whole, found by how closed their edges are.

The key-patch GAN takes the boxes of Edge Boxes (Zitnick & Dollár 2014) that are most likely to hold
an object: there are many edges inside, and few contours cross the frame. Existing implementations
are parts of vision libraries, need a trained edge detector, and look for objects in photographs; an
image of 64 pixels has a few thousand boxes, all of which can be tried. So this is the same score in
closed form, for a whole batch at once:

    score = (inside − ½ min(w, h) · crossing) / (w + h)^1.5

inside: the sum of the differences of neighbouring pixels in the box. crossing: the differences
along the frame, where a contour crosses it; such a contour is assumed to reach halfway across the
box, and is subtracted. The power is that of Edge Boxes: without it large boxes always win.

Boxes are three sixteenths to a half of an image's side, and none is longer than twice its width:
smaller and longer ones are pruned before anything is scored, as in the paper. Of boxes that
overlap by more than a quarter of their union the best is kept.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core.checks import check_tensor
from zoo_core.errors import InvalidInput

__all__ = ["crops", "key_patches", "masks", "overlap"]

_SIDES = (3, 4, 6, 8)
"""Of boxes, in sixteenths of the image's side; they begin at each sixteenth."""
_LONGEST = 2.0
"""Ratio of a box's sides."""
_POWER = 1.5
_OVERLAP = 0.25


def key_patches(x: Tensor, n: int) -> Tensor:
    """The n boxes of each image that are most likely to hold something whole: (B, n, 4), int64.

    A box is (x, y, w, h): left, top, width and height, in pixels.

    x: images, (B, C, H, W), in [0, 1].
    """
    boxes, overlap = _candidates(x.shape[-2], x.shape[-1])
    boxes, overlap = boxes.to(x.device), overlap.to(x.device)
    scores, found = _scores(x.double(), boxes), []
    for _ in range(n):
        found.append(best := scores.argmax(1))
        scores = scores.masked_fill(overlap[best], -torch.inf)
    return boxes[torch.stack(found, 1)]


def crops(x: Tensor, boxes: Tensor) -> Tensor:
    """The content of each box, resized to the image's size: (B, n, C, H, W).

    Neither the place nor the scale of a box can be seen in it.

    x: images, (B, C, H, W). boxes: (B, n, 4), int64.

    Raises InvalidInput for a box outside the image, and for no box at all.
    """
    check_tensor("boxes", boxes, (len(x), None, 4), torch.int64)
    if not boxes.shape[1]:
        raise InvalidInput("no image has a box: expected at least one part, (x, y, w, h), of each.")
    H, W = x.shape[-2:]
    left, top, w, h = boxes.to(x.dtype).unbind(2)
    inside = (left >= 0) & (top >= 0) & (w > 0) & (h > 0) & (left + w <= W) & (top + h <= H)
    if not inside.all():
        wrong = boxes[~inside][0].tolist()
        raise InvalidInput(
            f"the patch {','.join(map(str, wrong))} is not within an image of {W}x{H} pixels; "
            "expected x,y,w,h: left, top, width and height."
        )
    none = torch.zeros_like(w)
    rows = [w / W, none, (2 * left + w) / W - 1, none, h / H, (2 * top + h) / H - 1]
    theta = torch.stack(rows, 2).view(-1, 2, 3)
    n = boxes.shape[1]
    grid = functional.affine_grid(theta, [len(theta), x.shape[1], H, W], align_corners=False)
    # no further than the centres of the outermost pixels: nothing outside the box comes in
    size = torch.tensor([W, H], device=x.device)
    first = (2 * boxes[..., :2] + 1) / size - 1
    last = (2 * (boxes[..., :2] + boxes[..., 2:]) - 1) / size - 1
    ends = (end.view(-1, 1, 1, 2).to(x.dtype) for end in (first, last))
    grid = torch.clamp(grid, *ends)
    images = x.unsqueeze(1).expand(-1, n, -1, -1, -1).flatten(0, 1)
    found: Tensor = functional.grid_sample(images, grid, align_corners=False).unflatten(0, (-1, n))
    return found


def masks(boxes: Tensor, H: int, W: int) -> Tensor:
    """1 within the boxes of an image and 0 elsewhere, (B, 1, H, W).

    boxes: (B, n, 4), int64.
    """
    left, top, w, h = boxes.unsqueeze(-1).unbind(2)
    across, down = (torch.arange(side, device=boxes.device) for side in (W, H))
    columns = (across >= left) & (across < left + w)
    rows = (down >= top) & (down < top + h)
    return (rows.unsqueeze(-1) & columns.unsqueeze(-2)).any(1, keepdim=True).float()


def overlap(mask: Tensor, true: Tensor) -> Tensor:
    """How far two masks agree: their intersection, as a share of their union; (B,), in [0, 1].

    mask: (B, 1, H, W), in [0, 1]; what is above a half is in it. true: the same.
    """
    a, b = mask > 0.5, true > 0.5
    both, either = (a & b).sum((1, 2, 3)), (a | b).sum((1, 2, 3))
    return both / either.clamp_min(1)


def _scores(x: Tensor, boxes: Tensor) -> Tensor:
    """How likely each box holds something whole, (B, boxes), float64."""
    left, top, w, h = boxes.unbind(1)
    right, bottom = left + w, top + h
    across = x.diff(dim=3).abs().mean(1)
    down = x.diff(dim=2).abs().mean(1)
    # a difference lies between two pixels, both of which have to be in the box
    inside = _sums(across, left, top, right - 1, bottom) + _sums(down, left, top, right, bottom - 1)
    crossing = (
        _sums(across, left, top, right - 1, top + 1)
        + _sums(across, left, bottom - 1, right - 1, bottom)
        + _sums(down, left, top, left + 1, bottom - 1)
        + _sums(down, right - 1, top, right, bottom - 1)
    )
    reach = torch.minimum(w, h) / 2
    return (inside - reach * crossing) / (w + h) ** _POWER


def _sums(values: Tensor, left: Tensor, top: Tensor, right: Tensor, bottom: Tensor) -> Tensor:
    """Sums over boxes of a table (B, H, W): (B, boxes)."""
    table = functional.pad(values, (1, 0, 1, 0)).cumsum(1).cumsum(2)
    above = table[:, top, right] - table[:, top, left]
    return table[:, bottom, right] - table[:, bottom, left] - above


@lru_cache(maxsize=8)
def _candidates(H: int, W: int) -> tuple[Tensor, Tensor]:
    """Every box that is tried, (boxes, 4), and which of them overlap too much, (boxes, boxes)."""
    boxes = torch.tensor(
        [
            (left, top, w, h)
            for w, h in product(_lengths(W), _lengths(H))
            if max(w, h) <= _LONGEST * min(w, h)
            for top in range(0, H - h + 1, max(1, H // 16))
            for left in range(0, W - w + 1, max(1, W // 16))
        ]
    )
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    shared = torch.minimum(end[:, None], end) - torch.maximum(start[:, None], start)
    both = shared.clamp_min(0).prod(2)
    area = boxes[:, 2:].prod(1)
    return boxes, both > _OVERLAP * (area[:, None] + area - both)


def _lengths(side: int) -> list[int]:
    return sorted({max(2, side * length // 16) for length in _SIDES})
