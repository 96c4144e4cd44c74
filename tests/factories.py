"""What several tests make: pictures, files of MNIST's format, faces, weights, and families."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

import zoo_core
from zoo_core import loading
from zoo_core.cli import Root
from zoo_core.data import Dataset
from zoo_core.data.faces import drawing, sets
from zoo_core.data.faces.people import share_out
from zoo_core.data.faces.styles import TOON_HEAD
from zoo_core.loading.provenance import to_metadata
from zoo_core.loading.weights import write
from zoo_core.testing import Case, Verdict, cases, check

METADATA: dict[str, Any] = {
    "family": "autoregressive",
    "requires": "zoo-autoregressive",
    "architecture": "nade",
    "config": {"shape": [1, 3, 3], "hidden": 4},
    "data": "bars",
    "data_sha256": "d" * 64,
    "licence": {"code": "Apache-2.0"},
    "metrics": {"test_nll": 3.5},
    "recipe_sha256": "r" * 64,
    "versions": {"zoo-core": "0.1.0"},
}
"""What the weights of `save_nade` say of themselves: all that they may."""


def save(path: Path, image: Image.Image | np.ndarray, **options: Any) -> Path:
    """Save an image, or an array as one, and make the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    return path


def picture(path: Path, size: tuple[int, int] = (8, 8), mode: str = "L", fill: Any = 200) -> Path:
    """Save an image of one colour."""
    return save(path, Image.new(mode, size, fill))


def square(path: Path, *colour: int, size: int = 4) -> str:
    """Save a square of one colour, RGB or RGBA; return its path as text."""
    return str(picture(path, (size, size), "RGBA" if len(colour) == 4 else "RGB", colour))


def deep_png(path: Path, pixels: np.ndarray) -> Path:
    """A PNG with channels of 16 bits, (H, W, C) with C = 2 for grey and alpha, 3 for colour."""
    H, W, C = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    kind = {2: 4, 3: 2}[C]
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", W, H, 16, kind, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    data = b"\x89PNG\r\n\x1a\n"
    for name, held in chunks.items():
        data += struct.pack(">I", len(held)) + name + held
        data += struct.pack(">I", zlib.crc32(name + held))
    path.write_bytes(data)
    return path


def pictures(folder: Path, n: int, **options: Any) -> Path:
    """Save n images, each of its own grey level unless `fill` is given, and return the folder."""
    for i in range(n):
        picture(folder / f"{i:03}.png", **{"fill": i, **options})
    return folder


def save_idx(path: Path, array: np.ndarray) -> None:
    """Save bytes in the format of MNIST's files."""
    magic = struct.pack(">I", 0x0800 | array.ndim)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(magic + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def face_jobs(n: int) -> tuple[Any, list[Any]]:
    """The first people of faces:train, as numbers and as what draws them takes them."""
    labels = share_out(TOON_HEAD, {"train": n, "validation": 0, "test": 0}, 0, "faces")["train"]
    return labels, [sets._job(TOON_HEAD, number) for number in labels.tolist()]


def draw_faces(n: int = 6) -> Dataset:
    """The first rows of faces:train, drawn here and now."""
    labels, jobs = face_jobs(n)
    x = drawing.draw(jobs, 64)
    return Dataset("faces", "train", x, 256, labels, attributes=TOON_HEAD.values)


def case_of(architecture: str, family: str = "autoregressive") -> Case:
    """The first case of an architecture in the table of laws."""
    return next(case for case in cases(family) if case.architecture.name == architecture)


def save_case(case: Case, folder: Path, name: str = "model") -> Path:
    """Save weights of a case's model; return their path."""
    path = folder / f"{name}.safetensors"
    loading.save(case.stirred(), path, {"name": name, **case.metadata()})
    return path


def save_nade(path: Path, **changes: Any) -> Path:
    """Save the weights of a small NADE, untrained, whose metadata say all that they may.

    changes: of the metadata, sound or not.
    """
    model = zoo_core.create("nade", seed=0, shape=[1, 3, 3], hidden=4)
    write(model, path, {**to_metadata(model, path), **METADATA, **changes}, None)
    return path


def failing_command(error: BaseException) -> Result:
    """The result of a command that raises an error."""

    @click.command()
    def boom() -> None:
        raise error

    class Group(Root):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            return boom

    return CliRunner().invoke(Group(), ["list"])


def entry_names(result: Result) -> list[str]:
    """The names of the entries that a command printed as JSON."""
    assert result.exit_code == 0, result.stderr
    return [entry["name"] for entry in json.loads(result.stdout)]


def list_files(folder: Path) -> set[str]:
    """The paths of the files in a folder, from there; caches are left out."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "cache" not in str(path)
    }


def change_file(folder: Path, file: str, old: str, new: str) -> None:
    """Replace text in a file of a family."""
    path = next(folder.glob(f"zoo_*/{file}"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def failures(name: str, *laws: str) -> dict[str, Verdict]:
    """The laws that a family breaks, by name."""
    return {v.law: v for v in check(name, laws or None) if v.outcome == "failed"}


def checkers(n: int, size: int = 4, channels: int = 1) -> torch.Tensor:
    """n chessboards, (n, channels, size, size)."""
    i = torch.arange(size)
    tile = ((i + i.unsqueeze(1)) % 2).float()
    return tile.expand(n, channels, size, size)


def captioned(n: int = 5) -> Dataset:
    """n images of which each says its place by grey level, label and caption."""
    x = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 1, 2, 2)
    texts = tuple(f"thing {i}" for i in range(n))
    return Dataset("things", "train", x, 256, torch.arange(n), texts=texts)


def numbers(n: int = 60, classes: int = 3) -> Dataset:
    """Rows that say their place, with classes of unequal frequency."""
    labels = (torch.arange(n) % (classes + 1)).clamp_max(classes - 1)
    x = torch.arange(n, dtype=torch.uint8).unsqueeze(1)
    return Dataset("numbers", "train", x, levels=256, labels=labels)


def rewrite_metadata(site: Path, name: str, old: str, new: str) -> None:
    """Replace text in a file of the metadata of an installed family."""
    path = next(site.glob("*.dist-info")) / name
    path.write_text(path.read_text().replace(old, new))


FAMILY = """
from zoo_core.hookspecs import Architecture, hookimpl

@hookimpl
def zoo_architectures():
    return [Architecture("{name}", "collections:OrderedDict", "A model", ("sample",))]
"""
"""A plugin with one architecture of a name."""


FAMILY_OF_EXTRAS = """
from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl

@hookimpl
def zoo_metrics():
    return [Metric("mean_value", "m:mean", "The mean")]

@hookimpl
def zoo_datasets():
    return [DataSet("two-moons", "m:moons", "Two half circles")]

@hookimpl
def zoo_tasks():
    return [Task("mean", "m:run", "m:Proto", "Mean", (".png",), (".csv",), random=True)]
"""
"""A plugin with a metric, a data set and a task."""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def set_terminal_size(monkeypatch: pytest.MonkeyPatch, columns: int, lines: int) -> None:
    """Let the terminal have so many columns and lines."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", str(lines))
