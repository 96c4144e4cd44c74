"""Images side by side in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image, ImageFont
    from torch import Tensor

__all__ = ["blank", "grid", "heat", "layout", "pixels", "stacked"]

_GAP = 96
"""Grey level between the tiles: apart from the black and from the white of binary images."""

_TEXT, _MARGIN, _SMALLEST_TEXT = 14, 8, 10
"""Height of a name or heading and the space on both sides of it, in pixels; headings may shrink."""

_TILE, _WIDTH = 96, 1200
"""Small tiles are enlarged a whole number of times, up to this, while the picture is no wider."""


def grid(
    images: Tensor,
    columns: int | None = None,
    pad: int = 2,
    scale: int | None = None,
    names: Sequence[str] = (),
    headings: Sequence[str] = (),
) -> Image.Image:
    """Lay images out in rows.

    Args:
        images: (n, C, H, W), in [0, 1]; C is 1 or 3.
        columns: images per row; as square as it goes by default.
        pad: pixels between the tiles.
        scale: enlargement of each tile; by default small ones are made visible.
        names: what stands at the left of the rows; nothing by default.
        headings: what stands above the columns; nothing by default.
    """
    from PIL import Image

    canvas = layout(images, columns, pad, scale)
    picture = Image.fromarray(canvas)
    columns = _columns(len(images), columns)
    rows = math.ceil(len(images) / columns)
    H, W = (canvas.shape[0] + pad) // rows, (canvas.shape[1] + pad) // columns
    if headings:
        picture = _headed(picture, headings, [j * W for j in range(columns)], W - pad)
    if names:
        top = picture.height - canvas.shape[0]
        heights = [top + i * H + (H - pad) // 2 for i in range(rows)]
        picture = _add_names(picture, names, heights)
    return picture if images.shape[1] == 3 else picture.convert("L")


def layout(
    images: Tensor | NDArray[Any],
    columns: int | None = None,
    pad: int = 2,
    scale: int | None = None,
) -> NDArray[np.uint8]:
    """The bytes of `grid` without names and headings: (H, W), of images in colour (H, W, 3)."""
    tiles = pixels(images)
    n, H, W, _ = tiles.shape
    columns = _columns(n, columns)
    scale = scale or max(1, min(_TILE // max(H, W), _WIDTH // (columns * W)))
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    rows, H, W = math.ceil(n / columns), H * scale, W * scale
    canvas = np.full((rows * (H + pad) - pad, columns * (W + pad) - pad, 3), _GAP, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (H + pad), i % columns * (W + pad)
        canvas[top : top + H, left : left + W] = tile
    return canvas if images.shape[1] == 3 else np.ascontiguousarray(canvas[..., 0])


def _columns(n: int, columns: int | None) -> int:
    return min(columns or math.ceil(math.sqrt(n)), n)


def blank(images: Tensor, n: int) -> Tensor:
    """Fill a row's rest: n images of the size of the others that look like the space between them.

    images: (m, C, H, W); return (n, C, H, W).
    """
    return images.new_full((n, *images.shape[1:]), _GAP / 255)


def stacked(
    parts: Sequence[Tensor], columns: int, names: Sequence[str]
) -> tuple[Tensor, list[str]]:
    """Images in rows, each above the images that belong to it, and the rows' names.

    parts: what stands one above the other, each (n, C, H, W).
    names: of each part.
    """
    import torch

    rest = blank(parts[0], -len(parts[0]) % columns)
    rows = [torch.cat([part, rest]).split(columns) for part in parts]
    images = torch.cat([row for group in zip(*rows, strict=True) for row in group])
    return images, [*names] * len(rows[0])


def heat(values: Tensor, highest: float) -> Tensor:
    """Values as colours, from black by red to pale yellow, (n, 3, H, W), in [0, 1].

    values: (n, H, W); what is below 0 or above `highest` has the colour of the end.
    """
    import torch
    from matplotlib import colormaps

    shares = (values / max(highest, 1e-12)).clamp(0, 1).numpy()
    colours = torch.from_numpy(colormaps["inferno"](shares)[..., :3])
    return colours.permute(0, 3, 1, 2).float()


def _add_names(picture: Image.Image, names: Sequence[str], heights: Sequence[int]) -> Image.Image:
    """Add a margin with names, each at its height."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_TEXT)
    margin = math.ceil(max(font.getlength(name) for name in names)) + 2 * _MARGIN
    wide = Image.new("RGB", (margin + picture.width, picture.height), (_GAP,) * 3)
    wide.paste(picture, (margin, 0))
    draw = ImageDraw.Draw(wide)
    for name, y in zip(names, heights, strict=False):
        draw.text((margin - _MARGIN, y), name, "white", font, anchor="rm")
    return wide


def _headed(
    picture: Image.Image, headings: Sequence[str], lefts: Sequence[int], width: int
) -> Image.Image:
    """Add a margin with headings, a word a line; smaller or upright ones where words are wide."""
    from PIL import Image, ImageFont

    for size in range(_TEXT, _SMALLEST_TEXT - 1, -1):
        font = ImageFont.load_default(size)
        labels = [_label(heading.split(), font) for heading in headings]
        if max(label.width for label in labels) <= width:
            break
    else:
        font = ImageFont.load_default(_TEXT)
        labels = [
            _label([heading], font).transpose(Image.Transpose.ROTATE_90) for heading in headings
        ]
    margin = max(label.height for label in labels) + 2 * _MARGIN
    high = Image.new("RGB", (picture.width, margin + picture.height), (_GAP,) * 3)
    high.paste(picture, (0, margin))
    for label, left in zip(labels, lefts, strict=False):
        high.paste(label, (left + (width - label.width) // 2, margin - _MARGIN - label.height))
    return high


def _label(lines: Sequence[str], font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> Image.Image:
    """Lines of text, centred one below the other."""
    from PIL import Image, ImageDraw

    line = math.ceil(font.getbbox("Åg")[3]) + 2
    width = math.ceil(max((font.getlength(text) for text in lines), default=1))
    label = Image.new("RGB", (max(1, width), max(1, line * len(lines))), (_GAP,) * 3)
    draw = ImageDraw.Draw(label)
    for i, text in enumerate(lines):
        draw.text((width / 2, i * line), text, "white", font, anchor="ma")
    return label


def pixels(images: Tensor | NDArray[Any]) -> NDArray[Any]:
    """Images as (n, H, W, 3) bytes.

    images: a tensor or an array, (n, C, H, W), in [0, 1]; C is 1 or 3.
    """
    x = images if isinstance(images, np.ndarray) else images.detach().float().cpu().numpy()
    levels = np.rint(x.clip(0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    tiles: NDArray[Any] = levels.repeat(3 // levels.shape[3], axis=3)
    return tiles
