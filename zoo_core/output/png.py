"""PNG files without Pillow, which takes as long to be imported as sixteen digits to be sampled."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["encode"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NONE, _UP = 0, 2
"""Filters of a row: its bytes as they are, or less those of the row above it."""


def encode(pixels: NDArray[np.uint8], texts: Mapping[str, str]) -> bytes:
    """A picture as the bytes of a file.

    pixels: (H, W) grey, or (H, W, 3) red, green and blue.
    texts: what the file says of itself, in Latin-1.
    """
    H, W, *colours = pixels.shape
    said = [b"\0".join(part.encode("latin-1") for part in pair) for pair in texts.items()]
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 2 if colours else 0, 0, 0, 0)),
        *((b"tEXt", text) for text in said),
        (b"IDAT", _compressed(pixels.reshape(H, -1))),
        (b"IEND", b""),
    ]
    return _SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _compressed(rows: NDArray[Any]) -> bytes:
    """The rows by the filter that gives the fewest bytes: repeated rows are zeros less the other.

    rows: (H, bytes).
    """
    up = np.concatenate([rows[:1], rows[1:] - rows[:-1]])  # modulo 256
    filtered = (np.insert(rows, 0, _NONE, 1), np.insert(up, 0, _UP, 1))
    return min((zlib.compress(each.tobytes()) for each in filtered), key=len)
