"""A table's column as a model's weights hold it, and those by which a model takes tables."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo_core.errors import InvalidInput
from zoo_core.text import quoted

__all__ = ["EXACT", "KINDS", "Column", "set_columns", "table_columns", "takes_missing"]

KINDS = ("binary", "categorical", "ordinal", "real")
"""What a column can be."""

EXACT = 2**53
"""Up to here all whole numbers are float64."""
_WHOLE = re.compile(r"0|[1-9][0-9]{0,15}")
"""A whole number's text, which it is read from and written as."""


@dataclass(frozen=True, slots=True)
class Column:
    """What a column of a table is."""

    name: str
    kind: str
    """One of KINDS."""
    categories: tuple[str, ...] = ()
    """Their texts, in the order of their numbers; none of a real column."""
    mean: float = 0.0
    std: float = 1.0
    """Of the training rows' values, where they are real."""
    knots: tuple[float, ...] = ()
    """Quantiles of the training rows' values, increasing, where they are real: the least, those
    that divide them into intervals of equal counts, and the greatest."""
    decimals: int = 6
    """Of the values that are decoded, where they are real."""
    required: bool = False
    """Whether no cell may be missing."""
    texts: bool = False
    """Whether its categories are texts, also where these are whole numbers."""

    @property
    def holds_numbers(self) -> bool:
        """Whether its categories are whole numbers of a float64, and are given back as such."""
        return not (self.texts or self.kind == "real") and all(
            _WHOLE.fullmatch(text) and int(text) <= EXACT for text in self.categories
        )

    @classmethod
    def of(cls, table: Mapping[str, object]) -> Column:
        """A column from the table that a config holds.

        Raises InvalidInput for one that is not sound.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        try:
            values: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}
            made = cls(**values)
            sound = made._is_sound()
        except TypeError:
            sound = False
        if not sound:
            raise InvalidInput(
                f"columns: {quoted(dict(table))} is no column; expected {', '.join(known)}: a "
                f"name, a kind ({', '.join(KINDS)}), and categories or a mean with a std above 0."
            )
        return made

    def table(self) -> dict[str, Any]:
        """The column as a config holds it: without what its kind does not have."""
        said = ("mean", "std", "knots", "decimals") if self.kind == "real" else ("categories",)
        values = {key: getattr(self, key) for key in ("name", "kind", *said)}
        values |= {key: True for key in ("required", "texts") if getattr(self, key)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    def _is_sound(self) -> bool:
        numbers = (self.mean, self.std, self.decimals, *self.knots)
        return (
            isinstance(self.name, str)
            and self.kind in KINDS
            and isinstance(self.required, bool)
            and isinstance(self.texts, bool)
            and all(isinstance(text, str) for text in self.categories)
            and len(set(self.categories)) == len(self.categories)
            and all(isinstance(v, int | float) and math.isfinite(v) for v in numbers)
            and self.std > 0
            and all(a < b for a, b in zip(self.knots, self.knots[1:], strict=False))
            and (self.kind == "real") == (not self.categories)
        )


def table_columns(model: object) -> tuple[Column, ...]:
    """The columns by which a model takes the rows of tables; none where it takes them by place."""
    columns: tuple[Column, ...] = getattr(model, "columns", ())
    return columns


def set_columns(model: object, columns: Sequence[Column]) -> None:
    """Give a model the columns that it takes tables by, where it has none of its own."""
    if columns and not table_columns(model):
        object.__setattr__(model, "columns", tuple(columns))  # past a class's own __setattr__


def takes_missing(model: object) -> bool:
    """Whether a model takes a table's rows of which cells are missing."""
    return any(not column.required for column in table_columns(model))
