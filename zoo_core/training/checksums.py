"""Checksums of the weights during a run, by which a replay finds the step where two runs part."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from zoo_core.files import write_atomic
from zoo_core.training.callbacks import Callback

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.training.loop import Loop

__all__ = ["Checksums", "checksum", "read_checksums"]

_FILE = "checksums.txt"
_LINE = re.compile(r"\d+:[0-9a-f]{16}")


class Checksums(Callback):
    """Writes a checksum of all networks before the first step and after steps 1, 2, 4, 8 and so on.

    Twenty of them cover a million steps, and say within a factor of two when two runs part. A run
    whose processes share the weights out has none: no process has all of them.
    """

    def begin(self, loop: Loop) -> None:
        """Keep those of the steps that a resumed run has done."""
        step = loop.progress.step
        lines = read_checksums(loop.folder) if loop.resumed else ()
        self._lines = [line for line in lines if int(line.partition(":")[0]) <= step]
        if not step and not self._lines:
            self._add(loop)

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        """Add one where the number of the step is a power of two."""
        if loop.progress.step.bit_count() == 1:
            self._add(loop)

    def _add(self, loop: Loop) -> None:
        if loop.fabric.is_global_zero and not loop.optimizers.whole:
            self._lines.append(f"{loop.progress.step}:{checksum(loop.networks)}")
            write_atomic(loop.folder / _FILE, "\n".join([*self._lines, ""]).encode())


def checksum(networks: Mapping[str, nn.Module]) -> str:
    """16 hexadecimal digits of the sha256 of every tensor's name and bits."""
    sums = hashlib.sha256()
    for prefix, network in sorted(networks.items()):
        for name, tensor in sorted(network.state_dict().items()):
            sums.update(f"{prefix}.{name}\n".encode())
            sums.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return sums.hexdigest()[:16]


def read_checksums(folder: Path) -> tuple[str, ...]:
    """The lines STEP:CHECKSUM of a run, in the order of its steps; none of a run without them."""
    path = folder / _FILE
    text = path.read_text("utf-8", "replace") if path.is_file() else ""
    return tuple(filter(_LINE.fullmatch, text.splitlines()))
