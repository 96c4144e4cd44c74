"""The record of a column, and the columns by which a model takes tables."""

import pytest
from torch import nn

from zoo_core.columns import Column, set_columns, table_columns, takes_missing
from zoo_core.errors import InvalidInput

YES = Column("yes", "binary", ("no", "yes"), required=True)
AGE = Column("age", "real", mean=40.0, std=10.0, knots=(20.0, 60.0), decimals=1)


@pytest.mark.parametrize("column", [YES, AGE, Column("job", "categorical", ("clerk",))])
def test_a_column_is_what_its_table_says(column: Column) -> None:
    assert Column.of(column.table()) == column
    assert ("required" in column.table()) == column.required


@pytest.mark.parametrize("change", [{"required": 1}, {"kind": "any"}, {"categories": ["a", "a"]}])
def test_a_table_that_is_not_sound(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="is no column; expected name, kind"):
        Column.of({**YES.table(), **change})


@pytest.mark.parametrize(
    ("categories", "required", "numbers"),
    [
        (("0", "1"), True, True),
        (("1", "12"), True, True),
        (("01", "1"), True, False),
        (("no", "1"), True, False),
        (("-1", "1"), True, False),
        (("0", "1"), False, True),
        ((str(2**53), "1"), True, True),
        ((str(2**53 + 1), "1"), True, False),
        (("9" * 5000, "1"), True, False),  # more digits than int() takes
    ],
)
def test_whole_numbers_are_given_back_as_such(
    categories: tuple[str, ...], required: bool, numbers: bool
) -> None:
    assert Column("a", "binary", categories, required=required).holds_numbers == numbers


def test_a_model_keeps_the_columns_that_it_is_built_with() -> None:
    model = nn.Linear(1, 1)
    assert table_columns(model) == () and not takes_missing(model)
    set_columns(model, [])
    assert not hasattr(model, "columns")
    set_columns(model, [YES])
    assert table_columns(model) == (YES,) and not takes_missing(model)
    set_columns(model, [AGE])
    assert table_columns(model) == (YES,)
    mixed = nn.Linear(1, 1)
    set_columns(mixed, [YES, AGE])
    assert takes_missing(mixed)
