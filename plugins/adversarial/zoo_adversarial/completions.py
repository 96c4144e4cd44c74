"""How good completions from parts are: where these go, how they look there, and the whole.

Parts are those that the model finds in held-out rows. Three figures have a control beside them:
`others_parts_l1` is of the result for another image, whose parts it does not show; `filled_fid` of
a latent-variable model, the protocol's `by`, that knows where the parts are and fills in the rest.
It starts from grey and reconstructs `rounds` times, the parts put back each time (Rezende, Mohamed
& Wierstra 2014, Stochastic Backpropagation, section 5.5, with means in the place of draws).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from zoo_adversarial.figures import OfDistance, distance
from zoo_adversarial.patches import masks, overlap
from zoo_core import loading
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import OfRows, Root, batches, load, seeded
from zoo_core.options import option
from zoo_core.protocols import LatentVariable, PartCompleter

__all__ = [
    "OfFilled",
    "OfParts",
    "filled_fid",
    "mask_iou",
    "others_parts_l1",
    "parts_fid",
    "parts_l1",
]

_GREY = 0.5


class _Completed(NamedTuple):
    """Held-out rows and what is drawn about their parts, on the CPU."""

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
class OfFilled(OfDistance):
    """The protocol of a model that fills in what is beside the parts."""

    by: str = option("", "Latent-variable model that fills in: an entry, run or weights file")
    rounds: int = option(20, "How often it reconstructs", minimum=1)


def mask_iou(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """Intersection of the mask and the true places of the parts, as a share of their union."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(overlap(done.mask, done.true))


def parts_l1(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """Mean |image − input| within the true places of the parts, in % of the range."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(_error_within(done.images, done))


def others_parts_l1(model: PartCompleter, protocol: OfParts, data_root: Root = None) -> Measured:
    """The same of another row's image."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return Measured.of(_error_within(done.images.roll(1, 0), done))


def parts_fid(model: PartCompleter, protocol: OfDistance, data_root: Root = None) -> Measured:
    """The Fréchet distance of completions from the rows whose parts they are about."""
    done = _complete(model, protocol, protocol.seed, data_root)
    return distance(done.x, done.images, protocol, data_root)


def filled_fid(model: PartCompleter, protocol: OfFilled, data_root: Root = None) -> Measured:
    """The same of a model that fills in what is beside the parts.

    Raises InvalidInput for one that does not encode and decode.
    """
    if not protocol.by:
        raise InvalidInput("the protocol names no model: expected by = 'vae.conv-emoji' or alike.")
    by = loading.load(protocol.by)
    if not isinstance(by, LatentVariable):
        raise InvalidInput(
            f"{protocol.by} is a {type(by).__name__}, which does not encode and decode."
        )
    done = _complete(model, protocol, protocol.seed, data_root)
    made = fill_in(by, done.x, done.true, protocol.rounds)
    return distance(done.x, made, protocol, data_root)


@torch.inference_mode()
def fill_in(by: LatentVariable, x: Tensor, known: Tensor, rounds: int) -> Tensor:
    """Fill in what is not known of images by reconstructions, (N, C, H, W), in [0, 1].

    x: (N, C, H, W), in [0, 1]. known: (N, 1, H, W), 1 or 0.
    """
    kept = known > 0
    y = torch.where(kept, x, torch.full_like(x, _GREY))
    for _ in range(rounds):
        y = torch.where(kept, x, by.decode(by.encode(y)))
    return y


def _complete(model: PartCompleter, protocol: OfRows, seed: int, data_root: Root) -> _Completed:
    random, parts = seeded(seed, model), []
    with torch.inference_mode():
        for x in batches(model, load(protocol, data_root)):
            boxes = model.find_parts(x)
            drawn = model.complete_from(x, boxes, generator=random)
            parts.append((x, masks(boxes, *x.shape[-2:]), drawn.mask, drawn.images))
    return _Completed(*(torch.cat(each).float().cpu() for each in zip(*parts, strict=True)))


def _error_within(images: Tensor, done: _Completed) -> Tensor:
    """Mean difference of images and rows at the parts' true places, (N,), in %."""
    apart = (images - done.x).abs().mean(1, keepdim=True) * done.true
    return 100 * apart.sum((1, 2, 3)) / done.true.sum((1, 2, 3))
