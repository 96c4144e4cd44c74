"""A name, or a path, to the data set that it stands for.

The grammar is `name`, `name:split` and `name:split[a:b]`; splits are train, validation and test. A
file or folder that exists comes before it: `time_10:30` may be the name of one.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from zoo_core import environment, plugins
from zoo_core.checks import check_whole
from zoo_core.data.addresses import fetch, is_address, out_of_reach
from zoo_core.data.boundary import check
from zoo_core.data.cells import SUFFIXES
from zoo_core.data.dataset import Dataset
from zoo_core.data.faces import dicebear, dicebear_name
from zoo_core.data.fitting import fit_tensor
from zoo_core.data.folders import load_folder
from zoo_core.data.hub import HUB, is_hub_folder, load_hub
from zoo_core.data.notes import note_done
from zoo_core.data.splits import parse_split
from zoo_core.data.synthetic import bars_and_stripes_of_size, bars_and_stripes_size
from zoo_core.data.tables import is_table, load_table
from zoo_core.data.walk import is_image
from zoo_core.errors import InvalidInput, NetworkError, UnknownName, did_you_mean
from zoo_core.files import exists, user_path
from zoo_core.hookspecs import DataSet
from zoo_core.text import argument, printable, quoted

__all__ = [
    "Spec",
    "absolute_spec",
    "check_fitted",
    "data_name",
    "data_root",
    "dataset",
    "find_path",
    "hub_place",
    "load_dataset",
    "parse_spec",
    "size_and_gray",
]

_BOUND = r"-?\d{0,18}"  # no table has more rows than 64 bits count
_SPEC = re.compile(
    rf"(?P<name>.+?)(?::(?P<split>\w+))?(?:\[(?P<start>{_BOUND}):(?P<stop>{_BOUND})\])?", re.DOTALL
)
_ROW = re.compile(r"(?P<before>.+)\[(?P<row>\d{1,18})\]", re.DOTALL)


class Spec(NamedTuple):
    """A data set's name, its split where one was given, and the rows that are wanted."""

    name: str
    split: str | None
    rows: slice


def data_name(data: object) -> str:
    """The name of a data set, as it was given.

    Raises InvalidInput for rows in memory, which have none.
    """
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    raise InvalidInput(
        f"data is of the type {type(data).__name__}; expected a name or a path. Save the rows as a "
        "table (.csv, .parquet, .npy) or as images, and give their path."
    )


def parse_spec(spec: str, root: str | os.PathLike[str] | None = None) -> Spec:
    """Take `name:split[a:b]` apart, unless it is the name of something that exists.

    root: folder of data sets.
    """
    if find_path(spec, root):
        return Spec(spec, None, slice(None))
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise InvalidInput(_explain_grammar(spec))
    rows = slice(*(int(bound) if bound else None for bound in match.group("start", "stop")))
    name, split = match["name"], match["split"]
    if split and find_path(f"{name}:{split}", root):
        return Spec(f"{name}:{split}", None, rows)
    if not {"[", "]"}.isdisjoint(name) and not find_path(name, root):
        raise InvalidInput(_explain_grammar(spec))
    return Spec(name, None if split is None else parse_split(split), rows)


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of data sets: the argument, else `ZOO_DATA`, else `data` in zoo's home."""
    given = root or os.environ.get("ZOO_DATA")
    return user_path(given) if given else environment.home() / "data"


def find_path(name: str, root: str | os.PathLike[str] | None = None) -> Path | None:
    """The file or folder of a name, from here or else from the root of data sets, if there is one.

    Of a file at an address that fsspec knows it is the copy that is kept here. Where the address is
    out of reach, one with a split or rows is taken for those of a file, and is none itself.

    The name of a data set of the core means that set.
    """
    if not name or name in plugins.own(DataSet):
        return None
    if is_address(name):
        return _fetch(name)
    return next(filter(exists, (user_path(name), data_root(root) / name)), None)


def _fetch(address: str) -> Path | None:
    """As `fetch`; None for a spec of a file at an address that is out of reach."""
    try:
        return fetch(address)
    except NetworkError:
        match = _SPEC.fullmatch(address)
        if match and match["name"] != address and out_of_reach(address):
            return None
        raise


def hub_place(name: str, root: str | os.PathLike[str] | None = None) -> str:
    """Where a Hugging Face data set lies, by its name: an address or a folder; empty for others."""
    if name.startswith(HUB):
        return name
    if bars_and_stripes_size(name) is not None or dicebear_name(name) is not None:
        return ""
    path = find_path(name, root)
    is_folder = path is not None and path.is_dir() and not is_table(path)
    return str(path) if path and is_folder and is_hub_folder(path) else ""


def absolute_spec(spec: str) -> str:
    """A spec that names a file or folder from here, by its whole path; any other as it is."""
    name = parse_spec(spec).name
    if not name or name in plugins.own(DataSet) or not exists(path := user_path(name)):
        return spec
    return f"{path.absolute()}{spec.removeprefix(name)}"


def load_dataset(
    spec: str | os.PathLike[str],
    *,
    split: str | None = None,
    root: str | os.PathLike[str] | None = None,
    size: int | None = None,
    gray: bool = False,
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """Load one split of a data set into memory.

    Args:
        spec: `name`, `name:split` or `name:split[a:b]`, where the name is a known data set's, the
            path of a file or folder (from here or from the root), or `hf://user/name`.
        split: train, validation or test, where the spec has none; train when neither has one.
        root: folder of data sets; `ZOO_DATA` or zoo's own cache when it is not given.
        size: height and width to resize images to.
        gray: whether colour is dropped.
        columns: what columns of a table are (binary, categorical, ordinal, real; skip leaves one
            out), by name, where that is not to be guessed.
    """
    spec = os.fspath(spec) if isinstance(spec, os.PathLike) else spec
    _check_arguments(spec, size, gray, columns)
    name, given, rows = parse_spec(spec, root)
    if split is not None and given not in (None, parse_split(split)):
        raise InvalidInput(
            f"data {quoted(spec)} names the split {given}, but {split} was requested."
        )
    chosen = given or parse_split(split or "train")
    if place := hub_place(name, root):  # whose rows count those that cannot be read
        data = load_hub(name, place, chosen, size=size, gray=gray, rows=rows)
        data = check(data, name)
    else:
        data = _load(name, chosen, data_root(root), size, gray, columns)[rows]
    if not len(data):
        raise InvalidInput(f"data {quoted(spec)} selects no rows.")
    return _resize(data, size, gray)


def _check_arguments(spec: object, size: int | None, gray: object, columns: object) -> None:
    """Refuse arguments of another type, before anything is read or drawn."""
    if size is not None:
        check_whole("size", size, "a height and width in pixels", 1)
    for name, value, is_sound, expected in (
        ("data", spec, isinstance(spec, str | os.PathLike), "the name of a data set, or a path"),
        ("gray", gray, isinstance(gray, bool), "True or False"),
        ("columns", columns, isinstance(columns, Mapping | None), "kinds by names of columns"),
    ):
        if not is_sound:
            raise InvalidInput(f"{argument(name, value)}: expected {expected}.")


dataset = load_dataset
"""`load_dataset`, by the name that `zoo_core.dataset("mnist:train")` has."""


def size_and_gray(shape: Sequence[int]) -> tuple[int | None, bool]:
    """What `load_dataset` takes, so that images have a model's shape; a size is of squares alone.

    shape: of one row, (C, H, W), or another, for which nothing is resized.
    """
    if len(shape) != 3:
        return None, False
    channels, height, width = shape
    return (height if height == width else None), channels == 1


def check_fitted(data: Dataset, size: int | None, gray: bool) -> None:
    """Refuse a size or grey for rows that are not resized or made grey: tables, binary images.

    Raises InvalidInput that names the one which would be ignored.
    """
    shape = data.event_shape if data.x.ndim == 4 else (0, 0, 0)
    for given, fits in (
        (argument("size", size), size is None or shape[1:] == (size, size)),
        (argument("gray", gray), not gray or shape[0] == 1),
    ):
        if not fits:
            raise InvalidInput(
                f"{given} would be ignored: {printable(data.name)} holds {data.holds}, and only "
                "images of 256 levels are resized or made grey. Leave it out."
            )


def _load(
    name: str,
    split: str,
    root: Path,
    size: int | None,
    gray: bool,
    columns: Mapping[str, str] | None,
) -> Dataset:
    if (n := bars_and_stripes_size(name)) is not None:
        return check(bars_and_stripes_of_size(n, split), name)
    if dicebear_name(name) is not None:
        return check(dicebear(name, split, root), name)
    if path := find_path(name, root):
        return check(_load_path(name, path, split, size, gray, columns), name)
    record = plugins.offer(DataSet, name)  # loads every family, but for a data set of the core
    if record is None:
        raise UnknownName(_explain_unknown(name, root))
    return check(plugins.import_object(record.path)(split, root), record.path)


def _load_path(
    name: str,
    path: Path,
    split: str,
    size: int | None,
    gray: bool,
    columns: Mapping[str, str] | None,
) -> Dataset:
    if is_table(path):
        return load_table(name, path, split, columns)
    if not path.is_dir():
        raise InvalidInput(
            f"{printable(path)} is no data set: expected a table (.csv, of any delimiter; .npy; "
            ".parquet) or a folder."
        )
    return load_folder(name, path, split, size=size, gray=gray)


def _resize(dataset: Dataset, size: int | None, gray: bool) -> Dataset:
    """Resize images and convert them to grey, where their source could not."""
    if dataset.levels != 256 or dataset.x.ndim != 4:
        return dataset
    C, H, W = dataset.event_shape
    shape = (1 if gray else C, size or H, size or W)
    done: Counter[str] = Counter()
    x = fit_tensor(dataset.x, shape, done)
    note_done(dataset.name, len(dataset), done)
    return replace(dataset, x=x)


def _explain_unknown(name: str, root: Path) -> str:
    if Path(name).suffix.lower() in SUFFIXES or is_image(Path(name)):
        return (
            f"there is no file {printable(name)}, neither here nor in {printable(root)} "
            f"({argument('data_root')} or ZOO_DATA names another folder of data sets)."
        )
    known = list(plugins.offers(DataSet))
    return (
        f"data set {quoted(name)} is unknown.{did_you_mean(name, known)} Accepted are "
        f"{', '.join(map(printable, known))}, a file or folder (looked for here and in "
        f"{printable(root)}; {argument('data_root')} or ZOO_DATA names another folder of data "
        "sets), and hf://user/name."
    )


def _explain_grammar(spec: str) -> str:
    one = _ROW.fullmatch(spec)
    row = f"; one row is {one['before']}[{one['row']}:{int(one['row']) + 1}]" if one else ""
    return f"data {quoted(spec)}: expected a name, name:split or name:split[a:b]{printable(row)}."
