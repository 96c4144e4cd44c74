"""What was done to the data, said on stderr, each thing once."""

import sys
from collections import Counter
from collections.abc import Sequence
from functools import cache

__all__ = ["note", "note_done", "note_skipped"]

_NAMED = 5


@cache
def note(text: str) -> None:
    """Say it, unless this process has said it before."""
    print(text, file=sys.stderr)  # noqa: T201  # the data layer's one way to speak


def note_done(name: str, total: int, done: Counter[str]) -> None:
    """Say what was done to how many of a source's images."""
    if done and total == 1:
        note(f"{name}: {'; '.join(sorted(done))}")
    elif done:
        what = "; ".join(f"{count} {deed}" for deed, count in sorted(done.items()))
        note(f"{name}: of {total} images, {what}")


def note_skipped(name: str, skipped: Sequence[str]) -> None:
    """Name the first few files that could not be read, and count them all."""
    if skipped:
        more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
        named = ", ".join(skipped[:_NAMED])
        note(f"{name}: skipped {len(skipped)} that could not be read as images: {named}{more}")
