"""Tables of binary or categorical variables, from CSV and NPY files."""

from __future__ import annotations

import io
import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.data.dataset import Dataset
from zoo_core.data.notes import note
from zoo_core.data.splits import SPLITS
from zoo_core.errors import InvalidInput
from zoo_core.files import check_regular, open_regular
from zoo_core.text import printable

__all__ = ["is_table", "load_table", "read_table"]

_SUFFIXES = (".csv", ".npy")


def is_table(path: Path) -> bool:
    """Whether a path is a table, or a folder with one table for each split."""
    return (
        path.suffix.lower() in _SUFFIXES
        if path.is_file()
        else _split_file(path, "train") is not None
    )


def load_table(name: str, path: Path, split: str) -> Dataset:
    """One split of a table: a folder's own, or 80/10/10 % of a single file's rows."""
    if path.is_dir():
        tables = _folder(path)
        if split not in tables:
            raise InvalidInput(
                f"{printable(path)} has no {split} split: expected a file "
                f"{' or '.join(f'{stem}.csv' for stem in SPLITS[split])} (or .npy)."
            )
        levels, x = _levels(*tables.values()), tables[split]
    else:
        rows = read_table(path)
        levels, x = _levels(rows), _share(rows, split)
        shown = f"{printable(path.name)}: {len(rows)} rows"
        note(f"{shown}, split 80/10/10 % at random with a fixed seed")
    return Dataset(name, split, x, levels)


def read_table(path: Path) -> Tensor:
    """The categories in a CSV or NPY file, (N, D), uint8."""
    try:
        table = _read_npy(path) if path.suffix.lower() == ".npy" else _read_csv(path)
    except Exception as error:  # NumPy has as many errors as there are damaged files
        why = error.strerror if isinstance(error, OSError) and error.strerror else printable(error)
        raise InvalidInput(f"{printable(path)} is not a readable table: {why}") from error
    if table.ndim != 2 or not table.size:
        raise InvalidInput(
            f"{printable(path)} holds shape {table.shape}: expected (rows, variables)."
        )
    wrong = ~((table >= 0) & (table <= 255))
    if table.dtype.kind == "f":
        wrong |= table != np.floor(table)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InvalidInput(
            f"{printable(path)}, row {row + 1}, column {column + 1}: {table[row, column]} is no "
            "category: expected whole numbers from 0 to 255, such as 0 and 1."
        )
    return torch.from_numpy(table.astype(np.uint8))


def _folder(path: Path) -> dict[str, Tensor]:
    files = {split: _split_file(path, split) for split in SPLITS}
    tables = {split: read_table(file) for split, file in files.items() if file is not None}
    widths = {split: x.shape[1] for split, x in tables.items()}
    if len(set(widths.values())) > 1:
        found = ", ".join(f"{split} has {width}" for split, width in widths.items())
        raise InvalidInput(
            f"{printable(path)}: the splits differ in their number of variables: {found}."
        )
    return tables


def _split_file(path: Path, split: str) -> Path | None:
    names = (path / f"{stem}{suffix}" for stem in SPLITS[split] for suffix in _SUFFIXES)
    return next((name for name in names if name.is_file()), None)


def _read_npy(path: Path) -> NDArray[Any]:
    check_regular(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an old writer
        # mapped: its size is held against the file's before any memory is taken
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
        held = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise ValueError(f"it holds {held}; expected numbers")
    return np.array(array)


def _read_csv(path: Path) -> NDArray[np.float64]:
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a table is empty is said by an error
        lines = io.TextIOWrapper(file, encoding="utf-8-sig")
        first = lines.readline()
        delimiter = next((mark for mark in ",;\t" if mark in first), None)
        header = any(not _is_number(cell) for cell in first.strip().split(delimiter))
        rows = lines if header else itertools.chain([first], lines)
        table: NDArray[np.float64] = np.loadtxt(rows, delimiter=delimiter, ndmin=2)
    return table


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _levels(*tables: Tensor) -> int:
    return max(2, *(int(x.max()) + 1 for x in tables))


def _share(rows: Tensor, split: str) -> Tensor:
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    train, held_out = len(rows) * 8 // 10, len(rows) // 10
    bounds = {
        "train": (0, train),
        "validation": (train, train + held_out),
        "test": (train + held_out, len(rows)),
    }
    x = rows[order[slice(*bounds[split])]]
    if not len(x):
        raise InvalidInput(f"{len(rows)} rows are too few to split 80/10/10 %: {split} is empty.")
    return x
