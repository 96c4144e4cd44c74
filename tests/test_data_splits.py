"""Names of splits, and which rows are in which where a source does not say it."""

import pytest

from zoo_core.data.splits import choose, find_split, parse_split
from zoo_core.errors import InvalidInput

KEYS = [f"{i}.png" for i in range(100)]
SPLITS = ("train", "validation", "test")


def test_names_of_splits() -> None:
    assert [find_split(name) for name in ("Training", "VAL", "valid", "test", "cat")] == [
        "train", "validation", "validation", "test", None
    ]  # fmt: skip
    assert parse_split("val") == "validation"
    with pytest.raises(InvalidInput) as caught:
        parse_split("tets")
    expected = "split 'tets' is unknown: expected train, validation, test. Did you mean test?"
    assert str(caught.value) == expected


def test_a_name_keeps_its_split_when_others_come() -> None:
    def test_rows(n: int) -> set[str]:
        keys = [f"{i}.png" for i in range(n)]
        return {keys[i] for i in choose("x", {"train": range(n)}, keys, "test")}

    assert len(test_rows(1000) & test_rows(1010)) >= 49


def test_rows_without_splits_are_shared_out_in_their_order(
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = [choose("x", {"train": range(100)}, KEYS, split) for split in SPLITS]
    assert [len(part) for part in parts] == [90, 5, 5]
    assert sorted(row for part in parts for row in part) == list(range(100))
    assert all(part == sorted(part) for part in parts)
    said = "x: shared out 90/5/5 % into train, validation and test by a hash of the names\n"
    assert capsys.readouterr().err == said


def test_rows_of_one_name_stay_together() -> None:
    keys = [f"{i // 4}" for i in range(100)]
    for split in SPLITS:
        rows = choose("x", {"train": range(100)}, keys, split)
        assert all(rows.count(4 * (row // 4) + i) == 1 for row in rows for i in range(4))


def test_train_lends_validation_but_never_test(capsys: pytest.CaptureFixture[str]) -> None:
    own = {"train": range(80), "test": range(80, 100)}
    train, validation, test = (choose("x", own, KEYS, split) for split in SPLITS)
    assert (len(train), len(validation), test) == (76, 4, list(range(80, 100)))
    assert sorted(train + validation) == list(range(80))
    said = "x: has no validation split; 5 % of train, by a hash of the names, stand in\n"
    assert capsys.readouterr().err == said
    with pytest.raises(InvalidInput, match=r"^x has no test split; it has train, validation\.$"):
        choose("x", {"train": [0], "validation": [1]}, KEYS, "test")


def test_two_rows_are_too_few() -> None:
    with pytest.raises(InvalidInput, match=r"^x has 2 rows: too few to take three splits from\.$"):
        choose("x", {"train": range(2)}, KEYS, "train")
