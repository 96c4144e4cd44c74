"""A user's inputs as they are, some rows at a time: tables and folders that do not fit into memory.

What a row becomes does not depend on which rows are read with it: levels, the depth of pictures and
classes are those of the whole source, and grey levels are binarized by the random numbers that the
row has when all are loaded at once.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from zoo_core.data.cells import count_rows, open_array, read_ranges, types_in
from zoo_core.data.columns import Column, of_cells
from zoo_core.data.dataset import Dataset
from zoo_core.data.folders import depth_of, read_images
from zoo_core.data.hub import Hub, open_hub
from zoo_core.data.inputs import (
    Some,
    classes_of,
    files_of,
    fit_rows,
    image_shape,
    load_readable,
    load_rows,
    picture_names,
    row_names,
    source_name,
    split_read,
)
from zoo_core.data.resolve import Spec, find_path, hub_place, parse_spec
from zoo_core.data.shards import Picture, is_shard
from zoo_core.data.tables import (
    has_unnamed,
    is_table,
    read_categories,
    split_files,
    split_places,
    table_levels,
)
from zoo_core.errors import InvalidInput
from zoo_core.text import printable

__all__ = ["Some", "Stream", "open_split", "open_stream"]

_SCANNED = 16384
"""Rows of a table that are held while it is looked through."""


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
    levels: int | None = None,
    columns: Sequence[Column] = (),
    root: str | os.PathLike[str] | None = None,
) -> Stream:
    """Open a source of inputs: a table, a folder or a tar file of images is read part by part.

    A data set by name, an array of images and a table of categories with a column without a name,
    which may number its rows, are loaded as a whole; a data set in memory stays there.

    source: as `load_images` takes it.
    shape: the model's event shape.
    levels: the model's, as `load_images` takes them.
    columns: the model's, where it has some.
    root: folder of data sets.
    """
    name = source_name(source)
    path = find_path(name, root) if isinstance(source, str | os.PathLike) else None
    if path and path.is_file() and is_table(path):
        if columns:
            return _columns(name, path, columns, types_in(path))
        if open_array(path) is None and not has_unnamed(path):
            found = table_levels(name, max(2, _top(path) + 1), shape, levels)
            return _categories(name, path, shape, found)
    files = [] if columns else files_of(path)
    if path and files:
        return _images(name, path, files, shape)
    if not columns and isinstance(source, str | os.PathLike) and len(shape) == 3:
        spec = parse_spec(name, root)
        place = hub_place(spec.name, root)
        if place and shape[1] == shape[2]:
            return _of_hub(spec, open_hub(spec.name, place, spec.split or "test"), shape)
    whole = (
        Some(*load_rows([source], columns=columns, root=root))
        if columns
        else load_readable([source], shape=shape, levels=levels, root=root)
    )
    return Stream(name, whole.rows, whole.data.digest, lambda ranges: _slices(whole, ranges))


def open_split(
    spec: str,
    *,
    shape: tuple[int, ...],
    columns: Sequence[Column] = (),
    root: str | os.PathLike[str] | None = None,
) -> Stream | None:
    """Open a split of a table in the shape, or the columns, of a model.

    Rows and their order are those of `load_dataset`. Of a folder with a table for each split some
    are read at a time; of a single file those of the split are held, in small types.

    None for data that are no table of rows of this shape: they are loaded as a whole.
    """
    name, split, rows = parse_spec(spec, root)
    path, split = find_path(name, root), split or "train"
    if path is None or not is_table(path) or (len(shape) != 1 and not columns):
        return None
    if path.is_file():
        now = path.stat()
        key = (now.st_size, now.st_mtime_ns)
        whole = _held_split(name, path, split, shape, tuple(columns), key)
    else:
        whole = _split(name, split_files(path), split, shape, columns)
    if whole is None:
        return None
    first = range(whole.rows)[rows].start
    return Stream(
        f"{name}:{split}",
        len(range(whole.rows)[rows]),
        whole.digest,
        lambda ranges: whole.read([range(first + r.start, first + r.stop) for r in ranges]),
    )


@lru_cache(maxsize=2)
def _held_split(
    name: str,
    path: Path,
    split: str,
    shape: tuple[int, ...],
    columns: tuple[Column, ...],
    _key: tuple[int, int],
) -> Stream | None:
    """The rows of a split of a single file, of which several models are measured in turn.

    _key: changes with the file.
    """
    whole = _split(name, {split: path}, split, shape, columns)
    return whole and _hold(whole, torch.from_numpy(split_places(path, whole.rows)[split]))


def _split(
    name: str,
    files: Mapping[str, Path],
    split: str,
    shape: tuple[int, ...],
    columns: Sequence[Column],
) -> Stream | None:
    """All rows of the file of a split."""
    if split not in files:
        return None
    if columns:
        return _columns(name, files[split], columns)
    levels = _levels(list(files.values()), shape)
    return None if levels is None else _categories(name, files[split], shape, levels)


def _columns(
    source: str, path: Path, columns: Sequence[Column], types: tuple[type, ...] = ()
) -> Stream:
    """A table in a model's columns.

    types: of its own columns, if its cells are to be given back.
    """

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows, cells in zip(ranges, read_ranges(path, ranges, types), strict=True):
            data = of_cells(cells, columns, source, "input", keep=bool(types))
            yield Some(data, tuple(row_names(source, rows)))

    return Stream(source, _count(path), _digest([path]), read)


def _categories(source: str, path: Path, shape: tuple[int, ...], levels: int) -> Stream:
    """A table of categories, whose levels are those of all its rows."""

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows, x in zip(ranges, read_categories(path, ranges), strict=True):
            part = fit_rows(source, x, levels, shape, rows.start)
            yield Some(Dataset(source, "input", part.x, part.levels), tuple(part.names))

    return Stream(source, _count(path), _digest([path]), read)


def _top(path: Path) -> int:
    """The greatest number in a table of categories."""
    return max(int(x.max()) for x in read_categories(path, _steps(_count(path))))


def _count(path: Path) -> int:
    """The rows of a table; raises InvalidInput, as `read_cells`, where it has none."""
    rows = count_rows(path)
    if not rows:
        raise InvalidInput(f"{printable(path)} holds no rows: expected (rows, variables).")
    return rows


def _levels(files: Sequence[Path], shape: tuple[int, ...]) -> int | None:
    """The levels of tables of categories; None where `load_dataset` has them as mixed columns.

    shape: of a row; None for tables that have another.
    """
    if any(map(has_unnamed, files)):  # it may number the rows, which takes all of them to see
        return None
    try:
        levels = max(2, *(_top(file) + 1 for file in files))
    except InvalidInput:  # a cell is no category
        return None
    seen: list[set[int]] = [set() for _ in range(shape[0])]
    for file in files:
        for x in read_categories(file, _steps(_count(file))):
            if x.shape[1:] != torch.Size(shape):
                return None
            if levels == 2:
                return levels
            for values, column in zip(seen, x.T, strict=True):
                values.update(column.unique().tolist())
            if max(map(len, seen)) > 2:
                return levels
    return levels if any(len(values) != 2 for values in seen) else None


def _steps(rows: int) -> list[range]:
    """So many rows, some at a time."""
    return [range(at, min(at + _SCANNED, rows)) for at in range(0, rows, _SCANNED)]


def _hold(whole: Stream, places: Tensor) -> Stream:
    """The rows of a stream at some places, in memory.

    places: (n,), in any order.
    """
    place_of = torch.full((whole.rows,), -1)
    place_of[places] = torch.arange(len(places))
    x, data = torch.empty(0), None
    steps = _steps(whole.rows)
    for step, some in zip(steps, whole.read(steps), strict=True):
        data = some.data
        if not len(x):
            x = torch.empty(len(places), *data.event_shape, dtype=data.x.dtype)
        x = x.to(torch.promote_types(x.dtype, data.x.dtype))  # a cell is missing: no longer binary
        here = place_of[step.start : step.stop]
        x[here[here >= 0]] = data.x[here >= 0].to(x.dtype)
    assert data is not None
    levels = None if x.is_floating_point() else data.levels
    held = replace(data, x=x, levels=levels, cells=None)
    names = tuple(row_names(whole.name, range(len(places))))
    return Stream(
        whole.name, len(x), whole.digest, lambda ranges: _slices(Some(held, names), ranges)
    )


def _images(source: str, path: Path, files: Sequence[Picture], shape: tuple[int, ...]) -> Stream:
    """Images; whole numbers of more than 8 bits are scaled by all of them."""
    fitting = image_shape(source, shape)
    labels, classes = classes_of(path, files, files)
    places = {file: place for place, file in enumerate(files)}

    @cache
    def depth() -> int:
        return depth_of(files)

    def read(ranges: Sequence[range]) -> Iterator[Some]:
        for rows in ranges:
            some = files[rows.start : rows.stop]
            found: list[Picture]
            try:
                x, found = read_images(some, fitting, source, depth)
            except InvalidInput:  # none of them can be read, which has been said
                x, found = torch.empty(0, *fitting, dtype=torch.uint8), []
            of = None if labels is None else labels[[places[file] for file in found]]
            kept, failed = split_read(some, found)
            data = Dataset(source, "input", x, 256, of, classes)
            names, unread = (tuple(picture_names(source, each)) for each in (found, failed))
            yield Some(data, names, unread, kept)

    on_disk = [path] if is_shard(path) else [file for file in files if isinstance(file, Path)]
    return Stream(source, len(files), _digest(on_disk, path if path.is_dir() else None), read)


def _digest(files: Sequence[Path], folder: Path | None = None) -> str:
    """sha256 of the names, sizes and times of change of files.

    folder: where they lie, if what lies between names their classes.
    """
    sha = hashlib.sha256()
    for file in files:
        try:
            stat = file.stat()
        except OSError:  # such as a link to nothing, which is named when it is read
            continue
        name = file.relative_to(folder) if folder else file.name
        sha.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return sha.hexdigest()


def _of_hub(spec: Spec, hub: Hub, shape: tuple[int, ...]) -> Stream:
    """Images of a Hugging Face data set, whose rows stay on the disk."""
    name, rows = f"{spec.name}:{spec.split or 'test'}", range(hub.rows)[spec.rows]

    def parts(ranges: Sequence[range]) -> Iterator[Some]:
        for some in ranges:
            places = rows[some.start : some.stop]
            try:
                data, kept = hub.read(places, shape[1], shape[0] == 1)
                x = fit_rows(name, data.x, 256, shape, 0).x
            except InvalidInput:  # none of them can be read, which has been said
                data, kept, x = None, [], torch.empty(0, *shape, dtype=torch.uint8)
            labels, classes = (data.labels, data.classes) if data else (None, ())
            at, failed = split_read(places, kept)
            names, unread = (tuple(row_names(name, each)) for each in (kept, failed))
            yield Some(Dataset(name, "input", x, 256, labels, classes), names, unread, at)

    return Stream(name, len(rows), hub.digest, parts)


def _slices(whole: Some, ranges: Sequence[range]) -> Iterator[Some]:
    """Rows of what is in memory, without those that could not be read."""
    places = range(len(whole.names)) if whole.places is None else whole.places
    for rows in ranges:
        first, end = bisect_left(places, rows.start), bisect_left(places, rows.stop)
        failed = whole.failed[rows.start - first : min(rows.stop, whole.rows) - end]
        kept = tuple(place - rows.start for place in places[first:end])
        yield Some(whole.data[first:end], whole.names[first:end], failed, kept if failed else None)
