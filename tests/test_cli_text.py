import json
import math

import pytest

from zoo_core.cli import text


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1 K"),
        (1234, "1.2 K"),
        (785284, "785 K"),
        (999_499, "999 K"),
        (999_500, "1 M"),
        (12_345_678, "12.3 M"),
        (2e9, "2 G"),
    ],
)
def test_counts_are_short(number: float, shown: str) -> None:
    assert text.count(number) == shown


def test_json_has_no_nan_and_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    text.echo_json({"a": [math.nan, (1.5, -math.inf)], "b": math.inf, "c": "NaN", "d": 3})
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert document == {"a": [None, [1.5, None]], "b": None, "c": "NaN", "d": 3}


def test_sizes_have_their_unit() -> None:
    assert [text.size(n) for n in (12, 1234, 3_147_000)] == ["12 B", "1.2 kB", "3.1 MB"]
