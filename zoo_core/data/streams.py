"""A user's inputs as they are, some rows at a time: tables and folders that do not fit into memory.

What a row becomes does not depend on which rows are read with it: levels, the depth of pictures and
classes are those of the whole source, and grey levels are binarized by the random numbers that the
row has when all are loaded at once.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch

from zoo_core.data.cells import count_rows, read_ranges
from zoo_core.data.columns import Column, of_cells
from zoo_core.data.dataset import Dataset
from zoo_core.data.folders import depth_of, labels_of, read_images
from zoo_core.data.inputs import (
    Inputs,
    files_of,
    fit_rows,
    image_shape,
    load_images,
    load_rows,
    row_names,
    source_name,
)
from zoo_core.data.resolve import find_path
from zoo_core.data.tables import categories, is_table
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

__all__ = ["Some", "Stream", "open_stream"]

_SCANNED = 16384
"""Rows of a table that are held while it is looked through."""


class Some(NamedTuple):
    """Some rows of a source."""

    data: Dataset
    names: tuple[str, ...]
    failed: tuple[str, ...] = ()
    """Files among them that could not be read."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The rows of one source, of which some are read at a time."""

    name: str
    rows: int
    """How many there are; files that cannot be read count."""
    digest: str
    """Other for other contents: of the size and the time of change of files, which are not read for
    it, and of the rows of a data set in memory."""
    read: Callable[[Sequence[range]], Iterator[Some]]
    """Reads ranges of rows, ascending; the data of one without any readable row are empty."""


def open_stream(
    source: object,
    *,
    shape: tuple[int, ...],
    columns: Sequence[Column] = (),
    root: str | os.PathLike[str] | None = None,
) -> Stream:
    """Open a source of inputs: a table or a folder of images is read a part at a time.

    A data set by name is loaded as a whole, and one in memory stays there.

    source: as `load_images` takes it.
    shape: the model's event shape.
    columns: the model's, where it has some.
    root: folder of data sets.
    """
    name = source_name(source)
    path = find_path(name, root) if isinstance(source, str | os.PathLike) else None
    if path and path.is_file() and is_table(path):
        return _columns(name, path, columns) if columns else _categories(name, path, shape)
    files = [] if columns else files_of(path)
    if path and files:
        return _images(name, path, files, shape)
    whole = (
        load_rows([source], columns=columns, root=root)
        if columns
        else load_images([source], shape=shape, root=root)
    )
    return Stream(name, len(whole.data), whole.data.digest, lambda ranges: _slices(whole, ranges))


def _columns(source: str, path: Path, columns: Sequence[Column]) -> Stream:
    """A table in a model's columns."""

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows, cells in zip(ranges, read_ranges(path, ranges), strict=True):
            data = of_cells(cells, columns, source, "input")
            x = Dataset(source, "input", data.floats(), None, columns=tuple(columns))
            yield Some(x, tuple(row_names(source, rows)))

    return Stream(source, count_rows(path), _digest([path]), read)


def _categories(source: str, path: Path, shape: tuple[int, ...]) -> Stream:
    """A table of categories, whose levels are those of all its rows."""
    rows = count_rows(path)
    levels = max(2, _top(path, rows) + 1)

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows, cells in zip(ranges, read_ranges(path, ranges), strict=True):
            part = fit_rows(source, categories(cells, path), levels, shape, rows.start)
            yield Some(Dataset(source, "input", part.x, part.levels), tuple(part.names))

    return Stream(source, rows, _digest([path]), read)


def _top(path: Path, rows: int) -> int:
    """The greatest number in a table of categories."""
    steps = [range(at, min(at + _SCANNED, rows)) for at in range(0, rows, _SCANNED)]
    return max(int(categories(cells, path).max()) for cells in read_ranges(path, steps))


def _images(source: str, path: Path, files: Sequence[Path], shape: tuple[int, ...]) -> Stream:
    """Image files; whole numbers of more than 8 bits are scaled by all of them."""
    fitting = image_shape(source, shape)
    labels, classes = labels_of(path, files, files) if path.is_dir() else (None, ())
    places = {file: place for place, file in enumerate(files)}

    @cache
    def depth() -> int:
        return depth_of(files)

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows in ranges:
            some = files[rows.start : rows.stop]
            try:
                x, found = read_images(some, fitting, source, depth)
            except InvalidInput:  # none of them can be read, which has been said
                x, found = torch.empty(0, *fitting, dtype=torch.uint8), []
            of = None if labels is None else labels[[places[file] for file in found]]
            failed = sorted({*some} - {*found})
            data = Dataset(source, "input", x, 256, of, classes)
            yield Some(data, _printable_names(found), _printable_names(failed))

    return Stream(source, len(files), _digest(files), read)


def _digest(files: Sequence[Path]) -> str:
    """sha256 of the names, sizes and times of change of files."""
    sha = hashlib.sha256()
    for file in files:
        stat = file.stat()
        sha.update(
            f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape")
        )
    return sha.hexdigest()


def _slices(whole: Inputs, ranges: Sequence[range]) -> Iterator[Some]:
    """Rows of what is in memory."""
    for rows in ranges:
        some = slice(rows.start, rows.stop)
        yield Some(whole.data[some], whole.names[some])


def _printable_names(files: Sequence[Path]) -> tuple[str, ...]:
    return tuple(printable(file, None) for file in files)
