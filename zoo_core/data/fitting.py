"""One picture, whatever its size and pixels, to a tensor of a given shape.

The shorter side is resized and the longer one cropped around the centre; transparency is laid over
white. Pixels become 8 bits by these rules, and a picture that none of them fits is refused:

- grey, colour or a palette of 8 bits stay what they are;
- 1 bit becomes 0 and 255;
- whole numbers of 16 or 32 bits are divided by the largest number of 8, 10, 12, 14 or 16 bits, the
  fewest that hold all such pictures of a source; below 0 or above 65,535 they are refused;
- channels of 16 bits, of colours or beside alpha, keep the upper 8; where 14 or fewer of their bits
  would hold all such pictures of a source, too little is left, and they are refused;
- real numbers from 0 to 1 become 0 to 255; beyond, and where one is not a number, they are refused;
- CMYK and YCbCr become RGB, without a colour profile;
- any other, such as LAB, signed bytes or deep pixels whose 0 is white, is refused.

Everything that was done is counted, so that the caller can say it.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile
from torch import Tensor

from zoo_core import memory
from zoo_core.data.shards import Held, Picture, open_picture
from zoo_core.text import argument, printable

__all__ = [
    "Header",
    "Shape",
    "Unreadable",
    "bits_of",
    "fit",
    "fit_tensor",
    "open_header",
    "open_image",
    "reading",
    "room",
]

Shape = tuple[int, int, int]
"""(C, H, W), where C is 1 for grey and 3 for colour."""

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""What is opened, by Pillow's names, whatever the suffix: other formats may start programs."""

_BITS = (8, 10, 12, 14, 16)
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_EIGHT = ("L", "P", "RGB", "RGBX", *_ALPHA)
_ORIENTATION, _LARGEST_VALUE = 0x0112, 281  # tags of EXIF and of TIFF
_PHOTOMETRIC, _SAMPLE_FORMAT = 262, 339  # tags of TIFF
_WHITE_IS_ZERO, _SIGNED = 0, 2
_DEEP = "deep colour"
"""In a picture's info: how channels of 16 bits are stored, of which Pillow keeps the upper 8."""
_BLOCK = 2**20
"""Pixels that are scaled at a time, so that a large picture is not held three times."""
_LARGE, _PER_BYTE = 2**23, 1000
"""Pixels of a large picture, and how many of them a byte of its file may stand for."""
_EXIF = 2**17
"""Bytes at a PNG's end in which EXIF that follows the pixels is looked for."""


logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong is said once, by us


class Unreadable(Exception):
    """A file that is not a picture, is damaged, or has refused pixels; says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header holds."""

    size: tuple[int, int]
    """(W, H), upright."""
    grey: bool
    peak: int = 0
    """The largest value of whole numbers that need more than 8 bits; of others 0. Of colours, as
    far as their upper 8 bits say it."""


@contextmanager
def reading() -> Iterator[None]:
    """Whatever Pillow raises for a picture becomes Unreadable: it has as many errors as formats."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(_reason(error)) from error


def open_header(picture: Picture | Held) -> Header:
    """Read a header, for which only deep whole numbers are decoded; raises Unreadable."""
    with reading(), open_picture(picture) as file, Image.open(file, formats=_FORMATS) as image:
        W, H = image.size
        _check_size(W * H, file)
        if isinstance(image, TiffImageFile):  # Pillow turns a TIFF's size itself, by its version
            W, H = image.tag_v2[256], image.tag_v2[257]
        _look_into(image)
        size = (H, W) if _orientation(image, file) > 4 else (W, H)
        return Header(size, _has_grey_pixels(image), _peak(image))


def open_image(picture: Picture | Held, done: Counter[str]) -> Image.Image:
    """Decode a picture, upright; raises Unreadable."""
    with reading(), open_picture(picture) as file, Image.open(file, formats=_FORMATS) as image:
        _check_size(image.width * image.height, file)
        if _orientation(image, file) > 1:
            done["turned upright by EXIF"] += 1
        if getattr(image, "is_animated", False):
            done["of several frames, of which the first was taken"] += 1
        _look_into(image)
        image.load()
        return ImageOps.exif_transpose(image)


def bits_of(headers: Iterable[Header]) -> int:
    """The fewest of 8, 10, 12, 14 or 16 bits that hold all pictures of whole numbers."""
    peak = max((header.peak for header in headers), default=0)
    return next(bits for bits in _BITS if peak < 2**bits)


def fit(image: Image.Image, shape: Shape, done: Counter[str], bits: int = 8) -> Tensor:
    """Bring an image to (C, H, W), uint8, and count what was done; raises Unreadable.

    bits: what whole numbers of more than 8 bits are taken as, of `bits_of`.
    """
    C, H, W = shape
    deeds: Counter[str] = Counter()
    with reading():
        if _DEEP in image.info:
            _check_depth(bits)
            deeds["of 16-bit channels made 8-bit"] += 1
        image = _recolour(_over_white(_eight_bits(image, bits, deeds), deeds), C, deeds)
        if image.size != (W, H):
            deeds[f"resized and centre-cropped to {H}x{W}"] += 1
            image = ImageOps.fit(image, (W, H), method=Image.Resampling.BICUBIC)
        x = torch.from_numpy(np.array(image))
    done.update(deeds)
    return x.unsqueeze(0) if C == 1 else x.permute(2, 0, 1).contiguous()


def fit_tensor(x: Tensor, shape: Shape, done: Counter[str]) -> Tensor:
    """Bring images (N, C, H, W), uint8, to another shape."""
    if tuple(x.shape[1:]) == shape:
        return x
    fitted = room(len(x), shape)
    for place, image in zip(fitted, x, strict=True):
        picture = image.permute(1, 2, 0).squeeze(2).numpy()
        place.copy_(fit(Image.fromarray(picture), shape, done))
    return fitted


def room(n: int, shape: Shape) -> Tensor:
    """Memory for n images, (n, C, H, W), uint8; raises InvalidInput where they do not fit in it."""
    C, H, W = shape
    advice = f"Take smaller images ({argument('size')}), or fewer of them."
    memory.require(f"{n:,} images of {H}x{W} in {C} channels take", n * C * H * W, advice)
    return torch.empty(n, *shape, dtype=torch.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return (
            f"more than {most:,} pixels: so many are not decoded, because a small file could fill "
            "the memory with them; scale it down"
        )
    if isinstance(error, UnidentifiedImageError):
        return "no picture in a format that is read"
    text = error.strerror if isinstance(error, OSError) and error.strerror else error
    return printable(text, 80) or type(error).__name__


def _check_size(pixels: int, file: BinaryIO) -> None:
    """Refuse a small file that claims to be a large picture, before memory is taken for it."""
    at = file.tell()
    held = file.seek(0, os.SEEK_END)
    file.seek(at)
    if pixels > max(_LARGE, _PER_BYTE * held):
        raise Unreadable(
            f"{pixels:,} pixels in {held:,} bytes: more than {_PER_BYTE:,} for each byte, by which "
            "a small file could fill the memory; scale it down"
        )


def _look_into(image: Image.Image) -> None:
    """Mark channels of 16 bits; refuse what Pillow takes for something else without a word."""
    tiles = getattr(image, "tile", ())  # of an image from a file
    stored = [text for tile in tiles for text in _texts(tile[3])]
    deep = next((text for text in stored if ";16" in text), None)
    if deep and not image.mode.startswith("I"):
        image.info[_DEEP] = deep
    if not isinstance(image, TiffImageFile):
        return
    if image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and image.mode not in ("1", "L"):
        raise Unreadable("its white is stored as 0 in more than 8 bits: save it with black as 0")
    if image.mode == "L" and _SIGNED in _values(image.tag_v2.get(_SAMPLE_FORMAT)):
        raise Unreadable("its pixels are signed numbers of 8 bits: save it with unsigned ones")


def _texts(arguments: object) -> list[str]:
    """The names of modes among a decoder's arguments."""
    return [text for text in _values(arguments) if isinstance(text, str)]


def _values(held: object) -> tuple[object, ...]:
    return held if isinstance(held, tuple) else (held,)


def _check_depth(bits: int) -> None:
    """Refuse channels of 16 bits that hold fewer: the upper 8 bits would be nearly black."""
    if bits < 16:
        raise Unreadable(
            f"its colours are at most {2**bits - 1:,} of 65,535, of which 8 bits would keep "
            f"{max(1, 2 ** (bits - 8))} levels: save it with 8 bits a channel"
        )


def _orientation(image: Image.Image, file: BinaryIO) -> int:
    """How the picture lies, by EXIF: 1 upright, from 5 on its side."""
    if image.format == "PNG" and "exif" not in image.info:
        at = file.tell()
        file.seek(-min(_EXIF, file.seek(0, os.SEEK_END)), os.SEEK_CUR)
        behind = b"eXIf" in file.read()
        file.seek(at)
        if not behind:  # asking Pillow would decode the whole picture to look behind it
            return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _has_grey_pixels(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = image.getpalette("RGB") or []
        return palette[0::3] == palette[1::3] == palette[2::3]
    if str(image.info.get(_DEEP, "")).startswith("LA"):  # Pillow makes it RGBA
        return True
    return image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I")


def _peak(image: Image.Image) -> int:
    """The largest value of whole numbers; 0 where there are others, or some that are refused."""
    if _DEEP in image.info:
        colours = np.asarray(image)[..., :3]
        return int(colours.max()) << 8 | 255
    if not image.mode.startswith("I"):
        return 0
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if isinstance(image, TiffImageFile):
        stated = image.tag_v2.get(_LARGEST_VALUE)
        if isinstance(stated, tuple) and len(stated) == 1 and high <= stated[0] < 2**16:
            high = int(stated[0])
    return high if low >= 0 and high < 2**16 else 0


def _eight_bits(image: Image.Image, bits: int, done: Counter[str]) -> Image.Image:
    """The image in a mode of 8 bits a channel."""
    if image.mode.startswith("I"):
        return _scale(
            image, 2**bits - 1, f"of {bits}-bit grey, 0 to {2**bits - 1}, made 8-bit", done
        )
    if image.mode == "F":
        return _scale(image, 1, "of real numbers from 0 to 1 made 8-bit", done)
    if image.mode == "1":
        done["of 1 bit made 0 and 255"] += 1
        return image.convert("L")
    if image.mode in ("CMYK", "YCbCr"):
        done[f"of {image.mode} made RGB without a colour profile"] += 1
        return image.convert("RGB")
    if image.mode not in _EIGHT:
        raise Unreadable(
            f"its pixels are {image.mode}; expected grey, RGB, a palette or CMYK: save it as RGB"
        )
    return image


def _scale(image: Image.Image, top: int, deed: str, done: Counter[str]) -> Image.Image:
    """Grey values from 0 to top, as 0 to 255."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= top):
        wrong = "some of its values are not numbers"
        found = wrong if np.isnan(low) else f"its values are {low:g} to {high:g}"
        raise Unreadable(f"{found}; expected 0 to {top:,}")
    done[deed] += 1
    grey = np.empty(values.shape, np.uint8)
    step = 1 + _BLOCK // values.shape[1]
    for rows in (slice(at, at + step) for at in range(0, len(values), step)):
        grey[rows] = np.rint(values[rows] * (255 / top))
    clear: Any = image.info.get("transparency")
    if isinstance(clear, int) and (values == clear).any():
        done["with transparency laid over white"] += 1
        grey[values == clear] = 255
    return Image.fromarray(grey)


def _over_white(image: Image.Image, done: Counter[str]) -> Image.Image:
    palette = getattr(image.palette, "mode", "") if image.mode == "P" else ""
    if image.mode not in _ALPHA and "transparency" not in image.info and palette != "RGBA":
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
    if image.mode != "L" and not _is_grey(image):
        done["of colour made grey"] += 1
    return image.convert("L")


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = (np.asarray(band) for band in image.convert("RGB").split())
    return bool((red == green).all() and (green == blue).all())
