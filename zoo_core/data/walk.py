"""The image files below a folder: through links, not round in circles, not in hidden folders.

Editors, archives and version control leave folders such as `.ipynb_checkpoints`, `__MACOSX` and
`.git` among the data, with copies of pictures in them: these are no data and no class.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from zoo_core.data.notes import list_names, note
from zoo_core.text import printable

__all__ = ["find_images", "is_hidden", "is_image"]

_SUFFIXES = frozenset(
    [".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)
_WAYS = 64
"""Links by which one folder is reached, at most: those of a few folders lead on in millions."""


def is_image(path: Path) -> bool:
    """Whether a file's name says that it is an image."""
    return path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")


def find_images(folder: Path) -> list[Path]:
    """The image files below a folder, in the order of their paths; says what was passed over."""
    found, hidden, circles, closed, often = [], [], [], [], []
    ways: Counter[tuple[int, int]] = Counter()
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        here, above = waiting.pop()
        try:
            status = here.stat()
            items = list(os.scandir(here))
        except OSError as error:
            closed.append(f"{here} ({error.strerror})")
            continue
        if (identity := (status.st_dev, status.st_ino)) in above:
            circles.append(str(here))
            continue
        ways[identity] += 1
        if ways[identity] > _WAYS:
            often.append(str(here))
            continue
        for item in items:
            path = here / item.name
            if not _is_folder(item):
                found += [path] if is_image(path) else []
            elif is_hidden(item.name):
                hidden.append(str(path))
            else:
                waiting.append((path, above | {identity}))
    shown = printable(folder)
    for what, paths in (
        ("hidden folders are left out", hidden),
        ("links that lead back to a folder above them are not followed", circles),
        (f"folders that are reached in more than {_WAYS} ways are left out there", often),
        ("folders that cannot be opened are left out", closed),
    ):
        if paths:
            note(f"{shown}: {what}: {list_names(sorted(paths))}")
    return sorted(found)


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link that leads to itself
        return False


def is_hidden(name: str) -> bool:
    """Whether a folder of this name holds no data."""
    return name.startswith(".") or name == "__MACOSX"
