"""Files and paths that a user names, taken with care.

A named pipe waits for a writer for ever and `/dev/zero` never ends: whatever is read whole is a
regular file, and no longer than its reader allows. What is wrong is an OSError, so that each caller
says it in the words, and by the error, of what it was about to read.
"""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from zoo_core.errors import InvalidInput
from zoo_core.text import quoted

__all__ = ["check_regular", "open_regular", "read_limited", "user_path"]

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError, before anything is opened, unless there is a regular file or a folder."""
    mode = Path(path).stat().st_mode
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; raises OSError for anything else."""
    check_regular(path)
    return Path(path).open("rb")


def read_limited(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file; raises OSError for more than `limit` of them, unread."""
    with open_regular(path) as file:
        # the size is what the file has now: one byte past the limit tells whether it grew
        fits = os.fstat(file.fileno()).st_size <= limit
        data = file.read(limit + 1) if fits else b""
    if not fits or len(data) > limit:
        reason = f"it has more than the {limit:,} bytes that are read"
        raise OSError(errno.EFBIG, reason, str(path))
    return data


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as a user writes it, with `~` for a home; raises InvalidInput for nobody's home."""
    text = os.fspath(path)
    whole = os.path.expanduser(text)  # noqa: PTH111 - Path drops the ./ that means a plain name
    if whole.startswith("~") and not os.path.lexists(whole):
        user = text.partition("/")[0]
        raise InvalidInput(
            f"{quoted(text)}: there is no user {quoted(user[1:])} with a home folder here."
        )
    return Path(whole)
