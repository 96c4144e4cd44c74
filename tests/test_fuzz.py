"""Damaged files of strangers, by the hundred: a ZooError or a result, in time and within memory.

Each is a sound file with some bytes changed, by a fixed seed; `ZOO_FUZZ=2000` tries as many of each
kind, in the place of 200.
"""

import io
import json
import os
import random
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from zoo_core.data import load_dataset, load_images
from zoo_core.data.notes import note
from zoo_core.errors import ZooError
from zoo_core.header import read_header

TRIES = int(os.environ.get("ZOO_FUZZ", "200"))
SECONDS = 2.0
"""The longest that one file may take."""
MEMORY = 300 * 2**20
"""Bytes above what the process had at first."""
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)


WORDS = (
    b"\x00" * 9, b"-1", b"nan", b"9" * 30, b"[" * 50, b'"', b",", b"\n", b"1e999", b"\xff\xfe"
)  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**62, 10**300, 1.5, float("nan"), "", "F32", [], {}, [2**62] * 5000
)  # fmt: skip


# Sound files


def picture(mode: str, form: str, **options: Any) -> bytes:
    levels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    image = Image.fromarray(levels)
    if mode == "F":
        image = Image.fromarray(levels[..., 0].astype(np.float32) / 255)
    elif mode == "I;16":
        image = Image.fromarray(levels[..., 0].astype(np.uint16) * 16)
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    if form in ("png", "jpeg", "webp", "tiff"):
        options["exif"] = exif
    image.save(buffer, form, **options)
    return buffer.getvalue()


def pictures() -> list[tuple[str, bytes]]:
    tiffs = [
        picture(mode, "tiff", compression=compression)
        for mode, compression in (
            ("L", "raw"), ("RGB", "tiff_lzw"), ("F", "raw"), ("I;16", "tiff_deflate"),
            ("1", "group4"), ("CMYK", "packbits"), ("LAB", "raw"), ("RGB", "jpeg"),
        )
    ]  # fmt: skip
    pngs = [picture(mode, "png") for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
    return [
        *(("a.tif", data) for data in tiffs),
        *(("a.png", data) for data in pngs),
        ("a.png", picture("P", "png", transparency=3)),
        ("a.jpg", picture("L", "jpeg")),
        ("a.jpg", picture("RGB", "jpeg", progressive=True)),
        ("a.jpg", picture("CMYK", "jpeg")),
        ("a.webp", picture("RGBA", "webp")),
        ("a.gif", picture("P", "gif", transparency=3)),
        ("a.bmp", picture("RGB", "bmp")),
        ("a.ppm", picture("RGB", "ppm")),
        ("a.pgm", b"P2\n4 2\n255\n0 1 2 3\n4 5 6 7\n"),
    ]


def tables() -> list[tuple[str, bytes]]:
    rows = np.random.default_rng(0).integers(0, 3, (20, 5))
    kinds = (rows.astype(kind) for kind in (np.int64, np.uint8, np.float32, np.bool_))
    found = []
    for array in (*kinds, np.asfortranarray(rows)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        found.append(("a.npy", buffer.getvalue()))
    for delimiter in ",; \t":
        text = "\n".join(delimiter.join(map(str, row)) for row in rows.tolist())
        found.append(("a.csv", text.encode()))
        found.append(("a.csv", f"\ufeffa{delimiter}b\n{text}\n".encode()))
    return found


def headers() -> list[tuple[str, bytes]]:
    tensors: dict[str, Any] = {
        f"net.{i}.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [24 * i, 24 * i + 24]}
        for i in range(5)
    }
    metadata = {"__metadata__": {"architecture": "nade", "config": '{"hidden": 500}'}}
    found = []
    for header in (tensors, metadata | tensors, {}):
        text = json.dumps(header).encode()
        found.append(("a", struct.pack("<Q", len(text)) + text + bytes(120 if header else 0)))
    return found


# Damage


def changed(data: bytes, chance: random.Random) -> bytes:
    """The file with one to eight changes."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(result) + 1)
        chance.choice((flip, number, cut, insert, repeat))(result, at, chance)
    return bytes(result)


def flip(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 1] = bytes([chance.randrange(256)])


def number(data: bytearray, at: int, chance: random.Random) -> None:
    """A number that is at the edge of its type, as sizes and offsets in a header are."""
    size = chance.choice("BHIQ")
    value = chance.choice(NUMBERS) % 2 ** (8 * struct.calcsize(size))
    packed = struct.pack(chance.choice("<>") + size, value)
    data[at : at + len(packed)] = packed


def cut(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at : at + chance.choice((1, 4, 16, 10**6))]


def insert(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = chance.choice(WORDS)


def repeat(data: bytearray, at: int, chance: random.Random) -> None:
    data[at:at] = data[at : at + chance.choice((1, 8, 64))] * chance.choice((1, 2, 50))


def odd(value: Any, chance: random.Random) -> Any:
    """A JSON value with one part in the place of another, or of something odd."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        other = chance.choice((key, key, key, "", "\x1b", "\ud800"))
        return {**value, other: odd(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        at = chance.randrange(len(value))
        return [*value[:at], odd(value[at], chance), *value[at + 1 :]]
    return chance.choice((*ODD, value))


def changed_header(data: bytes, chance: random.Random) -> bytes:
    """A file whose header is changed as JSON, every other time, and as bytes otherwise."""
    if chance.random() < 0.5:
        return changed(data, chance)
    length = struct.unpack("<Q", data[:8])[0]
    text = json.dumps(odd(json.loads(data[8 : 8 + length]), chance)).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


# What must hold


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Time and memory of the block; memory where the system says it."""
    base, began = highest(reset=True), time.perf_counter()
    yield
    assert time.perf_counter() - began < SECONDS, what
    assert highest() - base < MEMORY, what


def highest(*, reset: bool = False) -> int:
    """The most memory that the process has had, in bytes; since now, if reset."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def show(path: Path) -> object:
    return load_images([path], shape=(1, 8, 8))


def score(path: Path) -> object:
    return load_images([path], shape=(5,))


def learn(path: Path) -> object:
    return load_dataset(str(path if path.suffix in (".csv", ".npy") else path.parents[1]), size=8)


@pytest.mark.parametrize(
    ("sound", "change", "uses"),
    [
        (pictures, changed, (show, learn)),
        (tables, changed, (score, learn)),
        (headers, changed_header, (read_header,)),
    ],
    ids=["pictures", "tables", "headers"],
)
def test_a_damaged_file_is_used_or_refused_in_time_and_memory(
    tmp_path: Path,
    sound: Callable[[], list[tuple[str, bytes]]],
    change: Callable[[bytes, random.Random], bytes],
    uses: tuple[Callable[[Path], object], ...],
) -> None:
    files = sound()
    for name, data in files:  # the sound ones are read, but for those that are refused by name
        path = tmp_path / "sound" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        try:
            uses[0](path)
        except ZooError:
            assert b"LAB" in data or b"P2" in data or name == "a.tif", name
    refused = 0
    for seed in range(TRIES):
        name, data = files[seed % len(files)]
        path = tmp_path / str(seed) / "train" / name
        for beside in (path, path.parents[1] / "val" / name):
            beside.parent.mkdir(parents=True)
            beside.write_bytes(change(data, random.Random(seed)))
        for use in uses:
            note.cache_clear()
            with bounded(f"seed {seed}, {name}, {use.__name__}"):
                try:
                    use(path)
                except ZooError as error:
                    refused += 1
                    assert str(error).isprintable(), seed
                except Exception as error:
                    raise AssertionError(f"seed {seed}, {name}, {use.__name__}") from error
        shutil.rmtree(path.parents[1])
    assert 0 < refused < len(uses) * TRIES
