"""The check of what a loader returned, before anything uses it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.errors import InvalidInput

__all__ = ["check"]


def check(data: object, loader: str) -> Dataset:
    """Return what a loader made, if it is a sound data set.

    loader: what messages name: the loader's function, or the path that was loaded.

    Raises InvalidInput that says what is wrong.
    """
    if not isinstance(data, Dataset):
        raise InvalidInput(
            f"{loader} returned a {type(data).__name__}; expected a zoo_core.data.Dataset."
        )
    for trouble in (
        _of_x(data.x, data.levels, bool(data.columns)),
        _of_labels(data),
        _of_texts(data),
    ):
        if trouble:
            raise InvalidInput(f"{loader} returned the data set {data.name!r} with {trouble}.")
    return data


def _of_x(x: object, levels: object, mixed: bool) -> str:
    if not isinstance(x, Tensor) or x.ndim not in (2, 4):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        return f"x = {shape}; expected images, (N, C, H, W), or a table, (N, D)"
    if levels is None:
        if x.dtype != torch.float32:
            return f"x of {x.dtype}; expected float32 where levels is None"
        if len(x) and not mixed and not (x.amin() >= 0 and x.amax() <= 1):
            return f"real values from {x.amin():g} to {x.amax():g}; expected [0, 1]"
        return ""
    if not isinstance(levels, int) or not 2 <= levels <= 256:
        return f"levels = {levels!r}; expected 2 to 256, or None where values are real"
    if x.dtype != torch.uint8:
        return f"x of {x.dtype}; expected uint8 where levels is {levels}"
    if len(x) and int(x.amax()) >= levels:  # an int: 256 is beyond uint8
        return f"the value {int(x.amax())} in x; expected less than its levels, {levels}"
    return ""


def _of_labels(data: Dataset) -> str:
    labels: Any = data.labels
    if labels is None:
        return ""
    if not isinstance(labels, Tensor) or len(labels) != len(data):
        given = f"{len(labels)} labels" if hasattr(labels, "__len__") else f"labels = {labels!r}"
        return f"{given} of {len(data)} rows; expected a tensor with one for each"
    if labels.ndim == 1 and labels.dtype != torch.int64:
        return f"labels of {labels.dtype}; expected int64"
    if labels.ndim == 1 and data.classes and len(data) and labels.amax() >= len(data.classes):
        return f"the label {int(labels.amax())}; expected less than its {len(data.classes)} classes"
    return ""


def _of_texts(data: Dataset) -> str:
    if data.texts and len(data.texts) != len(data):
        return f"{len(data.texts)} captions of {len(data)} rows; expected one for each, or none"
    return ""
