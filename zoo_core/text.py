"""Foreign text, made safe to show: names, keys, paths, values and other errors' words.

A weights file, a registry or a folder may hold names with escape sequences, a megabyte long or that
are not Unicode, and a number of a million digits, which Python refuses to print. What a terminal or
a message shows of them goes through `printable` or `quoted`, which also hide what is secret in an
address; what a user is to paste into a shell goes through `command_line`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = [
    "LIMIT",
    "SHORT",
    "argument",
    "command_line",
    "counted",
    "finite",
    "flags_in_messages",
    "hidden",
    "html_table",
    "printable",
    "quoted",
    "slug",
]

LIMIT = 300
"""Characters after which a text is cut in the middle, where nothing else is said."""
SHORT = 100
"""The same of a value that an argument was given."""
_READ = 10_000
"""Characters of a text that is cut, of which any is looked at."""


def printable(value: object, limit: int | None = LIMIT) -> str:
    """What `{value}` shows, on one line: control characters escaped and at most `limit` long.

    Passwords and query values of addresses are left out.

    limit: characters; None cuts nothing.
    """
    text = _text(str, value)
    if isinstance(value, BaseException):  # libraries format theirs over several lines
        text = " ".join(text.split())
    return _shown(text, limit)


def quoted(value: object, limit: int | None = LIMIT) -> str:
    """What `{value!r}` shows, as `printable`."""
    return _shown(_text(repr, value), limit)


def hidden(text: str) -> str:
    """A text as it may be shown: addresses in it without passwords and without query values."""
    if "://" not in text:
        return text
    text = re.sub(r"(?<=://)[^/\s?#]+@", "…@", text)
    # up to the end of the address: quotation marks and stops behind it are the sentence's
    return re.sub(r"([?&][^=&?\s]*=)[^&\s]+?(?=['\"]?[.,;:)\]}]*(?:[&\s]|$))", r"\1…", text)


def counted(n: int, noun: str) -> str:
    """A number of things, as `1 input` and `2,000 inputs`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def slug(text: str) -> str:
    """A text as part of an entry's name: lower case, digits, dots and hyphens; `data` for none."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.") or "data"


def command_line(*words: object) -> str:
    """The words as one line that a shell takes apart into them again."""
    return " ".join(_quote(str(word)) for word in words)


def argument(name: str, value: object = None, flag: str = "") -> str:
    """An argument as messages name it: `--steps 9` in a command, `steps=9` in Python.

    name: the keyword. value: what was given, or is to be given; None for none.
    flag: what a command calls it, where that is not the keyword with hyphens.
    """
    if not _commanded:
        return name if value is None else f"{name}={quoted(value)}"
    flag = flag or f"--{name.replace('_', '-')}"
    if value is None or value is True:
        return flag
    if isinstance(value, dict):
        value = ",".join(f"{key}={item}" for key, item in value.items())
    return command_line(flag, printable(value))


_commanded = False
"""Whether messages are for someone who typed a command."""


@contextmanager
def flags_in_messages() -> Iterator[None]:
    """Let messages name arguments by their flags, as long as a command runs."""
    global _commanded
    before, _commanded = _commanded, True
    try:
        yield
    finally:
        _commanded = before


def finite(value: object) -> Any:
    """A value as JSON can hold it: null stands for NaN and infinities, of which it has none."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def html_table(head: Sequence[str], rows: Sequence[Sequence[object]], more: int = 0) -> str:
    """A table for a notebook, and how many more rows there are."""
    from html import escape

    lines = [
        f"<tr>{''.join(f'<{cell}>{escape(printable(value))}</{cell}>' for value in line)}</tr>"
        for cell, lines in (("th", [head]), ("td", rows))
        for line in lines
    ]
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return f"<table>{''.join(lines)}</table>{rest}"


def _text(show: Callable[[object], str], value: object) -> str:
    try:
        return show(value)
    except Exception:  # an integer past Python's limit, or the method of a stranger's class
        if isinstance(value, int):
            return "a number with thousands of digits"
        return f"a value of type {type(value).__name__} that cannot be shown"


def _shown(text: str, limit: int | None) -> str:
    if limit is not None:
        text = _cut(text, _READ)
    return _cut(_escape(_cut(hidden(text), limit)), limit)


def _cut(text: str, limit: int | None) -> str:
    """Leave the middle out: a path's end says as much as its beginning."""
    if limit is None or len(text) <= limit:
        return text
    end = (limit - 1) // 2
    return f"{text[: limit - 1 - end]}…{text[len(text) - end :]}"


def _escape(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _quote(word: str) -> str:
    if word.isprintable():
        import shlex

        return shlex.quote(word)
    # $'…' holds any byte, also those of a file name that is no Unicode
    return "$'" + "".join(map(_quote_character, word)) + "'"


def _quote_character(c: str) -> str:
    if c.isprintable():
        return f"\\{c}" if c in "\\'" else c
    return "".join(f"\\x{byte:02x}" for byte in c.encode("utf-8", "surrogateescape"))
