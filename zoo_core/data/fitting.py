"""One picture, whatever its size and colours, to a tensor of a given shape.

The shorter side is resized and the longer one cropped around the centre; transparency is laid over
white. Everything that was done is counted, so that the caller can say it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

__all__ = ["BROKEN", "Shape", "find_images", "fit", "fit_tensor", "is_image", "open_image"]

Shape = tuple[int, int, int]
"""(C, H, W), where C is 1 for grey and 3 for colour."""

BROKEN = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no picture, or a damaged one."""

_SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def find_images(folder: Path) -> list[Path]:
    """The image files below a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())


def open_image(path: Path) -> Image.Image:
    """Decode a file, upright; 16-bit grey is brought to 8 bits."""
    with Image.open(path) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):
        return Image.fromarray((np.asarray(upright) // 257).astype(np.uint8))
    return upright


def fit(image: Image.Image, shape: Shape, done: Counter[str]) -> Tensor:
    """Bring an image to (C, H, W), uint8, and count what was done."""
    C, H, W = shape
    image = _recolour(_over_white(image, done), C, done)
    if image.size != (W, H):
        done[f"resized and centre-cropped to {H}x{W}"] += 1
        image = ImageOps.fit(image, (W, H), method=Image.Resampling.BICUBIC)
    x = torch.from_numpy(np.array(image))
    return x.unsqueeze(0) if C == 1 else x.permute(2, 0, 1).contiguous()


def fit_tensor(x: Tensor, shape: Shape, done: Counter[str]) -> Tensor:
    """Bring images (N, C, H, W), uint8, to another shape."""
    if tuple(x.shape[1:]) == shape:
        return x
    pictures = (image.permute(1, 2, 0).squeeze(2).numpy() for image in x)
    return torch.stack([fit(Image.fromarray(picture), shape, done) for picture in pictures])


def _over_white(image: Image.Image, done: Counter[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    if np.asarray(rgba)[..., 3].min() == 255:  # an alpha channel that hides nothing
        return rgba.convert("RGB")
    done["with transparency laid over white"] += 1
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _recolour(image: Image.Image, C: int, done: Counter[str]) -> Image.Image:
    if C == 3:
        return image.convert("RGB")
    if image.mode not in ("L", "1") and not _is_grey(image):
        done["of colour made grey"] += 1
    return image.convert("L")


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (np.asarray(band) for band in image.convert("RGB").split())
    return bool((red == green).all() and (green == blue).all())
