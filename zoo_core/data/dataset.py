"""What a data set is once it is loaded: whole numbers in memory, and how they become floats."""

from __future__ import annotations

import hashlib
import io
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import overload

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset as MapDataset

from zoo_core.data.cells import Cells
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.text import html_table

__all__ = ["Dataset", "Row"]

Row = Tensor | tuple[Tensor, int | Tensor]
"""One row as a model takes it, float32 in [0, 1], with its label where there is one."""


@dataclass(frozen=True, eq=False)
class Dataset(MapDataset[Row]):
    """One split of a data set: images or a table, with labels where there are any.

    It is a map-style data set of torch: `data[0]` is one row as a model takes it, and
    `DataLoader(data, batch_size=32)` works. A slice, or a tensor of places or of
    truth values, gives a Dataset.
    """

    name: str
    split: str
    x: Tensor
    """Images (N, C, H, W) of grey levels, or a table (N, D) of categories, uint8, from 0; or real
    variables, float32, in [0, 1]; or a table of mixed columns, float32, as `zoo_core.data.columns`
    encodes it."""
    levels: int | None
    """Number of values that a variable takes: 256 for images, 2 for binary tables; None where they
    are real."""
    labels: Tensor | None = None
    """Class of each row, (N,), int64; or what a trainer made of its caption, (N, …)."""
    classes: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """Caption of each row, where there are any."""
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the values of each attribute, where a row's label is the number that its attributes
    make, the last one changing fastest."""
    columns: tuple[Column, ...] = ()
    """What each variable of a table is, where that is known."""
    cells: Cells | None = None
    """The cells of a user's rows as they were in their file, to be given back."""

    @property
    def holds(self) -> str:
        """What its variables are, in words."""
        if self.levels is not None:
            return f"{self.levels} categories"
        if self.columns:
            return "mixed columns"
        return "real numbers" if bool(self.x.isfinite().all()) else "NaN or infinity"

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one row: (C, H, W) or (D,)."""
        return tuple(self.x.shape[1:])

    @cached_property
    def digest(self) -> str:
        """sha256 of the shape and the bytes of x."""
        sha = hashlib.sha256(str(tuple(self.x.shape)).encode())
        for rows in range(0, len(self), 4096):
            sha.update(self.x[rows : rows + 4096].numpy().tobytes())
        return sha.hexdigest()

    def __len__(self) -> int:
        return len(self.x)

    @overload
    def __getitem__(self, rows: int) -> Row: ...

    @overload
    def __getitem__(self, rows: slice | Tensor) -> Dataset: ...

    def __getitem__(self, rows: int | slice | Tensor) -> Row | Dataset:
        """One row as floats, with its label where there is one; or several, as a data set.

        rows: the place of one; or a slice, or places, (n,), int64, or which, (N,), bool.
        """
        if not isinstance(rows, slice | Tensor):
            return self._row(operator.index(rows))
        if isinstance(rows, Tensor) and rows.dtype == torch.bool:
            if rows.shape != (len(self),):
                raise InvalidInput(
                    f"{self.name} is asked for rows by truth values {tuple(rows.shape)}; expected "
                    f"one for each of its {len(self):,} rows."
                )
            rows = rows.nonzero().flatten()
        labels = None if self.labels is None else self.labels[rows]
        places = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        texts = tuple(self.texts[i] for i in places) if self.texts else ()
        cells = self.cells and self.cells.take(places)
        return replace(self, x=self.x[rows], labels=labels, texts=texts, cells=cells)

    def _row(self, place: int) -> Row:
        if not -len(self) <= place < len(self):  # ends an iteration too
            raise IndexError(f"{self.name} has no row {place}: it has {len(self):,}")
        x = self.floats(torch.tensor(place))
        if self.labels is None:
            return x
        label = self.labels[place]
        return x, label if label.ndim else int(label)

    def column(self, attribute: str) -> Tensor:
        """The place of each row's value among those of an attribute, (N,), int64.

        Raises UnknownName for an attribute that the data do not have.
        """
        if attribute not in self.attributes or self.labels is None:
            has = f"It has {', '.join(self.attributes)}." if self.attributes else "It has none."
            raise UnknownName(f"{self.name} has no attribute {attribute!r}. {has}")
        sizes = [len(values) for values in self.attributes.values()]
        place = list(self.attributes).index(attribute)
        return torch.unravel_index(self.labels, sizes)[place]

    def floats(self, index: Tensor | slice | None = None) -> Tensor:
        """The rows of `index`, or all of them, as float32 in [0, 1]."""
        x = self.x if index is None else self.x[index]
        return x.clone() if self.levels is None else x.float().div_(self.levels - 1)

    def _repr_png_(self) -> bytes | None:
        """Its first 32 images, for a notebook; None for a table."""
        if len(self.event_shape) != 3 or not len(self):
            return None
        from PIL import Image

        n, columns = min(32, len(self)), min(8, len(self))
        tiles = functional.pad(self.floats(slice(n)), (0, 1, 0, 1), value=0.5)
        tiles = functional.pad(tiles, (0, 0, 0, 0, 0, 0, 0, -n % columns), value=0.5)
        wide = tiles.unflatten(0, (-1, columns)).permute(0, 3, 1, 4, 2)  # rows, H, columns, W, C
        pixels = wide.flatten(2, 3).flatten(0, 1).mul(255).byte().expand(-1, -1, 3)
        picture, written = Image.fromarray(pixels.numpy()), io.BytesIO()
        scale = max(1, 64 // max(self.event_shape[1:]))
        picture.resize((scale * picture.width, scale * picture.height), 0).save(written, "png")
        return written.getvalue()

    def _repr_html_(self) -> str | None:
        """Its first rows, for a notebook; None for images."""
        if len(self.event_shape) == 3:
            return None
        from zoo_core.data.columns import cells_of

        cells = cells_of(self[:20])
        rows = [
            [f"{cell:g}" if isinstance(cell, float) else cell for cell in row]
            for row in zip(*cells.columns, strict=True)
        ]
        return html_table(cells.names, rows, len(self) - len(rows))
