"""Tables, numbers and JSON as the commands print them."""

import shutil
import sys
from collections.abc import Iterable, Sequence

import click

from zoo_core.text import finite

__all__ = ["align", "columns", "count", "echo_json", "size", "table", "width"]


def width() -> int:
    """Columns to fit into: the terminal's or `COLUMNS`; 0, no limit, when stdout is neither."""
    # The standard library falls back to stdin's and stderr's terminals, which a pipe does not fill.
    return shutil.get_terminal_size((0, 0)).columns


def table(head: Sequence[str], rows: Iterable[Sequence[str]], limit: int = 0) -> list[str]:
    """Align rows under a head; the last column is cut where lines exceed `limit` columns."""
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return [_cut(columns(line, widths), limit) for line in lines]


def columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Pad cells to their widths, two spaces apart."""
    return "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()


def align(pairs: Sequence[tuple[str, str]], indent: int = 0) -> list[str]:
    """Write each pair on a line, the second parts under one another."""
    widths = (max((len(first) for first, _ in pairs), default=0), 0)
    return [" " * indent + columns(pair, widths) for pair in pairs]


def count(number: float) -> str:
    """Shorten a count: 785 K, 1.2 M."""
    return _scale(number, "")


def size(number: float) -> str:
    """Shorten a number of bytes: 3.1 MB."""
    return _scale(number, "B")


def echo_json(value: object) -> None:
    """Print a value as JSON, with null for numbers that are not finite."""
    import json

    value = finite(value)
    document = json.dumps(value, indent=2, ensure_ascii=not _unicode())
    if any("\ud800" <= character <= "\udfff" for character in document):  # no part of UTF-8
        document = json.dumps(value, indent=2)
    click.echo(document)


def _scale(number: float, unit: str) -> str:
    prefix = ""
    for bigger in ("k" if unit else "K", "M", "G", "T"):
        if number < 999.5:
            break
        number, prefix = number / 1000, bigger
    digits = f"{number:.1f}" if prefix and number < 99.95 else f"{number:.0f}"
    return f"{digits.removesuffix('.0')} {prefix}{unit}".rstrip()


def _cut(line: str, limit: int) -> str:
    if not limit or len(line) <= limit:
        return line
    return line[: limit - 1] + "…" if _unicode() else line[: limit - 3] + "..."


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().startswith("utf")
