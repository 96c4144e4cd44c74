"""One picture to a tensor: upright, of eight bits, grey or in colour, in its shape."""

import io
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from factories import deep_png, save
from zoo_core.data import load_dataset, load_images
from zoo_core.data.fitting import Unreadable, fit, open_header, open_image
from zoo_core.errors import InvalidInput


def test_the_crop_is_of_the_centre(tmp_path: Path) -> None:
    wide = Image.new("L", (24, 8))
    wide.paste(255, (8, 0, 16, 8))
    wide.save(tmp_path / "wide.png")
    x = load_images([tmp_path / "wide.png"], shape=(1, 8, 8)).data.x
    assert int(x.min()) == 255


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert int(load_images([tmp_path / "deep.png"], shape=(1, 8, 8)).data.x.min()) == 255


def turned(fmt: str, orientation: int) -> bytes:
    """A picture of 48x32 as it lies, white in its upper left corner, with an EXIF orientation."""
    picture = Image.new("L", (48, 32))
    picture.paste(255, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    picture.save(buffer, fmt, exif=exif)
    return buffer.getvalue()


CORNERS = {1: (0, 0), 2: (0, 2), 3: (1, 2), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (2, 1), 8: (2, 0)}
"""Where the white corner of `turned` is upright, in squares of 16 pixels: row and column."""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["jpeg", "png", "tiff", "webp"])
def test_photographs_are_turned_before_their_size_is_taken(
    tmp_path: Path, fmt: str, orientation: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(20):
        path = tmp_path / "photos" / f"{i}.{fmt}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(turned(fmt, orientation))
    assert open_header(path).size == open_image(path, Counter()).size
    data = load_dataset(str(tmp_path / "photos"), gray=True)
    assert data.event_shape == ((1, 48, 32) if orientation > 4 else (1, 32, 48))
    row, column = CORNERS[orientation]
    corner = data.x[0, 0, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
    assert corner.float().mean() > 250
    said = capsys.readouterr().err
    assert ("18 turned upright by EXIF" in said) == (orientation > 1)
    assert "resized" not in said


def test_exif_that_follows_the_pixels_of_a_png_counts_too(tmp_path: Path) -> None:
    data = turned("png", 6)
    at = data.index(b"eXIf") - 4
    length = int.from_bytes(data[at : at + 4]) + 12
    chunk, rest = data[at : at + length], data[:at] + data[at + length :]
    path = tmp_path / "late.png"
    path.write_bytes(rest[:-12] + chunk + rest[-12:])
    assert open_header(path).size == open_image(path, Counter()).size == (32, 48)


def one(path: Path, shape: tuple[int, int, int] = (1, 8, 8)) -> torch.Tensor:
    return load_images([path], shape=shape).data.x[0]


RAMP = np.arange(64).reshape(8, 8)


@pytest.mark.parametrize(
    ("image", "expected", "said"),
    [
        (RAMP.astype(np.uint8), RAMP, ""),
        ((RAMP > 31), 255 * (RAMP > 31), "of 1 bit made 0 and 255"),
        (
            (RAMP * 1040).astype(np.uint16),
            RAMP * 1040 / 257,
            "of 16-bit grey, 0 to 65535, made 8-bit",
        ),
        (
            (RAMP * 65).astype(np.uint16),
            RAMP * 65 / 4095 * 255,
            "of 12-bit grey, 0 to 4095, made 8-bit",
        ),
        (
            (RAMP * 16).astype(np.uint16),
            RAMP * 16 / 1023 * 255,
            "of 10-bit grey, 0 to 1023, made 8-bit",
        ),
        (RAMP.astype(np.uint16), RAMP, "of 8-bit grey, 0 to 255, made 8-bit"),
        (
            (RAMP * 1040).astype(np.int32),
            RAMP * 1040 / 257,
            "of 16-bit grey, 0 to 65535, made 8-bit",
        ),
        ((RAMP / 63).astype(np.float32), RAMP / 63 * 255, "of real numbers from 0 to 1 made 8-bit"),
    ],
)
def test_grey_pixels_become_eight_bits(
    tmp_path: Path,
    image: np.ndarray,
    expected: np.ndarray,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = save(tmp_path / "a.tif", image)
    assert one(path)[0].tolist() == np.rint(expected).tolist()
    assert capsys.readouterr().err == (f"{path}: {said}\n" if said else "")
    assert open_header(path).grey


def test_the_largest_value_that_a_tiff_states_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "dark.tif", np.full((8, 8), 100, np.uint16), tiffinfo={281: 4095})
    assert set(one(path).flatten().tolist()) == {round(100 / 4095 * 255)}


def tiff(path: Path, pixels: np.ndarray, photometric: int, sample: int = 1) -> Path:
    """An uncompressed TIFF as it is stored, (H, W) or (H, W, C)."""
    (H, W), C = pixels.shape[:2], pixels.size // (pixels.shape[0] * pixels.shape[1])
    bits, data = 8 * pixels.itemsize, pixels.tobytes()
    at = 8 + 2 + 12 * 10 + 4
    many = {258: struct.pack(f"<{C}H", *[bits] * C), 339: struct.pack(f"<{C}H", *[sample] * C)}
    short = {259: 1, 262: photometric, 277: C}
    long = {256: W, 257: H, 273: at + 32, 278: H, 279: len(data)}
    fields = b""
    for tag in sorted({*many, *short, *long}):
        if tag in many:
            held = many[tag] if C == 1 else struct.pack("<I", at + 16 * (tag == 339))
            fields += struct.pack("<HHI", tag, 3, C) + held.ljust(4, b"\0")
        elif tag in short:
            fields += struct.pack("<HHIHH", tag, 3, 1, short[tag], 0)
        else:
            fields += struct.pack("<HHII", tag, 4, 1, long[tag])
    head = struct.pack("<2sHIH", b"II", 42, 8, 10) + fields + struct.pack("<I", 0)
    path.write_bytes(head + b"".join(held.ljust(16, b"\0") for held in many.values()) + data)
    return path


def test_channels_of_16_bits_keep_their_upper_8(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.stack([RAMP * 1040, RAMP * 520, RAMP * 260], axis=2).astype("<u2")
    for path in (
        deep_png(tmp_path / "deep.png", pixels),
        tiff(tmp_path / "deep.tif", pixels, photometric=2),
    ):
        expected = torch.from_numpy((pixels >> 8).astype(np.uint8)).permute(2, 0, 1)
        assert torch.equal(one(path, (3, 8, 8)), expected)
        assert capsys.readouterr().err == f"{path}: of 16-bit channels made 8-bit\n"


def test_12_bits_in_channels_of_16_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dim = np.stack([RAMP * 65] * 3, axis=2).astype("<u2")
    for path in (
        deep_png(tmp_path / "colour.png", dim),
        deep_png(tmp_path / "grey.png", dim[..., :2]),
        tiff(tmp_path / "colour.tif", dim, photometric=2),
    ):
        with pytest.raises(InvalidInput, match="no image could be read"):
            one(path, (3, 8, 8))
        expected = "its colours are at most 4,095 of 65,535, of which 8 bits would keep 16 levels"
        assert expected in capsys.readouterr().err


def test_a_dark_picture_of_16_bits_stays_dark_among_others(tmp_path: Path) -> None:
    bright, dark = np.full((8, 8, 3), 65535, np.uint16), np.full((8, 8, 3), 4095, np.uint16)
    folder = tmp_path / "night"
    folder.mkdir()
    deep_png(folder / "a.png", bright)
    deep_png(folder / "b.png", dark)
    x = load_images([folder], shape=(3, 8, 8)).data.x
    assert x[:, 0, 0, 0].tolist() == [255, 15]


def test_deep_grey_with_alpha_is_grey(tmp_path: Path) -> None:
    pixels = np.stack([RAMP * 1040, np.full_like(RAMP, 65535)], axis=2)
    path = deep_png(tmp_path / "a.png", pixels)
    assert open_header(path).grey
    assert torch.equal(one(path)[0], torch.from_numpy(RAMP * 1040 >> 8).byte())


@pytest.mark.parametrize(
    ("dtype", "photometric", "sample", "said"),
    [
        ("<u2", 0, 1, "its white is stored as 0 in more than 8 bits: save it with black as 0"),
        ("<f4", 0, 3, "its white is stored as 0 in more than 8 bits: save it with black as 0"),
        ("i1", 1, 2, "its pixels are signed numbers of 8 bits: save it with unsigned ones"),
    ],
)
def test_tiffs_that_pillow_takes_for_others_are_refused(
    tmp_path: Path, dtype: str, photometric: int, sample: int, said: str
) -> None:
    path = tiff(tmp_path / "a.tif", np.eye(8).astype(dtype), photometric, sample)
    for read in (open_header, lambda path: open_image(path, Counter())):
        with pytest.raises(Unreadable, match=said):
            read(path)


def test_white_that_is_stored_as_0_in_8_bits_is_white(tmp_path: Path) -> None:
    path = tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), photometric=0)
    assert int(one(path).min()) == 255


CMYK = Image.new("CMYK", (8, 8), (0, 255, 255, 0))


LAB = Image.new("LAB", (8, 8), (128, 128, 128))


def palette(colour: tuple[int, int, int] = (255, 0, 0)) -> Image.Image:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, *colour])
    picture.putpixel((0, 0), 0)
    return picture


@pytest.mark.parametrize(
    ("image", "options", "pixel", "is_grey", "said"),
    [
        (Image.new("RGB", (8, 8), (1, 2, 3)), {}, [1, 2, 3], False, ""),
        (CMYK, {}, [255, 0, 0], False, "of CMYK made RGB without a colour profile"),
        (palette(), {}, [255, 0, 0], False, ""),
        (palette((9, 9, 9)), {}, [9, 9, 9], True, ""),
        (palette(), {"transparency": 1}, [255, 255, 255], False, "transparency laid over white"),
        (Image.new("LA", (8, 8), (7, 0)), {}, [255] * 3, True, "transparency laid over white"),
        (Image.new("LA", (8, 8), (7, 255)), {}, [7] * 3, True, ""),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), {}, [204] * 3, False, "laid over white"),
    ],
)
def test_colours(
    tmp_path: Path,
    image: Image.Image,
    options: dict[str, Any],
    pixel: list[int],
    is_grey: bool,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    suffix = "tif" if image.mode == "CMYK" else "png"
    path = save(tmp_path / f"a.{suffix}", image, **options)
    x = one(path, (3, 8, 8))
    assert x[:, 7, 7].tolist() == pytest.approx(pixel, abs=1)
    assert open_header(path).grey == is_grey
    assert said in capsys.readouterr().err


def test_ycbcr_becomes_rgb() -> None:
    done: Counter[str] = Counter()  # no file: as a TIFF without compression, Pillow 12 refuses it
    x = fit(Image.new("YCbCr", (8, 8), (76, 85, 255)), (3, 8, 8), done)
    assert x[:, 7, 7].tolist() == [254, 0, 0]
    assert list(done) == ["of YCbCr made RGB without a colour profile"]


def test_deep_grey_with_one_transparent_value(tmp_path: Path) -> None:
    deep = np.full((8, 8), 60_000, np.uint16)
    deep[0] = 0
    path = save(tmp_path / "a.png", deep)
    data, key = path.read_bytes(), b"tRNS\0\0"  # written here: Pillow 10.1 reads it only
    path.write_bytes(data[:33] + b"\0\0\0\2" + key + zlib.crc32(key).to_bytes(4) + data[33:])
    x = one(path)
    assert set(x[0, 0].tolist()) == {255}
    assert set(x[0, 1].tolist()) == {round(60_000 / 257)}


def test_only_formats_of_pictures_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.png"  # Pillow would start a program to draw this
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n")
    with pytest.raises(Unreadable, match="no picture in a format that is read"):
        open_header(path)


def test_what_is_done_is_counted_of_those_that_are_read(tmp_path: Path) -> None:
    done: Counter[str] = Counter()
    with pytest.raises(Unreadable):
        fit(LAB, (1, 8, 8), done)
    assert not done


@pytest.mark.parametrize("suffix", ["gif", "png", "tif", "webp"])
def test_of_several_frames_the_first_is_taken_and_said(
    tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = [Image.new("L", (4, 4), level) for level in (0, 255, 255)]
    path = tmp_path / f"a.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    data, _ = load_images([path], shape=(1, 4, 4))
    assert not data.x.any()
    assert "of several frames, of which the first was taken" in capsys.readouterr().err
