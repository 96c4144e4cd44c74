"""Large weights onto a GPU: read into two pinned buffers in turn, while the other one is copied.

Of the file no more than the buffers is in the host's memory at a time, and the disk and the bus
work at once. Types are changed on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import torch
from torch import Tensor

from zoo_core.files import open_regular

if TYPE_CHECKING:
    from zoo_core.header import TensorInfo

__all__ = ["Cuda", "Device", "read_tensors"]

_BUFFER = 2**25
_START = 8
"""Bytes before the header, which say how long it is."""

_TYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
}
"""Of torch, by the format's names."""


class Device(Protocol):
    """Where tensors go: the methods of a GPU that are used, so that a test can stand in for one."""

    def buffer(self, size: int) -> Tensor:
        """Memory of the host that the device can copy by itself, (size,), uint8."""

    def empty(self, size: int) -> Tensor:
        """Memory of the device, (size,), uint8."""

    def copy(self, to: Tensor, of: Tensor, place: int) -> None:
        """Begin to copy part of a buffer to the device; `place` is the buffer's number, 0 or 1."""

    def wait(self, place: int) -> None:
        """Wait until what was begun of a buffer is done."""


class Cuda:
    """A GPU, with a stream of copies beside its others."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)
        self.done = [torch.cuda.Event(), torch.cuda.Event()]

    def buffer(self, size: int) -> Tensor:
        """Pinned memory."""
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def empty(self, size: int) -> Tensor:
        """Memory that nothing else of the device still uses when it is copied to."""
        made = torch.empty(size, dtype=torch.uint8, device=self.device)
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        return made

    def copy(self, to: Tensor, of: Tensor, place: int) -> None:
        """Queue a copy."""
        with torch.cuda.stream(self.stream):
            to.copy_(of, non_blocking=True)
            self.done[place].record(self.stream)

    def wait(self, place: int) -> None:
        """Wait for the last copy of a buffer; one that was never used is free."""
        self.done[place].synchronize()


def read_tensors(
    path: Path, tensors: Mapping[str, TensorInfo], device: Device, buffer: int = _BUFFER
) -> dict[str, Tensor]:
    """Read tensors of a safetensors file onto a device, in their own types.

    tensors: those that are wanted, by name, as a checked header has them.
    buffer: bytes of each of the two buffers.

    Raises OSError, also for a file that has become shorter.
    """
    found: dict[str, Tensor] = {}
    with open_regular(path) as file:
        start = _START + int.from_bytes(file.read(_START), "little")
        buffers, place = [device.buffer(buffer) for _ in range(2)], 0
        for name, info in sorted(tensors.items(), key=lambda item: item[1].begin):
            flat = device.empty(info.end - info.begin)
            file.seek(start + info.begin)
            for at in range(0, len(flat), buffer):
                part = buffers[place][: min(buffer, len(flat) - at)]
                device.wait(place)
                _fill(part, file)
                device.copy(flat[at : at + len(part)], part, place)
                place = 1 - place
            found[name] = flat.view(_TYPES[info.dtype]).view(info.shape)
        for place in range(2):
            device.wait(place)
    return found


def _fill(part: Tensor, file: BinaryIO) -> None:
    """Read the next bytes of a file into a tensor."""
    view, at = part.numpy().data, 0
    while at < len(view):
        read = file.readinto(view[at:])  # type: ignore[attr-defined] # a buffered file has it
        if not read:
            raise OSError("the file ends before its tensors do")
        at += read
