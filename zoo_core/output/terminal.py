"""Images in the terminal: its own graphics where it has them, else half blocks, else characters.

We draw by hand rather than through a library: whole tiles at half their size are what keeps digits
legible in 80 columns, and a library that draws through rich needs 0.2 s to be imported.
"""

from __future__ import annotations

import math
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from zoo_core.output.graphics import find_protocol
from zoo_core.output.grid import grid, pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

__all__ = ["show"]

_TILE = 16
"""Larger tiles are halved (or more) until they are no larger than this, unless there is room."""

_SHADES = " ░▒▓█"
_ASCII = " .:-=+*%@#"

_CUBE = np.array([0, 95, 135, 175, 215, 255])
"""Levels of the 6 x 6 x 6 colours that every 256-colour terminal has from number 16 on."""


def show(
    images: Tensor, stream: TextIO | None = None, *, columns: int | None = None
) -> tuple[int, int]:
    """Draw images on a terminal; nothing where the stream is none.

    Args:
        images: (n, C, H, W), in [0, 1]; C is 1 or 3.
        stream: where to; standard output by default.
        columns: images per row, for rows that belong together; else as many as the width allows.

    Returns:
        How many images were drawn, and of how many: those that one screen holds.
    """
    stream = stream or sys.stdout
    n = len(images)
    if not n or not stream.isatty():
        return 0, n
    size = shutil.get_terminal_size()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") in ("dumb", "")
    protocol = None if plain else find_protocol(stream)
    if protocol:
        return _graphics(images, stream, protocol, columns, size), n
    tiles, columns = _fit(pixels(images), columns, size)
    canvas = _canvas(tiles, columns)
    lines = _shade(canvas, _can_encode(stream)) if plain else _half_blocks(canvas)
    stream.write("\n".join(lines) + "\n")
    stream.flush()
    return len(tiles), n


def _fit(
    tiles: NDArray[np.uint8], columns: int | None, size: os.terminal_size
) -> tuple[NDArray[np.uint8], int]:
    """Scale the tiles, and choose those that one screen holds and how many stand in a row."""
    n, H, W, _ = tiles.shape
    factor = max(1, math.ceil(max(H, W) / _TILE))
    # few tiles may be larger, when all of them stand in one row and on one screen
    for larger in range(1, factor):
        if (columns or n) * (W // larger + 1) <= size.columns and n <= (columns or n):
            factor = larger if H // larger <= 2 * (size.lines - 3) else factor
            break
    tiles = _shrink(tiles, factor) if factor > 1 else _enlarge(tiles)
    _, H, W, _ = tiles.shape
    fitting = max(1, (size.columns + 1) // (W + 1))
    held = max(1, (2 * (size.lines - 3) + 1) // (H + 1))
    return _choose(tiles, columns, fitting, held)


def _choose(
    tiles: NDArray[Any], columns: int | None, fitting: int, held: int
) -> tuple[NDArray[Any], int]:
    """The tiles of the first rows, cut to the columns that fit."""
    n = len(tiles)
    if columns:
        keep = [i for i in range(n) if i % columns < fitting and i // columns < held]
        return tiles[keep], min(columns, fitting)
    rows = math.ceil(n / fitting)
    columns = math.ceil(n / rows)  # rows of equal length
    return tiles[: held * columns], columns


def _shrink(tiles: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Mean over factor x factor pixels; what is over at the right and below is cut off."""
    n, H, W, C = tiles.shape
    h, w = H // factor, W // factor
    cut = tiles[:, : h * factor, : w * factor].reshape(n, h, factor, w, factor, C)
    mean: NDArray[np.uint8] = cut.mean((2, 4)).round().astype(np.uint8)
    return mean


def _enlarge(tiles: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = max(1, _TILE // max(tiles.shape[1:3]))
    return tiles.repeat(factor, 1).repeat(factor, 2)


def _canvas(tiles: NDArray[np.uint8], columns: int) -> NDArray[np.int16]:
    """Tiles in rows, (height, width, 3), and gaps of one pixel that hold -1; the height is even."""
    n, H, W, _ = tiles.shape
    rows = math.ceil(n / columns)
    height = rows * (H + 1) - 1
    canvas = np.full((height + height % 2, columns * (W + 1) - 1, 3), -1, np.int16)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (H + 1), i % columns * (W + 1)
        canvas[top : top + H, left : left + W] = tile
    return canvas


def _half_blocks(canvas: NDArray[np.int16]) -> list[str]:
    """Two pixels to a character: the upper one is its ink, the lower one its ground."""
    colours = _true_colours(canvas) if _has_true_colour() else _palette(canvas)
    lines = []
    for upper, lower in zip(colours[::2], colours[1::2], strict=True):
        cells = [_cell(top, bottom) for top, bottom in zip(upper, lower, strict=True)]
        line, last = "", ""
        for style, character in cells:
            line += character if style == last else f"\x1b[{style}m{character}"
            last = style
        lines.append(f"{line}\x1b[0m")
    return lines


def _cell(top: str, bottom: str) -> tuple[str, str]:
    """Style and character of two pixels; an empty colour is the terminal's own ground."""
    if top and bottom:
        return f"38;{top};48;{bottom}", "▀"
    if top:
        return f"0;38;{top}", "▀"
    return (f"0;38;{bottom}", "▄") if bottom else ("0", " ")


def _has_true_colour() -> bool:
    return os.environ.get("COLORTERM", "") in ("truecolor", "24bit")


def _true_colours(canvas: NDArray[np.int16]) -> list[list[str]]:
    return [[f"2;{r};{g};{b}" if r >= 0 else "" for r, g, b in row] for row in canvas.tolist()]


def _palette(canvas: NDArray[np.int16]) -> list[list[str]]:
    """The nearest of the cube's colours and of the ramp of 24 greys (8, 18, … 238)."""
    cube = np.abs(canvas[..., None] - _CUBE).argmin(-1)
    grey = np.clip((canvas.mean(-1) - 3) // 10, 0, 23).astype(int)
    far_cube = ((_CUBE[cube] - canvas) ** 2).sum(-1)
    far_grey = ((8 + 10 * grey[..., None] - canvas) ** 2).sum(-1)
    number = np.where(far_grey < far_cube, 232 + grey, 16 + cube @ np.array([36, 6, 1]))
    number[canvas[..., 0] < 0] = -1
    return [[f"5;{k}" if k >= 0 else "" for k in row] for row in number.tolist()]


def _shade(canvas: NDArray[np.int16], blocks: bool) -> list[str]:
    """Two pixels to a character, darker or lighter; light is ink, as on a dark terminal."""
    ramp = _SHADES if blocks else _ASCII
    light = np.maximum(canvas, 0).mean(-1)
    cells = (light[::2] + light[1::2]) / 2
    level = np.minimum((cells / 256 * len(ramp) + 0.35).astype(int), len(ramp) - 1)
    return ["".join(ramp[k] for k in row).rstrip() for row in level]


def _can_encode(stream: TextIO) -> bool:
    try:
        _SHADES.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _graphics(
    images: Tensor, stream: TextIO, protocol: str, columns: int | None, size: os.terminal_size
) -> int:
    """Draw through the terminal's graphics; return how many images."""
    from zoo_core.output import graphics

    cell_width, cell_height = graphics.cell_size(stream)
    width, height = size.columns * cell_width, (size.lines - 3) * cell_height
    H, W = images.shape[2:]
    scale = max(1, 56 // max(H, W))
    fitting = max(1, (width + 2) // (W * scale + 2))
    held = max(1, (height + 2) // (H * scale + 2))
    index, columns = _choose(np.arange(len(images)), columns, fitting, held)
    picture = grid(images[index.tolist()], columns, scale=scale)
    stream.write(graphics.encode(picture, protocol) + "\n")
    stream.flush()
    return len(index)
