"""What figures of images that are made of held-out rows share: of translations, completions, texts.

They are made, and their Fréchet distance is taken, beside that of training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.frechet import frechet
from zoo_core.metrics.rows import Root, each, load, seeded
from zoo_core.metrics.samples import Net, feature_net
from zoo_core.protocols import Translator

__all__ = ["brought", "distance", "from_held_out", "some", "translator"]


def distance(real: Tensor, made: Tensor, protocol: Mapping[str, Any], data_root: Root) -> Measured:
    """The distance of images from held-out ones, by a protocol's net, seed and training rows.

    real, made: (N, C, H, W) each, in [0, 1].
    """
    random = seeded(protocol)
    beside = some(load(protocol, data_root, "train"), len(made), random)
    return from_held_out(feature_net(protocol), real, made, beside, random)


def from_held_out(
    net: Net, real: Tensor, made: Tensor, train: Tensor, generator: torch.Generator
) -> Measured:
    """The distance of images from held-out ones, and that of training images in their place.

    real, made, train: held-out, made and training images, (N, C, H, W) each, in [0, 1].
    """
    x, y, z = (net.features(Dataset("images", "", images, None)) for images in (real, made, train))
    measured = frechet(x, y, generator)
    beside = frechet(x, z, generator).value
    return measured._replace(real=beside, settled={"features": net.name})


def some(rows: Dataset, n: int, generator: torch.Generator) -> Tensor:
    """n of the rows, or all where there are fewer, drawn without replacement."""
    return rows.floats(torch.randperm(len(rows), generator=generator)[:n])


def translator(model: nn.Module) -> Translator:
    """The model, as one that translates.

    Raises InvalidInput for one that does not.
    """
    if not isinstance(model, Translator):
        raise InvalidInput(f"{type(model).__name__} does not translate: measure another figure.")
    return model


def brought(model: Translator, rows: Dataset, to: str, translates: bool) -> Tensor:
    """Rows translated into a domain, or left as they are: (n, C, H, W), in [0, 1]."""
    if not translates:
        return rows.floats()
    return each(cast("nn.Module", model), rows, partial(model.translate, to=to)).float()
