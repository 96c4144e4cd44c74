"""Hugging Face data sets: folders of parquet files, and names on the hub as `hf://user/name`."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from zoo_core import environment
from zoo_core.data.addresses import out_of_reach
from zoo_core.data.dataset import Dataset
from zoo_core.data.fitting import (
    Header,
    Unreadable,
    bits_of,
    fit,
    open_header,
    open_image,
    reading,
    room,
)
from zoo_core.data.folders import shape_of
from zoo_core.data.notes import list_names, note, note_done, note_skipped
from zoo_core.data.shards import Held
from zoo_core.data.splits import choose, find_split
from zoo_core.data.walk import find_images
from zoo_core.errors import InvalidInput, NetworkError, UnknownName
from zoo_core.text import printable, quoted
from zoo_core.urls import is_url

__all__ = ["HUB", "Hub", "is_hub_folder", "load_hub", "open_hub", "read_hub"]

HUB = "hf://"
_TEXTS = ("text", "caption")
_PARQUET = ("*.parquet", "data/*.parquet")


def is_hub_folder(path: Path) -> bool:
    """Whether a folder holds parquet files, in itself or in its `data`.

    Beside images they are a data set where one is called after a split, as `train-00000.parquet`;
    others are somebody's tables, and passed over, which is said.
    """
    files = [file for pattern in _PARQUET for file in path.glob(pattern)]
    if not files or any(find_split(file.stem.split("-")[0]) for file in files):
        return bool(files)
    if not find_images(path):
        return True
    names = sorted(file.name for file in files)
    note(f"{printable(path)}: tables beside images are left out: {list_names(names)}")
    return False


def load_hub(
    name: str,
    source: str,
    split: str,
    *,
    size: int | None,
    gray: bool,
    rows: slice = slice(None),
) -> Dataset:
    """One split of the first image column, labelled by the first column of class labels.

    A column named `text` or `caption` gives the captions.

    rows: those that are wanted; they count rows that cannot be read.
    """
    return read_hub(name, source, split, size=size, gray=gray, rows=rows).data


class Readable(NamedTuple):
    """The rows of a split that could be read."""

    data: Dataset
    kept: list[int]
    """Their numbers in the split."""
    wanted: range
    """The numbers of all that were wanted."""


def read_hub(
    name: str, source: str, split: str, *, size: int | None, gray: bool, rows: slice
) -> Readable:
    """The same as `load_hub`, with the rows' numbers.

    Raises InvalidInput where none of the wanted rows can be read.
    """
    tables = {find_split(key) or key: table for key, table in _open(source).items()}
    column = _column(name, next(iter(tables.values())), "Image")
    table, places = _rows(name, tables, split)
    # all of the split decide about shape and depth, also where some are wanted
    x, kept = _images(name, _stored(table, column), places, size, gray)
    wanted, number_of = range(len(places))[rows], {place: i for i, place in enumerate(places)}
    if len(wanted) < len(places):
        chosen = [i for i, place in enumerate(kept) if number_of[place] in wanted]
        x, kept = x[chosen], [kept[i] for i in chosen]
    if wanted and not kept:
        raise _none_readable(name, len(wanted))
    labels, classes = _labels(table, kept)
    data = Dataset(name, split, x, 256, labels, classes, _texts(table, kept))
    return Readable(data, [number_of[place] for place in kept], wanted)


class Hub(NamedTuple):
    """One split of a data set that lies on the disk, of which some rows are read at a time."""

    rows: int
    digest: str
    read: Callable[[range, int, bool], tuple[Dataset, list[int]]]
    """Reads some rows as images, grey or not, of a size; with the rows that could be read."""


def open_hub(name: str, source: str, split: str) -> Hub:
    """Open one split as `load_hub` has it, without its captions."""
    tables = {find_split(key) or key: table for key, table in _open(source).items()}
    column = _column(name, next(iter(tables.values())), "Image")
    table, places = _rows(name, tables, split)
    stored, (labels, classes) = _stored(table, column), _labels(table, range(len(table)))

    @cache
    def depth() -> int:
        each = (_headers(stored, [place])[0].values() for place in places)
        return bits_of(header for found in each for _, header in found)

    def read(some: range, size: int, gray: bool) -> tuple[Dataset, list[int]]:
        row_of = {places[row]: row for row in some}
        x, kept = _images(name, stored, list(row_of), size, gray, depth)
        of = None if labels is None else labels[kept]
        return Dataset(name, split, x, 256, of, classes), [row_of[place] for place in kept]

    fingerprint = f"{table._fingerprint} {len(table)} {split}"
    return Hub(len(places), hashlib.sha256(fingerprint.encode()).hexdigest(), read)


def _open(source: str) -> dict[str, Any]:
    environment.keep_hugging_face_offline()
    datasets = _library()
    datasets.disable_progress_bars()
    path = source.removeprefix(HUB)
    try:
        if not source.startswith(HUB):
            _check_numbering(Path(source))
        return dict(datasets.load_dataset(path, cache_dir=str(environment.home() / "datasets")))
    except InvalidInput:
        raise
    except Exception as error:  # the library raises its own, fsspec's, pyarrow's and httpx's
        shown = printable(source)
        text = f"{shown} could not be loaded as a Hugging Face data set: {printable(error)}"
        if not source.startswith(HUB):
            raise InvalidInput(text) from error
        if type(error).__name__ == "DatasetNotFoundError" and not environment.offline():
            raise UnknownName(text) from error
        hint = " ZOO_OFFLINE or HF_HUB_OFFLINE is set." if environment.offline() else ""
        raise NetworkError(text + hint) from error


def _library() -> Any:
    try:
        import datasets
    except ImportError as error:
        raise InvalidInput(
            "Hugging Face data sets need an optional package: pip install 'zoo-core[datasets]'"
        ) from error
    return datasets


def _rows(name: str, tables: dict[str, Any], split: str) -> tuple[Any, list[int]]:
    """The table that holds a split, and the places of its rows there."""
    if split in tables and (split != "train" or "validation" in tables):
        return tables[split], list(range(len(tables[split])))
    if "train" not in tables:
        raise InvalidInput(
            f"{printable(name)} has no {split} split; it has {list_names([*tables])}."
        )
    train = tables["train"]
    own = {key: range(len(table) if key == "train" else 0) for key, table in tables.items()}
    return train, choose(name, own, _keys(train), split)


def _keys(table: Any) -> list[str]:
    """The caption of each row, so that pictures of one thing stay together; else its place."""
    texts = _texts(table, range(len(table)))
    return list(texts) or [str(i) for i in range(len(table))]


def _texts(table: Any, rows: Sequence[int]) -> tuple[str, ...]:
    column = next((key for key in _TEXTS if key in table.column_names), None)
    if column is None:
        return ()
    texts = list(table[column])  # one by one they would be read from the file
    return tuple("" if texts[i] is None else str(texts[i]) for i in rows)


def _images(
    name: str,
    stored: Any,
    rows: Sequence[int],
    size: int | None,
    gray: bool,
    depth: Callable[[], int] | None = None,
) -> tuple[Tensor, list[int]]:
    """The images of some rows that can be read, (N, C, H, W), uint8, and their rows.

    depth: the bits of whole numbers of more than 8 bits, where these are some of a table's rows.
    """
    headers, skipped = _headers(stored, rows)
    x = torch.empty(0, dtype=torch.uint8)
    kept: list[int] = []
    done: Counter[str] = Counter()
    if headers:
        each = [header for _, header in headers.values()]
        mode = next(iter(stored.features.values())).mode
        grey = gray or (mode == "L" if mode else all(header.grey for header in each))
        shape = shape_of(name, [header.size for header in each], size, grey)
        deep = depth is not None and any(header.peak for header in each)
        bits = depth() if depth and deep else bits_of(each)
        x = room(len(each), shape)
        for i, (picture, _) in headers.items():
            try:
                x[len(kept)] = fit(open_image(picture, done), shape, done, bits)
            except Unreadable as error:
                skipped.append(f"row {i} ({error})")
            else:
                kept.append(i)
    note_skipped(name, skipped)
    if not kept:
        raise _none_readable(name, len(skipped))
    note_done(name, len(kept), done)
    return x if len(kept) == len(x) else x[: len(kept)].clone(), kept


def _none_readable(name: str, tried: int) -> InvalidInput:
    return InvalidInput(f"{printable(name)}: no image could be read ({tried} tried).")


def _stored(table: Any, column: str) -> Any:
    """The images of a table alone, as their files hold them, with the mode that the table declares.

    They are decoded here: the library's decoder has no limit of size and no rule for 16 bits.
    """
    feature = _library().Image(mode=table.features[column].mode, decode=False)
    return table.select_columns([column]).cast_column(column, feature)


def _headers(
    stored: Any, rows: Sequence[int]
) -> tuple[dict[int, tuple[Path | Held, Header]], list[str]]:
    """Each row's picture and its header, and those that cannot be read."""
    headers, skipped = dict[int, tuple[Path | Held, Header]](), []
    for i in rows:
        try:
            (cell,) = stored[i].values()
            picture = _picture(cell or {})
            headers[i] = picture, open_header(picture)
        except Unreadable as error:
            skipped.append(f"row {i} ({error})")
    return headers, skipped


def _picture(cell: Mapping[str, Any]) -> Path | Held:
    """A cell's picture: its bytes, or a path, which may be in an archive or at an address."""
    data, path = cell.get("bytes"), cell.get("path")
    if data is not None:
        return Held(data)
    if path is None:
        raise Unreadable("missing")
    if not is_url(path):
        return Path(path)
    place = path.split("::")[-1]
    if is_url(place) and out_of_reach(place):
        raise Unreadable(f"it lies at {printable(path)}, and ZOO_OFFLINE is set")
    import fsspec

    with reading(), fsspec.open(path) as file:
        return Held(file.read())


def _column(name: str, table: Any, kind: str) -> str:
    column = _first(table, kind)
    if column is None:
        found = [f"{key} ({type(kind).__name__})" for key, kind in table.features.items()]
        shown = printable(name)
        raise InvalidInput(f"{shown} has no column of images: its columns are {list_names(found)}.")
    return column


def _first(table: Any, kind: str) -> str | None:
    columns = table.features.items()
    return next((key for key, feature in columns if type(feature).__name__ == kind), None)


def _labels(table: Any, rows: Sequence[int]) -> tuple[Tensor | None, tuple[str, ...]]:
    column = _first(table, "ClassLabel")
    if column is None:
        return None, ()
    numbers = [-1 if n is None else n for n in table[column]]
    labels = torch.tensor(numbers, dtype=torch.int64).clamp(min=-1)
    return labels[list(rows)], tuple(map(printable, table.features[column].names))


def _check_numbering(folder: Path) -> None:
    """Refuse parquet files that number their classes differently: datasets takes the first."""
    from pyarrow import parquet

    found: dict[str, tuple[Path, list[str]]] = {}
    for path in sorted(file for pattern in _PARQUET for file in folder.glob(pattern)):
        held = (parquet.read_schema(path).metadata or {}).get(b"huggingface", b"{}")
        features = json.loads(held).get("info", {}).get("features", {})
        for column, feature in features.items():
            if feature.get("_type") != "ClassLabel":
                continue
            first, names = found.setdefault(column, (path, feature["names"]))
            if feature["names"] != names:
                raise InvalidInput(
                    f"the column {quoted(column)} numbers its classes differently in {first.name} "
                    f"({list_names(names)}) and in {path.name} ({list_names(feature['names'])}): "
                    "write all files with one list of names."
                )
