from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo_core.errors import InvalidInput
from zoo_core.registry import Entry, Registry
from zoo_core.where import where


@pytest.fixture
def found(entry: Callable[..., dict[str, Any]], write_registry: Callable[..., Path]) -> Entry:
    return Registry.load([write_registry(entry())]).lookup("nade")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("params<5M", True),
        ("params < 785.284K", False),
        ("params <= 785.284K", True),
        ("params==785284", True),
        ("params>1G", False),
        ("bytes >= 12 and year > 2010", True),
        ("test_nll<90", True),
        ("test_nll < 8.61e1", False),
        ("params<5M and test_nll<90", True),
        ("params>5M or test_nll<90", True),
        ("params>5M and test_nll<90 or year=2011", True),
        ("params>5M and (test_nll<90 or year=2011)", False),
        ("not params>5M", True),
        ("not (params<5M and year==2011)", False),
        ("not not year!=2012", True),
        ("name == 'nade.mnist'", True),
        ('family != "latent" and data == "mnist"', True),
        ("architecture == 'or'", False),
        ("name == 'nade\\n'", False),
        ("year\n> -5", True),
        ("fid<10", False),
        ("fid>=10", False),
    ],
)
def test_conditions(found: Entry, condition: str, expected: bool) -> None:
    assert where(condition, ["test_nll", "fid"])(found) is expected


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        (
            "paras<5M",
            "unknown name 'paras'. Did you mean params? Allowed: params, bytes, year, name",
        ),
        ("test_nil<5", "unknown name 'test_nil'. Did you mean test_nll?"),
        ("params<big", "params is compared with big; expected a number such as 90 or 5M"),
        ("params<5T", "'5T' is not understood; expected comparisons such as year>2015"),
        ("params<True", "params is compared with True; expected a number"),
        ("data==mnist", "data is compared with mnist; quote it: data == 'mnist'"),
        ("data<'mnist'", "'<' after data; expected one of == !="),
        (
            "params 5",
            "'5' is not understood; expected comparisons such as year>2015, joined by and",
        ),
        ("params is 5", "'is' after params; expected one of < <= > >= == !="),
        ("params", "it ends after params, where one of < <= > >= == != was expected"),
        ("params<", "it ends where a name or a value was expected"),
        ("year>3 and", "it ends where a name or a value was expected"),
        ("", "it ends where a name or a value was expected"),
        ("(params<5", "a parenthesis is not closed"),
        (
            "params<5)",
            "')' is not understood; expected comparisons such as year>2015, joined by and",
        ),
        ("params<5 year>3", "'year' is not understood; expected comparisons"),
        ("name=='x", "''x' is not understood"),
        ("1<params<5", "'1 < params < 5' is not understood"),
        ("__import__('os').remove('x')", "__import__('os').remove('x')' is not understood"),
        ("params<5 # small", "'# small' is not understood"),
        ("params<" + "9" * 5000, "a number has thousands of digits"),
        ("not " * 100_000 + "year>3", "nested too deeply"),
        ("(" * 5000, "nested too deeply; use fewer parentheses"),
    ],
)
def test_what_is_not_understood_is_named(condition: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        where(condition, ["test_nll"])
    assert text in str(caught.value)
