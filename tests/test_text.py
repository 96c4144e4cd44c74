"""What is shown of text that is not ours, and what a shell makes of commands that are advised."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo_core.errors import did_you_mean
from zoo_core.text import (
    LIMIT,
    argument,
    command_line,
    counted,
    flags_in_messages,
    hidden,
    html_table,
    printable,
    quoted,
)

FOREIGN = [
    "\x1b[31mred\x1b[0m",
    "two\nlines\r\tand\0more",
    "x" * 10_000,
    "\x9b" * 10_000,
    "not Unicode \udcff",
    "half of a pair \ud800",
    "\u202eesrever",
    10**10_000,
    [10**10_000],
    b"\x1b" * 1000,
    ValueError("a\n\tb\x07"),
    Path("a\x1bb/\udcff"),
    None,
    {"\x1b": float("nan")},
]


@pytest.mark.parametrize("place", range(len(FOREIGN)))  # pytest cannot name such values itself
@pytest.mark.parametrize("show", [printable, quoted])
def test_whatever_is_shown_is_one_short_line_of_characters_that_print(
    show: Callable[[object], str], place: int
) -> None:
    text = show(FOREIGN[place])
    assert text.isprintable()
    assert len(text) <= LIMIT
    assert len(text.encode()) <= 4 * LIMIT, "it is Unicode"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("nade.mnist", "nade.mnist"),
        ("größe 40 €, 寸", "größe 40 €, 寸"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\nb", r"a\nb"),
        ("a\udcff", r"a\udcff"),
        (17, "17"),
        (ValueError("shape\n\t (2, 3)"), "shape (2, 3)"),
    ],
)
def test_printable(value: object, text: str) -> None:
    assert printable(value) == text


def test_quoted_marks_a_text_as_repr_does() -> None:
    assert quoted("a b") == "'a b'"
    assert quoted("a\x1bb") == r"'a\x1bb'"
    assert quoted(["F32"]) == "['F32']"


def test_the_middle_is_cut_and_the_ends_stay() -> None:
    assert printable("abcdefghij", 5) == "ab…ij"
    assert printable("abcdefghij", 10) == "abcdefghij"
    assert printable("x" * 1000, None) == "x" * 1000
    path = "/home/me/" + "deep/" * 100 + "a.png"
    assert printable(path).startswith("/home/me/deep/")
    assert printable(path).endswith("/deep/a.png")


def test_a_number_that_python_refuses_to_print_is_named() -> None:
    assert printable(10**10_000) == "a number with thousands of digits"


def test_a_class_whose_text_fails_is_named() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

    assert printable(Broken()) == "a value of type Broken that cannot be shown"


def test_near_matches_are_printable_and_a_page_is_no_near_match() -> None:
    assert did_you_mean("nad", ["nade"]) == " Did you mean nade?"
    assert did_you_mean("nad", ["nad\x1b[2J"]) == r" Did you mean nad\x1b[2J?"
    assert did_you_mean("x" * 100_000, ["x" * 99_999]) == ""


@pytest.mark.parametrize(
    "words",
    [
        ("zoo", "rm", "nade.mnist"),
        ("zoo-x>=1'; touch x; echo '",),
        ("$(touch x)", "`touch x`", "a b", "", "~", "*", "!1"),
        ("a\nb", "tab\t'quote' \\back", "\x1b[2J"),
        ("not Unicode \udcff", "größe\n"),
    ],
)
def test_a_shell_takes_a_command_apart_into_its_words(words: tuple[str, ...]) -> None:
    line = command_line(*words)
    assert line.isprintable()
    code = "import os, sys; sys.stdout.buffer.write(b'|'.join(map(os.fsencode, sys.argv[1:])))"
    script = f"{command_line(sys.executable, '-c', code)} {line}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout == b"|".join(map(os.fsencode, words))


def test_an_argument_is_a_flag_in_commands_and_a_keyword_in_python() -> None:
    said = [
        lambda: argument("force", True),
        lambda: argument("data_root"),
        lambda: argument("steps", 9),
        lambda: argument("prompts", "a face", "--prompt"),
    ]
    python = ["force=True", "data_root", "steps=9", "prompts='a face'"]
    assert [one() for one in said] == python
    with flags_in_messages():
        assert [one() for one in said] == [
            "--force", "--data-root", "--steps 9", "--prompt 'a face'"
        ]  # fmt: skip
    assert [one() for one in said] == python


def test_a_table_for_a_notebook_is_escaped_and_cut() -> None:
    html = html_table(["<b>"], [["\x1b[31m"], ["x" * 999]], 1)
    assert "<th>&lt;b&gt;</th>" in html and "\x1b" not in html and "x" * 400 not in html
    assert html.count("<tr>") == 3 and html.endswith("<p>and 1 more</p>")


@pytest.mark.parametrize("show", [printable, quoted])
def test_what_is_secret_in_an_address_is_not_shown(show: Callable[[object], str]) -> None:
    text = "data http://me:secret@a.org/rows.csv?sig=secret" + "x" * 1000
    assert show(text).strip("'").startswith("data http://…@a.org/rows.csv?sig=…")
    assert "secret" not in show(ValueError(text))


def test_a_text_of_many_addresses_is_shown_in_no_time() -> None:
    assert len(printable("a://" + "?" * 10**6, None)) == 10**6 + 4
    assert len(printable("a://b" * 10**6)) == 300


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a/b?c=d@e", "a/b?c=d@e"),
        ("https://a.org/b", "https://a.org/b"),
        ("https://me:secret@a.org/b", "https://…@a.org/b"),
        ("s3://b/c?token=secret&v=secret", "s3://b/c?token=…&v=…"),
        (
            "GET 'https://x@a.org/?s=x' and https://y@b",
            "GET 'https://…@a.org/?s=…' and https://…@b",
        ),
        ("https://a.org/u@v", "https://a.org/u@v"),
        ("https://me:p@ss@a.org/x", "https://…@a.org/x"),
        ("https://a.org/?s=a'b\"c&t=d, or", "https://a.org/?s=…&t=…, or"),
        ("(https://a.org/?s=ab).", "(https://a.org/?s=…)."),
    ],
)
def test_what_is_secret_in_an_address_is_hidden(text: str, shown: str) -> None:
    assert hidden(text) == shown


def test_things_are_counted_in_words() -> None:
    assert [counted(n, "row") for n in (0, 1, 2, 2000)] == [
        "0 rows",
        "1 row",
        "2 rows",
        "2,000 rows",
    ]
