"""The header and metadata of a safetensors file, read without loading a tensor.

The file begins with the header's length (8 bytes, little-endian) and the header (JSON); the tensors
follow, back to back. The standard library is enough for that, and the safetensors library would
accept headers of 86 MB and a million empty tensors: here both are refused before they cost time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_core.errors import InvalidWeights
from zoo_core.files import open_regular
from zoo_core.text import printable, quoted

__all__ = ["DTYPES", "MAX_HEADER", "MAX_TENSORS", "Header", "TensorInfo", "read_header", "stray"]

MAX_HEADER = 4 * 2**20
"""Bytes of the largest header that is read."""

MAX_TENSORS = 100_000
"""The most tensors that a file may have."""

_PAST = 2**63
"""More elements or bytes than any file has."""

DTYPES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "U16": 2,
    "I16": 2,
    "F16": 2,
    "BF16": 2,
    "U32": 4,
    "I32": 4,
    "F32": 4,
    "U64": 8,
    "I64": 8,
    "F64": 8,
}
"""Bytes of one element, by the format's name of its type."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: its type, its shape, and where its bytes are after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return _elements(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata and the tensors of a sound file."""

    metadata: dict[str, str]
    tensors: dict[str, TensorInfo]

    @property
    def parameters(self) -> int:
        """Elements of the floating-point tensors: a model's parameters, and its buffers of them.

        A file does not say which is which, so this is no less than the parameters of its model.
        """
        return sum(t.elements for t in self.tensors.values() if "F" in t.dtype)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.end - t.begin for t in self.tensors.values())


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check the header of a safetensors file.

    Raises InvalidWeights, with what is wrong and what to do, unless the header is sound and the
    tensors fill the rest of the file exactly.
    """
    path = Path(path)
    try:
        text, room = _header_text(path)
        header = _parse(text)
        _check_layout(header.tensors, room)
    except InvalidWeights as error:
        where = printable(path)
        raise InvalidWeights(
            f"{where} is not a sound safetensors file: {error} Take it again from where it came."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        why = error.strerror if isinstance(error, OSError) else printable(error)
        where = printable(path)
        raise InvalidWeights(f"Cannot read the weights file {where}: {why}.") from error
    return header


def stray(head: bytes) -> str:
    """Say what a file is that begins with `head`, if it is often met in place of weights.

    head: the first 16 bytes or more.
    """
    if head[8:9] == b"{":  # a header: 640, as a length, looks like a pickle's first two bytes
        return ""
    start = head.lstrip().lower()
    for kind, starts, advice in _STRAYS:
        if start.startswith(starts):
            return f"It is {kind}: {advice}."
    return ""


_STRAYS = (
    (
        "a Git LFS pointer, not the file itself",
        (b"version https://git-lfs",),
        "run `git lfs pull` where it came from",
    ),
    (
        "a git-annex pointer, not the file itself",
        (b"/annex/objects/", b"../.git/annex", b".git/annex"),
        "run `git annex get` where it came from",
    ),
    (
        "a web page",
        (b"<!doctype html", b"<html"),
        "a login or error page may have been saved in place of the file",
    ),
    (
        "a pickle",
        (b"pk\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        "zoo opens safetensors only, because a pickle may run any code",
    ),
)


def _header_text(path: Path) -> tuple[bytes, int]:
    """Return the header's text and the bytes that are left for tensors."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(64)
        if hint := stray(head):
            raise InvalidWeights(hint)
        if size < 8:
            raise InvalidWeights(f"it has {size} bytes and the header's length alone takes 8.")
        length = int.from_bytes(head[:8], "little")
        if length > MAX_HEADER:
            raise InvalidWeights(
                f"it claims a header of {length} bytes; at most {MAX_HEADER} are read."
            )
        if length > size - 8:
            raise InvalidWeights(
                f"it claims a header of {length} bytes and only {size - 8} follow."
                " It may have been cut short."
            )
        file.seek(8)
        return file.read(length), size - 8 - length


def _parse(text: bytes) -> Header:
    try:
        record = json.loads(text.decode(), object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise InvalidWeights(f"its header is not JSON ({printable(error)}).") from None
    if not isinstance(record, dict):
        raise InvalidWeights(
            f"its header is a JSON {type(record).__name__}; an object is expected."
        )
    metadata = _metadata(record.pop("__metadata__", {}))
    if len(record) > MAX_TENSORS:
        raise InvalidWeights(f"it lists {len(record)} tensors; at most {MAX_TENSORS} are read.")
    return Header(metadata, {name: _tensor(name, given) for name, given in record.items()})


def _without_twins(pairs: list[tuple[str, object]]) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in pairs:
        if name in record:
            raise InvalidWeights(f"its header gives {quoted(name)} twice.")
        record[name] = value
    return record


def _metadata(given: object) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise InvalidWeights("its __metadata__ must be an object whose values are strings.")
    return given


def _tensor(name: str, given: object) -> TensorInfo:
    if not isinstance(given, dict) or set(given) != {"dtype", "shape", "data_offsets"}:
        raise InvalidWeights(
            f"tensor {quoted(name)} must have dtype, shape and data_offsets, and no more."
        )
    dtype, shape, offsets = given["dtype"], given["shape"], given["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise InvalidWeights(
            f"tensor {quoted(name)} has the dtype {quoted(dtype)}; known are {', '.join(DTYPES)}."
        )
    if not _naturals(shape):
        raise InvalidWeights(
            f"tensor {quoted(name)} has the shape {quoted(shape)}; a list of sizes is expected."
        )
    if not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise InvalidWeights(
            f"tensor {quoted(name)} has data_offsets {quoted(offsets)}; [begin, end] is expected."
        )
    begin, end = offsets
    size = _elements(shape) * DTYPES[dtype]
    if size != end - begin:
        raise InvalidWeights(
            f"tensor {quoted(name)} of shape {quoted(shape)} and dtype {dtype} takes"
            f" {'at least ' if size >= _PAST else ''}{size} bytes, and the header gives it"
            f" {end - begin}."
        )
    return TensorInfo(dtype, tuple(shape), begin, end)


def _elements(shape: Sequence[int]) -> int:
    """The product of the sizes, no further than what no file can hold."""
    if 0 in shape:
        return 0
    product = 1
    for size in shape:
        product *= size
        if product >= _PAST:  # a hundred thousand large factors would take minutes
            break
    return product


def _naturals(given: object) -> bool:
    # `type` and not `isinstance`: JSON's true is no size.
    return isinstance(given, list) and all(type(i) is int and 0 <= i < _PAST for i in given)


def _check_layout(tensors: dict[str, TensorInfo], room: int) -> None:
    """Every byte after the header belongs to one tensor."""
    reached = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != reached:
            fault = "overlaps" if tensor.begin < reached else "leaves a hole after"
            raise InvalidWeights(
                f"tensor {quoted(name)} begins at byte {tensor.begin} and {fault}"
                f" the one before it, which ends at {reached}."
            )
        reached = tensor.end
    if reached > room:
        raise InvalidWeights(
            f"its tensors take {reached} bytes and the file holds {room}."
            " It may have been cut short."
        )
    if reached < room:
        raise InvalidWeights(f"{room - reached} bytes follow the last tensor, and none should.")
