"""How good completions from parts are: where parts are placed, how they look there, and the whole.

Parts are those that the model finds in held-out rows. Figures have controls beside them:
`constant_mask_iou` is of one mask for all rows, the best for training rows; `others_parts_l1` of
the completion of another row, which does not show these parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from zoo_adversarial.figures import OfDistance, distance
from zoo_adversarial.patches import masks, overlap
from zoo_core.data import Dataset
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import OfRows, Root, batches, each, load, seeded
from zoo_core.options import option
from zoo_core.protocols import PartCompleter

__all__ = [
    "OfParts",
    "OfSpread",
    "completion_spread",
    "constant_mask_iou",
    "mask_iou",
    "others_parts_l1",
    "parts_fid",
    "parts_l1",
]

_FITTED = 2000
"""Training rows on which a constant mask is chosen."""


class _Completed(NamedTuple):
    """Held-out rows and what is generated around their parts, on the CPU."""

    x: Tensor
    """(N, C, H, W), in [0, 1]."""
    true: Tensor
    """Places of the parts, (N, 1, H, W)."""
    mask: Tensor
    """Where the model puts them, (N, 1, H, W), in [0, 1]."""
    images: Tensor
    """(N, C, H, W), in [0, 1]."""


@dataclass(frozen=True, kw_only=True)
class OfParts(OfRows):
    """The protocol of a metric of completions from parts."""

    seed: int = option(0, "Of the completions", minimum=0)


@dataclass(frozen=True, kw_only=True)
class OfSpread(OfParts):
    """The protocol of differences between completions of the same parts."""

    draws: int = option(4, "Completions of each row's parts", minimum=2)
    within: bool = option(False, "Whether they are compared within the parts, not outside them")


def mask_iou(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """Intersection of the mask and the true places of the parts, as a share of their union."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(overlap(done.mask, done.true))


def constant_mask_iou(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """The same of one mask for all: the places that are most often in parts of training rows."""
    seen = _places(model, load(protocol, data_root, None, "train")[:_FITTED])
    often = seen.mean(0, keepdim=True)
    candidates = [(often > share / 20).float() for share in range(20)]
    best = max(candidates, key=lambda mask: float(overlap(mask, seen).mean()))
    return Measured.of(overlap(best, _places(model, load(protocol, data_root))))


def completion_spread(model: PartCompleter, protocol: OfSpread, data_root: Root = None) -> Measured:
    """Mean difference of two completions of the same parts, outside these, in % of the range."""
    random = seeded(protocol.seed, model)

    def spread(x: Tensor) -> Tensor:
        boxes = model.find_parts(x)
        generated = [model.complete_from(x, boxes, generator=random) for _ in range(protocol.draws)]
        where = masks(boxes, *x.shape[-2:]) if protocol.within else 1 - masks(boxes, *x.shape[-2:])
        pairs = [(a.images - b.images).abs().mean(1, True) for a, b in combinations(generated, 2)]
        apart = torch.stack(pairs).mean(0) * where
        return 100 * apart.sum((1, 2, 3)) / where.sum((1, 2, 3)).clamp_min(1)

    return Measured.of(each(model, load(protocol, data_root), spread))


def parts_l1(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """Mean |image − input| within the true places of the parts, in % of the range."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(_error_within(done.images, done))


def others_parts_l1(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """The same of another row's completion."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(_error_within(done.images.roll(1, 0), done))


def parts_fid(model: PartCompleter, protocol: OfDistance, data_root: Root = None) -> Measured:
    """The Fréchet distance of completions from the rows that their parts are from."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return distance(done.x, done.images, protocol, data_root)


def _places(model: PartCompleter, rows: Dataset) -> Tensor:
    """The true places of each row's parts, (N, 1, H, W)."""
    return each(model, rows, lambda x: masks(model.find_parts(x), *x.shape[-2:]))


def _complete(model: PartCompleter, protocol: OfRows, seed: int, data_root: Root) -> _Completed:
    random, parts = seeded(seed, model), []
    with torch.inference_mode():
        for x in batches(model, load(protocol, data_root)):
            boxes = model.find_parts(x)
            generated = model.complete_from(x, boxes, generator=random)
            parts.append((x, masks(boxes, *x.shape[-2:]), generated.mask, generated.images))
    return _Completed(*(torch.cat(each).float().cpu() for each in zip(*parts, strict=True)))


def _error_within(images: Tensor, done: _Completed) -> Tensor:
    """Mean difference of images and rows at the parts' true places, (N,), in %."""
    apart = (images - done.x).abs().mean(1, keepdim=True) * done.true
    return 100 * apart.sum((1, 2, 3)) / done.true.sum((1, 2, 3))
