"""What a task is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of all tasks; each uses those that concern it."""

    name: str = "model"
    """The model's name, for what is said about the results."""
    data: str = ""
    """The data set that the model was trained on, where that is known."""
    n: int = 16
    """Samples to draw."""
    seed: int = 0
    """Of every random draw."""
    temperature: float = 1.0
    """Divides the logits; less than 1 draws what is more probable."""
    label: int | None = None
    """The class of which samples are drawn; None leaves it open."""
    prompts: tuple[str, ...] = ()
    """Texts of which samples are drawn, as many of each."""
    to: str = ""
    """The domain into which `translate` brings inputs, or `all`."""
    inputs: tuple[str, ...] = ()
    """Image files, folders, tables, data set specs."""
    against: tuple[str, ...] = ()
    """The same, of odd ones, for `detect`."""
    keep: str = "top"
    """What `complete` is given of each input: top, left, or the path of a mask (white: given)."""
    patches: tuple[str, ...] = ()
    """Boxes `x,y,w,h` of each input from which `complete` starts, where the model takes parts."""
    samples: int = 4
    """Completions of each input."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The own options of a family's task, complete."""
    batch_size: int = 256
    """Samples or inputs at a time."""
    data_root: Path | None = None
    """Folder of data sets; None for the default one."""

    def sizes(self) -> list[int]:
        """Of the batches in which n samples are drawn."""
        return [min(self.batch_size, self.n - i) for i in range(0, self.n, self.batch_size)]

    def generator(self, model: nn.Module) -> torch.Generator:
        """A source of randomness on the model's device, from the seed."""
        return torch.Generator(device(model)).manual_seed(self.seed)


def device(model: nn.Module) -> torch.device:
    """Where a model is."""
    return next(model.parameters(), torch.empty(0)).device
