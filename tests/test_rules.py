"""Rules of values: what is accepted, and the message for what is not."""

from collections.abc import Callable

import pytest

from zoo_core.errors import InvalidInput
from zoo_core.rules import Rule, check_table, is_int, is_line, is_number, is_plain, matching

NAME = Rule("a line of text", is_line)
RULES = {
    "name": NAME,
    "size": Rule("a whole number", is_int, required=False),
    "weights": Rule("a table", lambda value: isinstance(value, dict), False, {"url": NAME}),
    "metrics": Rule("tables", lambda value: isinstance(value, list), False, {"name": NAME}),
}


@pytest.mark.parametrize(
    ("test", "accepted", "refused"),
    [
        (is_line, ["a", "é"], ["", "  ", "a\nb", "\x1b[2J", 3]),
        (is_int, [0, -(2**63), 2**63 - 1], [True, 1.0, "1", 2**63]),
        (is_number, [1, 0.5], [float("nan"), float("inf"), True, "1"]),
        (is_plain, [{"a": [1, "b", {"c": True}]}, []], [{"a": object()}, [None], {"a": 1e999}]),
        (matching("[a-z]+"), ["abc"], ["abc1", "", 3]),
    ],
)
def test_values(
    test: Callable[[object], bool], accepted: list[object], refused: list[object]
) -> None:
    assert all(map(test, accepted)) and not any(map(test, refused))


def test_a_table_that_fits_passes() -> None:
    table = {"name": "a", "size": 3, "weights": {"url": "x"}, "metrics": [{"name": "b"}]}
    check_table(table, RULES, "here.toml")
    check_table({"name": "a"}, RULES, "here.toml")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"nam": "a"}, "unknown key 'nam'. Did you mean name?"),
        ({}, "name is missing; expected a line of text"),
        ({"name": "a", "size": "3"}, "size is '3'; expected a whole number"),
        ({"name": "a", "weights": {}}, "weights.url is missing; expected a line of text"),
        ({"name": "a", "weights": {"url": 3}}, "weights.url is 3; expected a line of text"),
        ({"name": "a", "metrics": [{"name": "b"}, {}]}, "metrics[1].name is missing"),
    ],
)
def test_a_table_that_does_not_fit_says_where(table: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_table(table, RULES, "here.toml")
    assert str(caught.value).startswith("here.toml: ") and text in str(caught.value)
