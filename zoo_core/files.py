"""Files: those that a user names are read with care, and ours are written whole or not at all.

A named pipe waits for a writer for ever and `/dev/zero` never ends: whatever is read whole is a
regular file, and no longer than its reader allows. What is wrong is an OSError, so that each caller
says it in the words, and by the error, of what it was about to read.

What is written has another name until its last byte is on the disk, so that neither a crash nor
another process meets half of it.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from zoo_core.errors import DiskError, InvalidInput, ZooError
from zoo_core.text import argument, printable, quoted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FULL",
    "SCRATCH",
    "atomic",
    "check_place",
    "check_regular",
    "digest",
    "exists",
    "is_empty",
    "make_folder",
    "open_regular",
    "publish",
    "read_limited",
    "refusal",
    "save_tensors",
    "unwritten",
    "user_path",
    "write_atomic",
]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""What the system says of a disk that is full, or is not written to."""

SCRATCH = ".writing-"
"""How the names of unfinished files begin; a process that is killed leaves them behind."""

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError, before anything is opened, unless there is a regular file or a folder."""
    mode = os.stat(path).st_mode  # noqa: PTH116 - a start reads hundreds of files; Path costs more
    for is_kind, kind in _KINDS:
        if is_kind(mode):
            raise OSError(errno.EINVAL, f"it is {kind}, and only regular files are read", str(path))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; raises OSError for anything else."""
    check_regular(path)
    return open(path, "rb")  # noqa: PTH123 - as above


def read_limited(path: str | os.PathLike[str], limit: int) -> bytes:
    """The bytes of a regular file; raises OSError for more than `limit` of them, unread."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size  # what the file has now: it may grow
        data = file.read(size + 1) if size <= limit else b""
        if len(data) > size:
            data += file.read(limit - size)
    if max(size, len(data)) > limit:
        reason = f"it has more than the {limit:,} bytes that are read"
        raise OSError(errno.EFBIG, reason, str(path))
    return data


def digest(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file."""
    import hashlib

    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is something; nothing is where a path is too long or in a closed folder."""
    return os.path.exists(path)  # noqa: PTH110 - that of Path raises for such a path


def is_empty(folder: Path) -> bool:
    """Whether a folder holds nothing but unfinished files, of a process at work or a killed one."""
    return all(path.name.startswith(SCRATCH) for path in folder.iterdir())


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path as a user writes it, with `~` for a home; raises InvalidInput for an unknown user."""
    text = os.fspath(path)
    whole = os.path.expanduser(text)  # noqa: PTH111 - Path drops the ./ that means a plain name
    if whole.startswith("~") and not os.path.lexists(whole):
        user = text.partition("/")[0]
        raise InvalidInput(
            f"{quoted(text)}: there is no user {quoted(user[1:])} with a home folder here."
        )
    return Path(whole)


@contextmanager
def atomic(path: Path, *, exclusive: bool = False) -> Iterator[Path]:
    """Yield the path of a scratch file, which becomes `path` when the block ends without an error.

    exclusive: never overwrite: raises FileExistsError where something has the name by then.
    """
    from shutil import rmtree  # slow to import, and most starts write nothing

    # in the same folder, hence on the same file system; the name keeps its suffix
    scratch = path.parent / f"{SCRATCH}{os.urandom(8).hex()}"
    scratch.mkdir(0o700)
    try:
        partial = scratch / path.name
        try:
            yield partial
        except OSError as error:  # the name that a user knows
            if error.filename == str(partial):
                error.filename = str(path)
            raise
        if exclusive:
            _take_name(partial, path)
        publish(partial, path)
    finally:
        with suppress(FileNotFoundError):
            rmtree(scratch)


def write_atomic(path: Path, data: bytes, *, exclusive: bool = False) -> None:
    """Write a file whole, as `atomic` does."""
    with atomic(path, exclusive=exclusive) as partial:
        partial.write_bytes(data)


def save_tensors(
    tensors: Mapping[str, "Tensor"], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write tensors as safetensors, readable by all; raises OSError, as any writing does."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file(dict(tensors), path, metadata)
    except SafetensorError as error:  # which has the system's number in its text alone
        if number := re.search(r"(?:os error|code:) (\d+)", str(error)):
            raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
        raise
    path.chmod(0o644)  # the library gives it to its owner alone


def check_place(path: Path) -> None:
    """Raise InvalidInput, before any work is done for it, where a file can have no such path."""
    if not path.parent.is_dir():
        raise InvalidInput(
            f"cannot write {path}: the folder {path.parent} does not exist. "
            "Make it first, or give another path."
        )
    if path.is_dir():
        raise InvalidInput(f"cannot write {path}: it is a folder. Give the path of a file.")
    if not os.access(path.parent, os.W_OK):
        raise InvalidInput(f"cannot write {path}: the folder {path.parent} is read-only.")


def make_folder(path: Path) -> None:
    """Make a folder to write into, with those above it, unless it is there.

    Raises InvalidInput for what is no folder, and ZooError where none can be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidInput(
            f"cannot write into {printable(path)}: it is, or lies below, a file. "
            f"Give a folder ({argument('output', flag='-o')})."
        ) from error
    except OSError as error:
        raise refusal(error)(
            f"cannot make the folder {printable(path)}: {error.strerror}. "
            f"Give another ({argument('output', flag='-o')})."
        ) from error


def refusal(error: OSError) -> type[ZooError]:
    """What the system's refusal is: a full disk, bad input, or another error."""
    if error.errno in FULL:
        return DiskError
    return InvalidInput if error.errno == errno.ENAMETOOLONG else ZooError


def unwritten(path: Path, error: OSError) -> ZooError:
    """The error that says why a file could not be written."""
    return refusal(error)(f"cannot write {printable(path)}: {error.strerror or error}.")


def publish(partial: Path, path: Path) -> None:
    """Give a complete file of the same file system its final name, through to the disk."""
    _sync(partial)
    partial.replace(path)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        _sync(path.parent, os.O_RDONLY)


def _take_name(partial: Path, path: Path) -> None:
    _sync(partial)
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: an empty file takes the name first
        path.open("xb").close()


def _sync(path: Path, access: int = os.O_RDWR) -> None:
    number = os.open(path, access)
    try:
        os.fsync(number)
    finally:
        os.close(number)
