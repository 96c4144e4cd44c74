"""Emoji in two styles, each name in one of them: data for unpaired translation.

A hash divides the names of the training split: one half is seen in the first style, the other half
in the second. Validation and test hold every name in both styles.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import InvalidInput

__all__ = ["STYLES", "unpaired"]

STYLES = ("twemoji", "openmoji")
"""Flat areas of colour; the same with black outlines."""

_SOURCE = "emoji"


def unpaired(split: str, root: Path) -> Dataset:
    """One split of the folder `emoji`, in two styles that are its classes.

    Raises InvalidInput where that folder holds other images than these.
    """
    data = load_dataset(_SOURCE, split=split, root=root)
    if data.labels is None or not data.texts or not set(STYLES) <= set(data.classes):
        raise InvalidInput(
            f"{_SOURCE} in {root} has the classes {', '.join(data.classes) or '(none)'}; expected "
            f"captioned images of the styles {' and '.join(STYLES)}."
        )
    domain = torch.full_like(data.labels, -1)
    for i, style in enumerate(STYLES):
        domain[data.labels == data.classes.index(style)] = i
    own = torch.tensor([_half(text) for text in data.texts])
    wanted = domain == own if split == "train" else domain >= 0
    chosen = data[wanted.nonzero().squeeze(1)]
    return replace(chosen, name="emoji-unpaired", labels=domain[wanted], classes=STYLES)


def _half(text: str) -> int:
    """The style that a name is seen in, 0 or 1."""
    return hashlib.sha256(text.encode()).digest()[0] & 1
