"""Notes on what was done to the data, each printed to stderr once."""

import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache

from zoo_core.text import printable

__all__ = ["list_names", "note", "note_done", "note_skipped"]

_NAMED = 5


@cache
def note(text: str) -> None:
    """Print a note, unless this process has printed it before."""
    print(text, file=sys.stderr)  # noqa: T201  # the data layer's one way to speak


def list_names(names: Sequence[object]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(printable(name) for name in names[:_NAMED]) + more


def note_done(name: str, total: int, done: Counter[str]) -> None:
    """Say what was done to how many of a source's images."""
    if done and total == 1:
        note(f"{printable(name)}: {'; '.join(sorted(done))}")
    elif done:
        what = "; ".join(f"{count} {deed}" for deed, count in sorted(done.items()))
        note(f"{printable(name)}: of {total} images, {what}")


def note_skipped(name: str, skipped: Sequence[str]) -> None:
    """Name the first few files that could not be read, each with the reason, and count them all."""
    if skipped:
        count = len(skipped)
        text = f"skipped {count} that could not be read as images: {list_names(skipped)}"
        note(f"{printable(name)}: {text}")
