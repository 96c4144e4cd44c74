"""What was done to the data, said on stderr, each thing once."""

import sys
from functools import cache

__all__ = ["note"]


@cache
def note(text: str) -> None:
    """Say it, unless this process has said it before."""
    print(text, file=sys.stderr)  # noqa: T201  # the core's one way to speak outside the commands
