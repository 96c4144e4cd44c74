"""What is said of data: once, with the first few names and a count of the rest."""

from collections import Counter

import pytest

from zoo_core.data.notes import list_names, note, note_done, note_skipped


def test_a_note_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("one", "two", "one"):
        note(text)
    assert capsys.readouterr() == ("", "one\ntwo\n")


def test_five_names_are_listed_and_the_rest_is_counted() -> None:
    assert list_names(["a", "b\n"]) == "a, b\\n"
    assert list_names(range(5)) == "0, 1, 2, 3, 4"
    assert list_names(range(7)) == "0, 1, 2, 3, 4 and 2 more"


@pytest.mark.parametrize(
    ("total", "done", "text"),
    [
        (1, {"turned": 1, "made grey": 1}, "a.png: made grey; turned\n"),
        (9, {"turned": 2, "made grey": 3}, "a.png: of 9 images, 3 made grey; 2 turned\n"),
        (9, {}, ""),
    ],
)
def test_what_was_done_is_counted(
    total: int, done: dict[str, int], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    note_done("a.png", total, Counter(done))
    assert capsys.readouterr().err == text


def test_skipped_files_are_named_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    note_skipped("here", [])
    note_skipped("here", [f"{i}.png (cut)" for i in range(6)])
    named = ", ".join(f"{i}.png (cut)" for i in range(5))
    text = f"here: skipped 6 that could not be read as images: {named} and 1 more\n"
    assert capsys.readouterr().err == text
