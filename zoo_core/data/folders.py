"""A folder of one's own images: splits by sub-folder or by hash, classes by sub-folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.data.fitting import BROKEN, Shape, find_images, fit, open_image
from zoo_core.data.notes import note_done, note_skipped
from zoo_core.data.splits import choose
from zoo_core.errors import InvalidInput

__all__ = ["labels_of", "load_folder", "read_images", "shape_of"]

_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True, slots=True)
class _Picture:
    """What a file's header says, before anything is decoded."""

    path: Path
    size: tuple[int, int]
    grey: bool


def load_folder(name: str, folder: Path, split: str, *, size: int | None, gray: bool) -> Dataset:
    """One split of a folder of images; each sub-folder is a class."""
    pictures, broken = _probe(find_images(folder))
    if not pictures:
        raise InvalidInput(f"{folder} holds no readable image (png, jpg, webp, bmp, gif or tiff).")
    # the images of all splits decide, so that train and test have one shape
    grey = gray or all(picture.grey for picture in pictures)
    shape = shape_of(name, [picture.size for picture in pictures], size, grey)
    paths = [picture.path for picture in pictures]
    chosen = _choose(folder, paths, split)
    x, read = read_images(chosen, shape, name, broken)
    labels, classes = labels_of(folder, read)
    return Dataset(name, split, x, 256, labels, classes)


def read_images(
    paths: Sequence[Path], shape: Shape, name: str, broken: Sequence[Path] = ()
) -> tuple[Tensor, list[Path]]:
    """The images that can be read, (N, C, H, W) uint8, and their paths; says what was done to them.

    broken: files that are known to be unreadable, to be named with the others.
    """
    done: Counter[str] = Counter()
    images, read, skipped = [], [], list(broken)
    for path in paths:
        try:
            image = open_image(path)
        except BROKEN:
            skipped.append(path)
        else:
            images.append(fit(image, shape, done))
            read.append(path)
    note_skipped(name, [path.name for path in skipped])
    if not images:
        raise InvalidInput(f"{name}: no image could be read ({len(skipped)} tried).")
    note_done(name, len(images), done)
    return torch.stack(images), read


def shape_of(name: str, sizes: Sequence[tuple[int, int]], size: int | None, grey: bool) -> Shape:
    """The shape to which images are brought: `size`, or else the one size that all have.

    sizes: (W, H) of each image.
    """
    C = 1 if grey else 3
    if size is not None:
        return C, size, size
    counts = Counter(sizes)
    if len(counts) > 1:
        some = ", ".join(f"{H}x{W} ({n} images)" for (W, H), n in counts.most_common(3))
        raise InvalidInput(
            f"the images of {name} have {len(counts)} sizes, the most frequent are {some}: "
            "say to which size they shall be brought, as in --size 28."
        )
    W, H = sizes[0]
    return C, H, W


def labels_of(folder: Path, paths: Sequence[Path]) -> tuple[Tensor | None, tuple[str, ...]]:
    """Class of each image, (N,), and the classes' names, when each lies in a sub-folder."""
    names = [_class(path.relative_to(folder)) for path in paths]
    if not all(names):
        return None, ()
    classes = sorted(set(names))
    return torch.tensor([classes.index(name) for name in names]), tuple(classes)


def _probe(paths: Sequence[Path]) -> tuple[list[_Picture], list[Path]]:
    pictures, broken = [], []
    for path in paths:
        try:
            with Image.open(path) as image:
                grey = image.mode in ("1", "L") or image.mode.startswith("I")
                pictures.append(_Picture(path, image.size, grey))
        except BROKEN:
            broken.append(path)
    return pictures, broken


def _choose(folder: Path, paths: Sequence[Path], split: str) -> list[Path]:
    inside = [path.relative_to(folder) for path in paths]
    own: dict[str, list[int]] = {}
    for i, path in enumerate(inside):
        if (known := _own_split(path)) is not None:
            own.setdefault(known, []).append(i)
    if "train" not in own:  # a class may well be called test
        own = {"train": list(range(len(paths)))}
    return [paths[i] for i in choose(str(folder), own, [path.as_posix() for path in inside], split)]


def _own_split(inside: Path) -> str | None:
    return _FOLDERS.get(inside.parts[0].lower()) if len(inside.parts) > 1 else None


def _class(inside: Path) -> str:
    folders = inside.parts[:-1]
    if folders and _own_split(inside) is not None:
        folders = folders[1:]
    return folders[0] if folders else ""
