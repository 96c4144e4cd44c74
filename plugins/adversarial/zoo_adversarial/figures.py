"""Shared by metrics of images made from held-out rows: translations, completions, images of texts.

Their Fréchet distance from the held-out rows is measured, beside that of training images.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.metrics import Measured
from zoo_core.metrics.frechet import frechet
from zoo_core.metrics.rows import OfRows, Root, each, load, seeded
from zoo_core.metrics.samples import Net, feature_net, features_option
from zoo_core.options import option
from zoo_core.protocols import Translator

__all__ = ["OfDistance", "distance", "from_held_out", "some", "translate_rows"]


@dataclass(frozen=True, kw_only=True)
class OfDistance(OfRows):
    """The protocol of a Fréchet distance of images from held-out rows."""

    seed: int = option(0, "Of what is sampled, and of the training rows beside it", minimum=0)
    features: str = features_option()
    train: str = option(
        "", "Rows to measure in the images' place, for comparison; the training split by default"
    )


def distance(real: Tensor, made: Tensor, protocol: OfDistance, data_root: Root) -> Measured:
    """The distance of images from held-out ones, by a protocol's net, seed and training rows.

    real, made: (N, C, H, W) each, in [0, 1].
    """
    random = seeded(protocol.seed)
    beside = some(load(protocol, data_root, protocol.train, "train"), len(made), random)
    return from_held_out(feature_net(protocol.features), real, made, beside, random)


def from_held_out(
    net: Net, real: Tensor, made: Tensor, train: Tensor, generator: torch.Generator
) -> Measured:
    """The distance of images from held-out ones, and that of training images in their place.

    real, made, train: held-out, made and training images, (N, C, H, W) each, in [0, 1].
    """
    x, y, z = (net.features(Dataset("images", "", images, None)) for images in (real, made, train))
    measured = frechet(x, y, generator)
    beside = frechet(x, z, generator).value
    return net.sign(measured._replace(real=beside))


def some(rows: Dataset, n: int, generator: torch.Generator) -> Tensor:
    """n of the rows, or all where there are fewer, sampled without replacement."""
    return rows.floats(torch.randperm(len(rows), generator=generator)[:n])


def translate_rows(model: Translator, rows: Dataset, to: str, translates: bool = True) -> Tensor:
    """Rows translated into a domain, or left as they are: (n, C, H, W), in [0, 1], on the CPU."""
    if not translates:
        return rows.floats()
    return each(model, rows, partial(model.translate, to=to)).float()
