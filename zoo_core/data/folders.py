"""A folder of one's own images: splits by sub-folder or by hash, classes by sub-folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.data.fitting import (
    Header,
    Shape,
    Unreadable,
    bits_of,
    fit,
    open_header,
    open_image,
    room,
)
from zoo_core.data.notes import list_names, note, note_done, note_skipped
from zoo_core.data.shards import Picture
from zoo_core.data.splits import SPLITS, choose, find_split
from zoo_core.data.walk import find_images
from zoo_core.errors import InvalidInput
from zoo_core.text import argument, printable

__all__ = ["depth_of", "labels_of", "load_folder", "read_images", "shape_of"]

P = TypeVar("P", Path, Picture)


def load_folder(name: str, folder: Path, split: str, *, size: int | None, gray: bool) -> Dataset:
    """One split of a folder of images; each sub-folder is a class."""
    files = find_images(folder)
    headers, broken = _headers(files)
    if not headers:
        note_skipped(name, broken)
        raise InvalidInput(
            f"{printable(folder)} holds no readable image (png, jpg, webp, bmp, gif or tiff)."
        )
    # the images of all splits decide, so that train and test have one shape
    grey = gray or all(header.grey for header in headers.values())
    shape = shape_of(name, [header.size for header in headers.values()], size, grey)
    try:
        chosen = _choose(folder, files, headers.keys(), split)
    except InvalidInput:
        note_skipped(name, broken)
        raise
    x, read = _read(chosen, shape, name, bits_of(headers.values()), broken)
    labels, classes = labels_of(folder, read, files)
    return Dataset(name, split, x, 256, labels, classes)


def read_images(
    paths: Sequence[Picture], shape: Shape, name: str, depth: Callable[[], int] | None = None
) -> tuple[Tensor, list[Picture]]:
    """The images that can be read, (N, C, H, W) uint8, and their paths; says what was done.

    depth: the bits of whole numbers of more than 8 bits, where these are some of a source's images.
    """
    headers, broken = _headers(paths)
    deep = any(header.peak for header in headers.values())
    bits = depth() if depth and deep else bits_of(headers.values())
    return _read(list(headers), shape, name, bits, broken)


def depth_of(paths: Sequence[Picture]) -> int:
    """The fewest bits that hold all images of whole numbers."""
    return bits_of(_headers(paths)[0].values())


def shape_of(name: str, sizes: Sequence[tuple[int, int]], size: int | None, grey: bool) -> Shape:
    """The shape that images are resized to: `size`, or else the one size that all have.

    sizes: (W, H) of each image.
    """
    C = 1 if grey else 3
    if size is not None:
        return C, size, size
    counts = Counter(sizes)
    if len(counts) > 1:
        some = ", ".join(f"{H}x{W} ({n} images)" for (W, H), n in counts.most_common(3))
        raise InvalidInput(
            f"the images of {printable(name)} have {len(counts)} sizes, the most frequent are "
            f"{some}: give a size to resize them to, such as {argument('size', 28)}."
        )
    W, H = sizes[0]
    return C, H, W


def labels_of(
    folder: Path, paths: Sequence[Path], files: Sequence[Path]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """Class of each image, (N,), and the classes' names, when each lies in a sub-folder.

    files: those of all splits of the folder. A class has the same number in all of them, also where
        the folder is itself one split of a larger one.
    """
    splits = _has_splits(folder, files)
    names = _classes(folder, paths, splits)
    if not all(names):
        return None, ()
    if not splits and (whole := _whole(folder)):
        folder, files, splits = whole, find_images(whole), True
    known = _classes(folder, files, splits)
    number = {name: i for i, name in enumerate(sorted({*known, *names} - {""}))}
    return torch.tensor([number[name] for name in names]), tuple(map(printable, number))


def _headers(paths: Sequence[P]) -> tuple[dict[P, Header], list[str]]:
    """The header of each picture that can be opened; why others cannot."""
    headers: dict[P, Header] = {}
    broken = []
    for path in paths:
        try:
            headers[path] = open_header(path)
        except Unreadable as error:
            broken.append(f"{path.name} ({error})")
    return headers, broken


def _read(
    paths: Sequence[P], shape: Shape, name: str, bits: int, broken: Sequence[str]
) -> tuple[Tensor, list[P]]:
    """Decode the pictures; name those that fail together with the ones that are known to be."""
    done: Counter[str] = Counter()
    x, skipped = room(len(paths), shape), list(broken)
    read: list[P] = []
    for path in paths:
        deeds: Counter[str] = Counter()
        try:
            x[len(read)] = fit(open_image(path, deeds), shape, deeds, bits)
        except Unreadable as error:
            skipped.append(f"{path.name} ({error})")
        else:
            read.append(path)
            done.update(deeds)
    note_skipped(name, skipped)
    if not read:
        raise InvalidInput(f"{printable(name)}: no image could be read ({len(skipped)} tried).")
    note_done(name, len(read), done)
    return x if len(read) == len(x) else x[: len(read)].clone(), read


def _choose(folder: Path, files: Sequence[Path], readable: Set[Path], split: str) -> list[Path]:
    """The readable pictures of a split; which splits there are, all files of the folder say."""
    inside = [path.relative_to(folder) for path in files]
    own: dict[str, list[int]] = {}
    for i, path in enumerate(inside):
        if (known := _own_split(path)) is not None:
            own.setdefault(known, []).append(i)
    if "train" not in own:  # a class may well be called test
        own = {"train": list(range(len(files)))}
    elif beside := sorted({path.parts[0] for path in inside if _own_split(path) is None}):
        note(
            f"{printable(folder)}: its folder train is taken for a split, so what lies beside the "
            f"splits is left out: {list_names(beside)}"
        )
    read = {known: [i for i in own[known] if files[i] in readable] for known in own}
    source = split if split in own else "train"
    if not read[source]:
        raise InvalidInput(
            f"{printable(folder)}: none of the {len(own[source])} images of its {source} split can "
            f"be read. Replace them, or use {', '.join(known for known in own if read[known])}."
        )
    keys = [path.as_posix() for path in inside]
    return [files[i] for i in choose(printable(folder), read, keys, split)]


def _own_split(inside: Path) -> str | None:
    return find_split(inside.parts[0]) if len(inside.parts) > 1 else None


def _has_splits(folder: Path, paths: Sequence[Path]) -> bool:
    return any(_own_split(path.relative_to(folder)) == "train" for path in paths)


def _classes(folder: Path, paths: Sequence[Path], splits: bool) -> list[str]:
    """The class of each image, by the first folder that is no split; "" where there is none."""
    inside = [path.relative_to(folder) for path in paths]
    folders = [path.parts[splits and _own_split(path) is not None : -1] for path in inside]
    return [parts[0] if parts else "" for parts in folders]


def _whole(folder: Path) -> Path | None:
    """The folder whose split a folder is, if it is one."""
    here = folder.absolute()  # not resolved: a link's own name says what it is
    beside = (here.parent / name for name in SPLITS["train"])
    found = find_split(here.name) and any(path.is_dir() for path in beside)
    return here.parent if found else None
