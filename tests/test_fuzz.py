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
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from PIL import Image

import zoo_core
from zoo_core import loading
from zoo_core.data import load_dataset, load_images
from zoo_core.data.notes import note
from zoo_core.errors import ZooError
from zoo_core.header import read_header
from zoo_core.training.checkpoint import previous
from zoo_core.training.loop import Loop

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
        found.append(("a.csv", f"\ufeff{delimiter.join('abcde')}\n{text}\n".encode()))
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


MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("nade", {"shape": [1, 3, 3], "hidden": 4}),
    ("made", {"shape": [9], "hidden": [5], "masks": 2, "direct": True}),
    ("chow-liu", {"shape": [5]}),
    ("eonade", {"shape": [5], "hidden": [4], "orders": 2}),
    ("ar", {"shape": [5], "k": 2, "order": [4, 3, 2, 1, 0]}),
    ("pixelcnn", {"shape": [2, 3, 3], "levels": 4, "hidden": 2, "layers": 1, "head": 2}),
    ("attention", {"shape": [5], "levels": 3, "d": 4, "blocks": 1, "classes": 2}),
    ("vae", {"shape": [1, 4, 4], "z": 2, "hidden": [4], "prior_parts": 2}),
    ("dcgan", {"shape": [3, 8, 8], "z": 2, "channels": 1}),
    ("progan", {"shape": [1, 8, 8], "z": 2, "channels": [2, 2]}),
)


def weights(folder: Path) -> list[tuple[str, bytes]]:
    found = []
    for name, config in MODELS:
        loading.save(
            zoo_core.create(name, seed=0, **config), path := folder / "a.safetensors", force=True
        )
        found.append((path.name, path.read_bytes()))
    return found


def recipes() -> list[tuple[str, bytes]]:
    tables: tuple[dict[str, Any], ...] = (
        {"architecture": "nade", "config": {"hidden": 4, "order": "random"}, "clip": 1.0},
        {
            "architecture": "attention",
            "config": {"d": 4, "blocks": 1, "classes": 2},
            "trainer": {},
            "optimizer": {"opt": "adamw", "lr": 1e-3, "weight_decay": 0.1, "betas": [0.9, 0.99]},
            "schedule": {"sched": "cosine", "warmup_epochs": 1, "warmup_prefix": False},
            "labels": 10,
            "labelled": 2,
            "ema": 0.9,
        },
        {
            "architecture": "vae",
            "config": {"z": 2, "hidden": [4], "activation": "silu"},
            "trainer": {"beta": 2.0},
            "store": "float16",
            "keep": "last",
            "patience": 3,
            "entry": {
                "summary": "A test",
                "tags": ["a"],
                "licence": {"code": "Apache-2.0", "weights": "CC-BY-4.0"},
                "protocol": {"iw_bound": {"k": 10}},
                "published": {"iw_bound": {"published": 1.5, "source": "table 2"}},
            },
        },
    )
    common = {"data": "bars-and-stripes", "epochs": 2, "batch_size": 4, "threads": 1, "seed": 3}
    return [("a.toml", tomli_w.dumps(common | table).encode()) for table in tables]


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


def changed_weights(data: bytes, chance: random.Random) -> bytes:
    """A weights file that is changed in its header, in what it says of itself, or in numbers."""
    length = struct.unpack("<Q", data[:8])[0]
    which = chance.randrange(3)
    if which == 0:
        return changed_header(data, chance)
    if which == 1:
        tensors = bytearray(data[8 + length :])
        for _ in range(chance.choice((1, 2, 8))):
            chance.choice((flip, number))(tensors, chance.randrange(len(tensors)), chance)
        return data[: 8 + length] + bytes(tensors[: len(data) - 8 - length])
    header = json.loads(data[8 : 8 + length])
    said = json.loads(header["__metadata__"]["zoo"])
    key = chance.choice(("config", "config", *said))
    said[key] = odd(said[key], chance)
    header["__metadata__"]["zoo"] = json.dumps(said)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def changed_table(data: bytes, chance: random.Random) -> bytes:
    """A TOML file that is changed as a table, every other time, and as bytes otherwise."""
    if chance.random() < 0.5:
        return changed(data, chance)
    try:
        return tomli_w.dumps(odd(tomllib.loads(data.decode()), chance)).encode()
    except (AttributeError, TypeError, ValueError):  # what TOML cannot say
        return changed(data, chance)


# What must hold


@contextmanager
def bounded(what: str) -> Iterator[None]:
    """Processor time and memory of the block; memory where the system says it."""
    base, began = highest(reset=True), time.process_time()
    yield
    assert time.process_time() - began < SECONDS, what
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


def sample(path: Path) -> object:
    return zoo_core.run(path, n=2, seed=0)


class Enough(Exception):
    """All is there for the first step."""


def stop(loop: Loop, stopping: object) -> None:
    raise Enough


def begin(path: Path) -> object:
    with suppress(Enough):
        zoo_core.train(path, output=path.with_suffix(""), quiet=True, force=True)
    return None


def resume(folder: Path) -> object:
    with suppress(Enough):
        zoo_core.train(resume=folder, quiet=True)
    return None


def describe(folder: Path) -> object:
    return loading.entry_of_run(loading.open_source(folder))


@pytest.fixture
def _no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setattr(Loop, "_epoch", stop)


@pytest.mark.usefixtures("_no_steps")
@pytest.mark.parametrize(
    ("sound", "change", "uses"),
    [
        (pictures, changed, (show, learn)),
        (tables, changed, (score, learn)),
        (headers, changed_header, (read_header,)),
        (weights, changed_weights, (sample,)),
        (recipes, changed_table, (begin,)),
    ],
    ids=["pictures", "tables", "headers", "weights", "recipes"],
)
def test_a_damaged_file_is_used_or_refused_in_time_and_memory(
    tmp_path: Path,
    sound: Callable[..., list[tuple[str, bytes]]],
    change: Callable[[bytes, random.Random], bytes],
    uses: tuple[Callable[[Path], object], ...],
) -> None:
    files = sound(tmp_path) if sound is weights else sound()
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
                    assert sound is not weights or str(path) in str(error), error
                except Exception as error:
                    raise AssertionError(f"seed {seed}, {name}, {use.__name__}") from error
        shutil.rmtree(path.parents[1])
    assert 0 < refused < len(uses) * TRIES


def test_a_damaged_run_folder_goes_on_or_is_refused_in_time_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = zoo_core.train(
        "fvsbn", data="bars-and-stripes", epochs=3, threads=1, output=tmp_path / "run", quiet=True
    ).folder
    last = run / "checkpoints" / "last.safetensors"
    shutil.copy(previous(last), last)  # as if it were stopped before the third epoch
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    monkeypatch.setattr(Loop, "_epoch", stop)
    changes: dict[str, Callable[[bytes, random.Random], bytes]] = {
        "checkpoints/last.safetensors": changed_header,
        "checkpoints/previous.safetensors": changed_header,
        "entry.toml": changed_table,
        "metrics.jsonl": changed,
        "model.safetensors": changed_weights,
        "recipe.toml": changed_table,
    }
    sound = {name: (run / name).read_bytes() for name in changes}
    refused = 0
    for seed in range(TRIES):
        chance = random.Random(seed)
        for name in chance.sample(list(changes), chance.choice((1, 1, 2, 6))):
            (run / name).write_bytes(changes[name](sound[name], chance))
        for use in (describe, resume):
            with bounded(f"seed {seed}, {use.__name__}"):
                try:
                    use(run)
                except ZooError as error:
                    refused += 1
                    assert str(run) in str(error), error
                except Exception as error:
                    raise AssertionError(f"seed {seed}, {use.__name__}") from error
        for name, data in sound.items():
            (run / name).write_bytes(data)
    assert 0 < refused < 2 * TRIES
