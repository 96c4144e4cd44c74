"""Bars and stripes: data whose distribution, and so its entropy, is known exactly.

MacKay 2003, Information Theory, Inference and Learning Algorithms, section 43. An n × n image shows
bars or stripes, with probability 1/2 each; each of its n lines is then on with probability 1/2.
"""

import math
import re
from pathlib import Path

import torch

from zoo_core.data.dataset import Dataset
from zoo_core.errors import InvalidInput

__all__ = [
    "bars_and_stripes",
    "bars_and_stripes_entropy",
    "bars_and_stripes_of_size",
    "bars_and_stripes_size",
]

_NAME = re.compile(r"bars-and-stripes(?:-(\d+))?")
_SIZES = range(2, 13)
_TRAIN_ROWS = 1024


def bars_and_stripes_size(name: str) -> int | None:
    """The n of `bars-and-stripes-n` (3 for the bare name), or None for another data set's name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    n = int(match[1] or 3)
    if n not in _SIZES:
        raise InvalidInput(
            f"{name}: images of {n}x{n} are not available; "
            f"give a size from {_SIZES[0]} to {_SIZES[-1]}, as in bars-and-stripes-4."
        )
    return n


def bars_and_stripes(split: str, root: Path) -> Dataset:
    """Bars and stripes of 3x3."""
    return bars_and_stripes_of_size(3, split)


def bars_and_stripes_of_size(n: int, split: str = "train") -> Dataset:
    """Every image as often as the distribution has it: a mean over the rows is an expectation.

    All splits hold the same 2^(n+1) rows; train repeats them until it has 1,024 or more.
    """
    on = (torch.arange(2**n).unsqueeze(1) >> torch.arange(n)) & 1
    bars = on.unsqueeze(1).expand(-1, n, n)
    x = torch.cat([bars, bars.transpose(1, 2)]).to(torch.uint8).unsqueeze(1)
    labels = torch.arange(2).repeat_interleave(2**n)
    repeats = max(1, _TRAIN_ROWS // len(x)) if split == "train" else 1
    return Dataset(
        name=f"bars-and-stripes-{n}" if n != 3 else "bars-and-stripes",
        split=split,
        x=x.repeat(repeats, 1, 1, 1),
        levels=2,
        labels=labels.repeat(repeats),
        classes=("bars", "stripes"),
    )


def bars_and_stripes_entropy(n: int = 3) -> float:
    """Entropy of the n × n images in nats.

    Of 2^(n+1) equally probable draws, two give the empty image and two the full one.
    """
    return math.log(2) * (n + 1 - 2.0 ** (1 - n))
