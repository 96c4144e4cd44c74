"""A user's inputs: files, folders, data sets, data frames and tensors, fitted to a model's shape.

Over 400 lines: each kind of source is read by a short function, and all make the same record.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.data.addresses import is_address
from zoo_core.data.boundary import check
from zoo_core.data.cells import Cells, open_array, read_cells
from zoo_core.data.columns import Column, in_columns, of_cells
from zoo_core.data.dataset import Dataset
from zoo_core.data.fitting import Shape, fit_tensor
from zoo_core.data.folders import labels_of, read_images
from zoo_core.data.frames import frame_cells, is_frame, plain_array
from zoo_core.data.hub import is_hub_folder, read_hub
from zoo_core.data.notes import note, note_done
from zoo_core.data.resolve import (
    Spec,
    find_path,
    hub_place,
    load_dataset,
    parse_spec,
    size_and_gray,
)
from zoo_core.data.shards import Member, Picture, find_members, is_shard
from zoo_core.data.tables import (
    categories_of,
    in_levels,
    is_table,
    joined,
    read_table,
    split_cells,
    table_levels,
)
from zoo_core.data.walk import find_images, is_image
from zoo_core.errors import InvalidInput
from zoo_core.text import printable, quoted

__all__ = [
    "Inputs",
    "Part",
    "Some",
    "classes_of",
    "files_of",
    "fit_rows",
    "image_files",
    "image_shape",
    "load_images",
    "load_readable",
    "load_rows",
    "picture_names",
    "row_names",
    "source_name",
    "split_read",
]

T = TypeVar("T")

_ONE_IMAGE = " One image is array[None]."


_Root = str | os.PathLike[str] | None
"""Folder of data sets."""


class Inputs(NamedTuple):
    """The inputs as one data set, and the name of each: a file's path, or `mnist:test[3]`."""

    data: Dataset
    names: tuple[str, ...]


class Some(NamedTuple):
    """Rows of a source, or of several, as far as they can be read."""

    data: Dataset
    names: tuple[str, ...]
    failed: tuple[str, ...] = ()
    """Files among them that could not be read."""
    places: tuple[int, ...] | None = None
    """The place of each row among them, ascending, where some could not be read; else None."""

    @property
    def rows(self) -> int:
        """How many there are; those that could not be read count."""
        return len(self.names) + len(self.failed)

    def blank(self) -> Some:
        """One row of zeros, in place of those of which none could be read."""
        labels = None if self.data.labels is None else self.data.labels.new_zeros(1)
        x = self.data.x.new_zeros(1, *self.data.event_shape)
        return Some(replace(self.data, x=x, labels=labels), ("",))


class Part(NamedTuple):
    """The rows of one source, in a model's shape."""

    x: Tensor
    levels: int | None
    names: list[str]
    labels: Tensor | None = None
    classes: tuple[str, ...] = ()
    failed: Sequence[str] = ()
    """Names of those that could not be read."""
    places: Sequence[int] | None = None
    """The place of each row among all, where some could not be read."""


def load_images(
    sources: Sequence[object],
    *,
    shape: tuple[int, ...],
    levels: int | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Inputs:
    """Load image files, folders of images, tables and data sets, fitted to a model's shape.

    Whole numbers of a table are the model's own, as `table_levels` has it; floats of a tensor stay
    what they are.

    Args:
        sources: paths, or specs as `load_dataset` takes them, where one without a split means
            test; or data sets, or tensors of rows, (B, *shape), in [0, 1]; or arrays and data
            frames, which are read as files of them are.
        shape: the model's event shape, (C, H, W) or (D,).
        levels: the number of values of the model's variables; None where they are real, or not
            known.
        root: folder of data sets.

    Raises InvalidInput for sources that cannot be fitted, or that select no rows.
    """
    data, names, *_ = load_readable(sources, shape=shape, levels=levels, root=root)
    return Inputs(data, names)


def load_readable(
    sources: Sequence[object],
    *,
    shape: tuple[int, ...],
    levels: int | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Some:
    """The same as `load_images`, with what could not be read and the places of the others.

    Raises InvalidInput where nothing of a source can be read, or fitted to the shape.
    """
    parts = [
        _load(source, shape, levels, root, place)
        for source, place in zip(sources, _in_memory(sources), strict=True)
    ]
    if not parts:
        raise InvalidInput("no input was given: expected image files, folders or mnist:test[0:16].")
    found = [part.levels for part in parts]
    shared = None if None in found else max(n for n in found if n is not None)
    x = torch.cat([_at(part, shared) for part in parts])
    names = tuple(name for part in parts for name in part.names)
    name = ", ".join(map(source_name, sources))
    failed = tuple(name for part in parts for name in part.failed)
    places = _places(parts) if failed else None
    return Some(Dataset(name, "input", x, shared, *_labels(parts)), names, failed, places)


def _places(parts: Sequence[Part]) -> tuple[int, ...]:
    """The place of each row among those of all parts, of which some could not be read."""
    found: list[int] = []
    first = 0
    for part in parts:
        places = range(len(part.names)) if part.places is None else part.places
        found += [first + place for place in places]
        first += len(part.names) + len(part.failed)
    return tuple(found)


def load_rows(
    sources: Sequence[object],
    *,
    columns: Sequence[Column],
    root: str | os.PathLike[str] | None = None,
) -> Inputs:
    """Load tables and data sets in a model's columns, by the columns' names.

    Args:
        sources: as `load_images` takes them; tensors as the columns encode rows, arrays and data
            frames in the columns' own units.
        columns: the model's.
        root: folder of data sets.
    """
    parts = [
        _rows(source, columns, root, place)
        for source, place in zip(sources, _in_memory(sources), strict=True)
    ]
    if not parts:
        raise InvalidInput("no input was given: expected tables or people.csv:test[0:16].")
    names = tuple(name for _, part in parts for name in part)
    x = torch.cat([data.floats() for data, _ in parts])
    cells = _together([data.cells for data, _ in parts], len(columns))
    data = Dataset(parts[0][0].name, "input", x, None, columns=tuple(columns), cells=cells)
    return Inputs(data, names)


def _together(parts: Sequence[Cells | None], D: int) -> Cells | None:
    """The rows of several tables, in the columns that all have; None where these are not all D."""
    tables = [part for part in parts if part is not None]
    if len(tables) < len(parts):  # a data set or a tensor among them has no cells of a file
        return None
    names = [name for name in tables[0].names if all(name in table.names for table in tables)]
    if len(names) < D:  # one has a header, and another none
        return None
    columns = [
        joined([table.columns[table.names.index(name)] for table in tables]) for name in names
    ]
    return Cells(tuple(names), tuple(columns))


def _in_memory(sources: Sequence[object]) -> list[str]:
    """What names the rows of each source that has no name: `inputs`, or of several `inputs[1]`."""
    return ["inputs"] if len(sources) == 1 else [f"inputs[{i}]" for i in range(len(sources))]


def _name_in(place: str, source: object) -> str:
    """The name of a table in memory, of several with its place."""
    return source_name(source) + (f" {place}" if place != "inputs" else "")


def source_name(source: object) -> str:
    """The name of an input in messages: its path or spec, or what else it is."""
    if isinstance(source, Dataset):
        return f"{source.name}:{source.split}"
    if is_frame(source):
        return f"the {'array' if isinstance(source, np.ndarray) else 'data frame'}"
    return "tensor" if isinstance(source, Tensor) else str(source)


def _rows(
    source: object, columns: Sequence[Column], root: _Root, place: str
) -> tuple[Dataset, list[str]]:
    if isinstance(source, Tensor):
        x = _check_tensor(source, (len(columns),))  # encoded: it may be below 0 or above 255
        data = Dataset("tensor", "input", x, None, columns=tuple(columns))
        return data, _numbered(place, data)
    if isinstance(source, Dataset):
        _check_some(len(source), source_name(source))
        return in_columns(source, columns), _numbered(place, source)
    if is_frame(source):
        name = _name_in(place, source)
        cells = frame_cells(source, name)
        _check_some(len(cells), name)
        data = of_cells(cells, columns, name, "input", keep=True)
        return data, _numbered(place, data)
    spec = parse_spec(_spec(source), root)
    path, split = find_path(spec.name, root), spec.split or "test"
    if path and is_table(path):
        is_whole = path.is_file() and not spec.split  # its own rows, in its order
        cells = read_cells(path) if is_whole else split_cells(path, split)
        chosen = range(len(cells))[spec.rows]
        cells, start = cells.take(chosen), chosen.start
        _check_some(len(cells), _spec(source))
        name = spec.name if is_whole else f"{spec.name}:{split}"
        data = of_cells(cells, columns, name, "input", keep=True)
    else:
        loaded, start = _selected(_spec(source), split, root)
        data, name = in_columns(loaded, columns), f"{loaded.name}:{loaded.split}"
    return data, row_names(name, range(start, start + len(data)))


def row_names(name: str, rows: Sequence[int]) -> list[str]:
    """The names of a table's rows: `people.csv[3]`."""
    shown = printable(name, None)
    return [f"{shown}[{row}]" for row in rows]


def picture_names(source: str, pictures: Sequence[Picture]) -> list[str]:
    """The names of a source's pictures: their paths, of those at an address the ones there.

    The path of a copy is another on each machine.
    """
    if not is_address(source):
        return [printable(picture, None) for picture in pictures]
    shown = printable(source, None)
    return [
        f"{shown}/{printable(picture.inside, None)}" if isinstance(picture, Member) else shown
        for picture in pictures
    ]


def image_files(
    sources: Sequence[object], root: str | os.PathLike[str] | None = None
) -> list[Picture]:
    """The images that sources name, in the order of `load_images`, which skips broken ones."""
    named = (str(source) for source in sources if isinstance(source, str | os.PathLike))
    return [file for source in named for file in files_of(find_path(source, root))]


def _load(
    source: object, shape: tuple[int, ...], wanted: int | None, root: _Root, place: str
) -> Part:
    """wanted: the model's levels. place: what names the rows of a source in memory."""
    if isinstance(source, Tensor):
        data = _of_tensor(source, shape)
        return Part(data.x, data.levels, _numbered(place, data))
    if isinstance(source, Dataset):
        _check_some(len(source), source_name(source))
        return _of_dataset(source, shape, wanted, start=0)._replace(names=_numbered(place, source))
    if is_frame(source):
        part = _of_frame(source, _name_in(place, source), shape, wanted)
        return part._replace(names=_numbered(place, part.x))
    source = _spec(source)
    spec = parse_spec(source, root)
    table = find_path(spec.name, root)
    if table and table.is_file() and is_table(table) and not spec.split:
        if (array := open_array(table)) is not None:
            _check_some(len(array[spec.rows]) or not len(array), source)
            return _of_array(spec.name, array, spec.rows, shape)
        x = read_table(table)
        _check_some(len(x[spec.rows]), source)
        return _of_categories(spec.name, x, spec.rows, shape, wanted)
    path = table if spec.name == source else None  # rows of a folder are those of a data set
    files = files_of(path)
    if path and files:
        x, read = read_images(files, image_shape(source, shape), source)
        part = Part(x, 256, picture_names(source, read), *classes_of(path, read, files))
        places, broken = split_read(files, read)
        return part._replace(failed=picture_names(source, broken), places=places)
    if place := hub_place(spec.name, root):
        return _of_hub(spec, place, shape)
    size, gray = size_and_gray(shape)
    data, start = _selected(source, spec.split or "test", root, size=size, gray=gray)
    return _of_dataset(data, shape, wanted, start)


def _selected(source: str, split: str, root: _Root, **fitting: Any) -> tuple[Dataset, int]:
    """The rows that a spec selects of a data set, and the place of the first one in its split."""
    spec = parse_spec(source, root)
    start = spec.rows.start or 0
    if start >= 0:
        return load_dataset(source, split=split, root=root, **fitting), start
    whole = load_dataset(f"{spec.name}:{split}", root=root, **fitting)  # it says how many there are
    _check_some(len(chosen := range(len(whole))[spec.rows]), source)
    return whole[spec.rows], chosen.start


def _of_dataset(data: Dataset, shape: tuple[int, ...], wanted: int | None, start: int) -> Part:
    """The rows of a data set, those of a table in the model's levels; raises as `fit_rows`.

    wanted: the model's levels. start: the place of the first row in its split.
    """
    data = in_levels(data, shape, wanted)
    part = fit_rows(source_name(data), data.x, data.levels, shape, start)
    return part._replace(labels=data.labels, classes=data.classes)


def _of_hub(spec: Spec, place: str, shape: tuple[int, ...]) -> Part:
    """Images of a Hugging Face data set, named by their numbers in the split.

    place: where it lies.

    Raises InvalidInput as `fit_rows`, and where none can be read.
    """
    split, (size, gray) = spec.split or "test", size_and_gray(shape)
    data, kept, wanted = read_hub(spec.name, place, split, size=size, gray=gray, rows=spec.rows)
    if not wanted:
        raise InvalidInput(f"data {quoted(spec.name)} selects no rows of its {split} split.")
    name = f"{data.name}:{data.split}"
    part = fit_rows(name, check(data, spec.name).x, data.levels, shape, start=0)
    places, broken = split_read(wanted, kept)
    return part._replace(
        names=row_names(name, kept),
        labels=data.labels,
        classes=data.classes,
        failed=row_names(name, broken),
        places=places,
    )


def split_read(all_of: Sequence[T], read: Sequence[T]) -> tuple[tuple[int, ...], list[T]]:
    """The places of what could be read among all, and what could not; both in order."""
    found = set(read)
    places = tuple(place for place, each in enumerate(all_of) if each in found)
    return places, [each for each in all_of if each not in found]


def _spec(source: object) -> str:
    """A path or a spec as text.

    Raises InvalidInput for what is no input at all.
    """
    if not isinstance(source, str | os.PathLike):
        raise InvalidInput(
            f"an input is {quoted(source, 80)}; expected a path, the name of a data set, a "
            "Dataset, a tensor, a NumPy array or a data frame."
        )
    return os.fspath(source)


def _check_some(rows: int, source: str) -> None:
    """Raise InvalidInput for a source of which no row is selected."""
    if not rows:
        raise InvalidInput(f"{printable(source)} selects no rows.")


def _check_tensor(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Rows as float32, on the CPU.

    Raises InvalidInput for a tensor of another shape or type.
    """
    x = x.detach().cpu().to_dense()
    if x.shape[1:] != torch.Size(shape) or not len(x) or not x.is_floating_point():
        raise InvalidInput(
            f"the inputs are a tensor {tuple(x.shape)} of {x.dtype}; expected floats of the shape "
            f"(B, {', '.join(map(str, shape))}), B of at least 1."
        )
    return x.float()


def _of_tensor(x: Tensor, shape: tuple[int, ...]) -> Dataset:
    """Rows as floats in [0, 1], as a data set: of binary or grey levels where they are exactly.

    Raises InvalidInput for a tensor of another shape, type or range.
    """
    x = _check_tensor(x, shape)
    if not ((x >= 0) & (x <= 1) | x.isnan()).all():
        raise InvalidInput(
            f"the inputs are a tensor of values from {float(x.min()):.4g} to {float(x.max()):.4g}; "
            "expected values in [0, 1]."
        )
    for levels in (2, 256):
        grid = (x * (levels - 1)).round()
        if torch.equal(grid / (levels - 1), x):
            return Dataset("tensor", "input", grid.to(torch.uint8), levels)
    return Dataset("tensor", "input", x, None)


def _of_frame(source: object, name: str, shape: tuple[int, ...], wanted: int | None) -> Part:
    """An array or a data frame, as a file of it is taken; raises as `_load` of that."""
    if isinstance(source, np.ndarray) and source.ndim > 2:
        return _of_array(name, plain_array(source, name), slice(None), shape)
    cells = frame_cells(source, name)
    _check_some(len(cells), name)
    if not cells.numbered:
        note(f"{name}: its columns are taken in their order, as the model keeps no names")
    numbers = [values for values in cells.columns if not isinstance(values, list)]
    if len(numbers) == len(cells.columns):
        array = np.stack(numbers, 1)
        if len(shape) == 3 and array.shape == shape[1:]:
            raise InvalidInput(
                f"{name} is of shape {array.shape}, and the model takes {_text(shape)}.{_ONE_IMAGE}"
            )
        if (images := _as_images(array, shape)).ndim > 2:
            return _of_array(name, images, slice(None), shape)
    return _of_categories(name, categories_of(cells, name), slice(None), shape, wanted)


def _as_images(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Rows of real numbers as the images of a model's shape that they are; others as they are.

    Whole numbers are those of a table, which has grey levels as well.
    """
    flat = array.ndim == 2 and len(shape) == 3 and array.shape[1] == math.prod(shape)
    return array.reshape(-1, *shape) if flat and not _is_whole(array) else array


def _is_whole(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or bool((array == np.floor(array)).all())


def _of_categories(
    name: str, x: Tensor, rows: slice, shape: tuple[int, ...], wanted: int | None
) -> Part:
    """Rows of a table of categories, (N, D); what levels they have, all rows of it say."""
    levels = table_levels(name, max(2, int(x.max()) + 1), shape, wanted)
    return fit_rows(name, x[rows], levels, shape, start=range(len(x))[rows].start)


def _of_array(name: str, array: NDArray[Any], rows: slice, shape: tuple[int, ...]) -> Part:
    """Images in an array of the model's shape, grey ones also without their one channel.

    What levels they have, all rows of the array say.

    Raises InvalidInput for another shape, and for values that are no grey levels nor in [0, 1].
    """
    wanted, real = f"(N, {', '.join(map(str, shape))})", array.dtype.kind == "f"
    if not len(array) or shape not in (array.shape[1:], (1, *array.shape[1:])):
        raise InvalidInput(
            f"{printable(name)} holds an array {array.shape}, but the model takes {wanted}."
            f"{_advise_shape(array.shape, shape)}"
        )
    if real and np.isnan(array).any():
        raise InvalidInput(
            f"{printable(name)} holds NaN, or what is masked: an image has no missing pixels."
        )
    low, high = array.min(), array.max()
    real = real and not (high > 1 and _is_whole(array))
    if not (low >= 0 and high <= (1 if real else 255)):
        raise InvalidInput(
            f"{printable(name)} holds {array.dtype} from {low:.9g} to {high:.9g}; expected whole "
            "numbers from 0 to 255, or real numbers from 0 to 1."
        )
    x = torch.from_numpy(array.astype(np.float32 if real else np.uint8)).reshape(-1, *shape)
    data = _of_tensor(x, shape) if real else Dataset(name, "input", x, 2 if high <= 1 else 256)
    start = range(len(data))[rows].start
    return fit_rows(name, data.x[rows], data.levels, shape, start=start)


def _numbered(place: str, rows: Dataset | Tensor) -> list[str]:
    """The names of rows in memory, which have none."""
    return row_names(place, range(len(rows)))


def _advise_shape(given: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """What makes an array of images one of a model's shape, where that is plain."""
    if given in (shape, shape[1:] if shape[:1] == (1,) else shape):
        return _ONE_IMAGE
    if len(shape) == 3 and given[1:] == (*shape[1:], shape[0]):
        return " Channels come first: array.transpose(0, 3, 1, 2)."
    return ""


def _labels(parts: Sequence[Part]) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each input and the classes' names, where all parts have them, and the same."""
    classes = parts[0].classes
    labels = [p.labels for p in parts if p.labels is not None and p.classes == classes]
    return (torch.cat(labels), classes) if len(labels) == len(parts) else (None, ())


def files_of(path: Path | None) -> Sequence[Picture]:
    """The images that a path stands for: one, or those in a tar file or a folder; else none."""
    if path is None:
        return []
    if is_shard(path):
        return find_members(path)
    if path.is_dir() and not is_table(path) and not is_hub_folder(path):
        return find_images(path)
    return [path] if path.is_file() and is_image(path) else []


def classes_of(
    path: Path, read: Sequence[Picture], files: Sequence[Picture]
) -> tuple[Tensor | None, tuple[str, ...]]:
    """The class of each of some images, and the classes' names, where a folder has them.

    path: what the images are of. files: all of them.
    """
    if not path.is_dir():
        return None, ()
    some, every = ([file for file in each if isinstance(file, Path)] for each in (read, files))
    return labels_of(path, some, every)


def fit_rows(name: str, x: Tensor, levels: int | None, shape: tuple[int, ...], start: int) -> Part:
    """Rows in the shape that a model takes.

    x: (N, ...). levels: of all rows of the source. start: the place of the first in the source.

    Raises InvalidInput for rows that cannot be fitted.
    """
    names, name = row_names(name, range(start, start + len(x))), printable(name, None)
    fits = x.ndim == 2 or len(shape) == 1 or shape in (x.shape[1:], (1, *x.shape[1:]))
    if fits and x[0].numel() == math.prod(shape):
        return Part(x.reshape(-1, *shape), levels, names)
    if x.ndim == 2:
        raise InvalidInput(
            f"{name} has {x.shape[1]} variables a row, but the model takes {_text(shape)}."
        )
    if levels is None:
        raise InvalidInput(f"{name} holds real numbers of another shape than {_text(shape)}.")
    done: Counter[str] = Counter()
    grey = x * (255 // (levels - 1))
    fitted = fit_tensor(grey, image_shape(name, shape), done)
    note_done(name, len(x), done)
    return Part(fitted, 256, names)


def image_shape(name: str, shape: tuple[int, ...]) -> Shape:
    """The shape of a model of images; raises InvalidInput for another model."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InvalidInput(f"{printable(name)} holds images, but the model takes {_text(shape)}.")
    return shape


def _at(part: Part, levels: int | None) -> Tensor:
    if part.levels == levels:
        return part.x
    if levels is None or part.levels is None:  # beside real numbers, levels become real too
        return part.x.float() / ((part.levels or 2) - 1)
    if (levels - 1) % (part.levels - 1):
        raise InvalidInput(f"inputs of {part.levels} and of {levels} levels cannot be mixed.")
    return part.x * ((levels - 1) // (part.levels - 1))


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) + (" images" if len(shape) == 3 else " variables")
