"""What several tests make: pictures, files of MNIST's format, faces, and weights."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import zoo_core
from zoo_core import loading
from zoo_core.data import Dataset
from zoo_core.data.faces import drawing, sets
from zoo_core.data.faces.people import share_out
from zoo_core.data.faces.styles import TOON_HEAD
from zoo_core.testing import Case, cases

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
    """Save the weights of a small NADE, untrained, whose metadata say all that they may."""
    model = zoo_core.create("nade", seed=0, shape=[1, 3, 3], hidden=4)
    loading.save(model, path, METADATA | changes)
    return path
