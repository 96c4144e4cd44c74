"""What a user hands to a model: files, folders and data sets, fitted to the shape it takes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo_core.data.cells import read_cells
from zoo_core.data.columns import Column, in_columns, of_cells
from zoo_core.data.dataset import Dataset
from zoo_core.data.fitting import Shape, fit_tensor
from zoo_core.data.folders import labels_of, read_images
from zoo_core.data.hub import is_hub_folder
from zoo_core.data.notes import note_done
from zoo_core.data.resolve import find_path, load_dataset, parse_spec
from zoo_core.data.tables import is_table, read_table
from zoo_core.data.walk import find_images, is_image
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

__all__ = ["Inputs", "image_files", "load_images", "load_rows"]


class Inputs(NamedTuple):
    """The inputs as one data set, and the name of each: a file's path, or `mnist:test[3]`."""

    data: Dataset
    names: tuple[str, ...]


class _Part(NamedTuple):
    x: Tensor
    levels: int | None
    names: list[str]
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()


def load_images(
    sources: Sequence[str | os.PathLike[str]],
    *,
    shape: tuple[int, ...],
    root: str | os.PathLike[str] | None = None,
) -> Inputs:
    """Load image files, folders of images, tables and data set specs, fitted to a model's shape.

    Args:
        sources: paths, or specs as `load_dataset` takes them; a spec without a split means test.
        shape: the model's event shape, (C, H, W) or (D,).
        root: folder of data sets.
    """
    parts = [_load(str(source), shape, root) for source in sources]
    if not parts:
        raise InvalidInput("no input was given: expected image files, folders or mnist:test[0:16].")
    found = [part.levels for part in parts]
    levels = None if None in found else max(n for n in found if n is not None)
    x = torch.cat([_at(part, levels) for part in parts])
    names = tuple(name for part in parts for name in part.names)
    name = ", ".join(map(str, sources))
    return Inputs(Dataset(name, "input", x, levels, *_labels(parts)), names)


def load_rows(
    sources: Sequence[str | os.PathLike[str]],
    *,
    columns: Sequence[Column],
    root: str | os.PathLike[str] | None = None,
) -> Inputs:
    """Load tables and data set specs in a model's columns, by the columns' names.

    Args:
        sources: paths, or specs as `load_dataset` takes them; a spec without a split means test.
        columns: the model's.
        root: folder of data sets.
    """
    parts = [_rows(str(source), columns, root) for source in sources]
    if not parts:
        raise InvalidInput("no input was given: expected tables or people.csv:test[0:16].")
    names = tuple(name for _, part in parts for name in part)
    x = torch.cat([data.floats() for data, _ in parts])
    return Inputs(Dataset(parts[0][0].name, "input", x, None, columns=tuple(columns)), names)


def _rows(
    source: str, columns: Sequence[Column], root: str | os.PathLike[str] | None
) -> tuple[Dataset, list[str]]:
    path, start = find_path(source, root), 0
    if path and path.is_file() and is_table(path):
        data, name = of_cells(read_cells(path), columns, source, "input"), source
    else:
        spec = parse_spec(source, root)
        loaded = load_dataset(source, split=spec.split or "test", root=root)
        data, name = in_columns(loaded, columns), f"{loaded.name}:{loaded.split}"
        start = spec.rows.start or 0
    return data, [f"{printable(name, None)}[{i}]" for i in range(start, start + len(data))]


def image_files(
    sources: Sequence[str | os.PathLike[str]], root: str | os.PathLike[str] | None = None
) -> list[Path]:
    """The image files that sources name, in the order of `load_images`, which skips broken ones."""
    return [file for source in sources for file in _files(find_path(str(source), root))]


def _load(source: str, shape: tuple[int, ...], root: str | os.PathLike[str] | None) -> _Part:
    path = find_path(source, root)
    if path and path.is_file() and is_table(path):
        x = read_table(path)
        return _fit_rows(source, x, max(2, int(x.max()) + 1), shape, start=0)
    files = _files(path)
    if path and files:
        x, read = read_images(files, _image_shape(source, shape), source)
        labels = labels_of(path, read, files) if path.is_dir() else (None, ())
        return _Part(x, 256, [printable(file, None) for file in read], *labels)
    spec = parse_spec(source, root)
    size = shape[1] if len(shape) == 3 and shape[1] == shape[2] else None
    data = load_dataset(
        source,
        split=spec.split or "test",
        root=root,
        size=size,
        gray=len(shape) == 3 and shape[0] == 1,
    )
    name = f"{data.name}:{data.split}"
    part = _fit_rows(name, data.x, data.levels, shape, start=spec.rows.start or 0)
    return part._replace(labels=data.labels, classes=data.classes)


def _labels(parts: Sequence[_Part]) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each input and the classes' names, where all parts have them, and the same."""
    classes = parts[0].classes
    labels = [p.labels for p in parts if p.labels is not None and p.classes == classes]
    return (torch.cat(labels), classes) if len(labels) == len(parts) else (None, ())


def _files(path: Path | None) -> list[Path]:
    if path is None:
        return []
    if path.is_dir() and not is_table(path) and not is_hub_folder(path):
        return find_images(path)
    return [path] if path.is_file() and is_image(path) else []


def _fit_rows(
    name: str, x: Tensor, levels: int | None, shape: tuple[int, ...], start: int
) -> _Part:
    name = printable(name, None)
    names = [f"{name}[{i}]" for i in range(start, start + len(x))]
    if x[0].numel() == torch.Size(shape).numel():
        return _Part(x.reshape(-1, *shape), levels, names)
    if x.ndim == 2:
        raise InvalidInput(
            f"{name} has {x.shape[1]} variables a row, but the model takes {_text(shape)}."
        )
    if levels is None:
        raise InvalidInput(f"{name} holds real numbers of another shape than {_text(shape)}.")
    done: Counter[str] = Counter()
    grey = x * (255 // (levels - 1))
    fitted = fit_tensor(grey, _image_shape(name, shape), done)
    note_done(name, len(x), done)
    return _Part(fitted, 256, names)


def _image_shape(name: str, shape: tuple[int, ...]) -> Shape:
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InvalidInput(f"{printable(name)} holds images, but the model takes {_text(shape)}.")
    return shape


def _at(part: _Part, levels: int | None) -> Tensor:
    if part.levels == levels:
        return part.x
    if levels is None or part.levels is None:  # beside real numbers, levels become real too
        return part.x.float() / ((part.levels or 2) - 1)
    if (levels - 1) % (part.levels - 1):
        raise InvalidInput(f"inputs of {part.levels} and of {levels} levels cannot be mixed.")
    return part.x * ((levels - 1) // (part.levels - 1))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) + (" images" if len(shape) == 3 else " variables")
