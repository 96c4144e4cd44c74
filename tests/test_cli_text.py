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


def test_sizes_have_their_unit() -> None:
    assert [text.size(n) for n in (12, 1234, 3_147_000)] == ["12 B", "1.2 kB", "3.1 MB"]
