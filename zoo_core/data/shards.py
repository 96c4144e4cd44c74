"""Pictures in a tar file, as WebDataset and others keep them: each is read where it lies.

Of what a file holds pictures are taken by their suffix, in the order of the file; other members, as
labels and captions, are passed over.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from zoo_core.data.notes import list_names, note
from zoo_core.data.walk import is_hidden, is_image
from zoo_core.errors import InvalidInput
from zoo_core.files import check_regular, open_regular
from zoo_core.text import printable

__all__ = ["Held", "Member", "Picture", "find_members", "is_shard", "open_picture"]


class Member(NamedTuple):
    """A picture in a tar file."""

    shard: Path
    inside: str
    """Its path in the file."""
    start: int
    """Its first byte."""
    size: int

    @property
    def name(self) -> str:
        """The last part of its path."""
        return Path(self.inside).name

    def __str__(self) -> str:
        """Its path, as if the tar file were a folder."""
        return f"{self.shard}/{self.inside}"


Picture = Path | Member
"""A picture's file, or its place in one."""


class Held(NamedTuple):
    """A picture in memory, as its file would hold it."""

    data: bytes


def is_shard(path: Path) -> bool:
    """Whether a file's name says that it is a tar file."""
    return path.suffix.lower() == ".tar" and path.is_file()


def find_members(path: Path) -> list[Member]:
    """The pictures in a tar file, in its order; each name once, and of several the last.

    Those in hidden folders are left out, as of a folder; which these are is said.

    Raises InvalidInput for a file that is no tar, a compressed one, and one without any.
    """
    try:
        check_regular(path)
        with tarfile.open(path, "r:") as tar:
            found = {
                item.name: Member(path, item.name, item.offset_data, item.size)
                for item in tar
                if item.isreg() and is_image(Path(item.name))
            }
            with path.open("rb") as file:
                file.seek(tar.offset)
                if file.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
                    raise tarfile.ReadError("it has no end, as one that was cut")
        hidden = {name: folder for name in found if (folder := _hidden_above(name))}
    except (OSError, tarfile.TarError) as error:
        raise InvalidInput(
            f"{printable(path)} is not a readable tar file: {printable(error)}. A compressed one "
            "has to be unpacked, since its pictures are read where they lie."
        ) from error
    if hidden:
        folders = sorted({*hidden.values()})
        note(f"{printable(path)}: hidden folders are left out: {list_names(folders)}")
    members = [member for name, member in found.items() if name not in hidden]
    if not members:
        raise InvalidInput(f"{printable(path)} holds no image (png, jpg, webp, bmp, gif or tiff).")
    return members


def _hidden_above(name: str) -> str:
    """The first folder of a member's path that is hidden, with those above; empty for none."""
    folders = Path(name).parent.parts
    return next(
        (
            "/".join(folders[: i + 1])
            for i, folder in enumerate(folders)
            if folder != ".." and is_hidden(folder)
        ),
        "",
    )


def open_picture(picture: Picture | Held) -> BinaryIO:
    """Open a picture for reading; raises OSError."""
    if isinstance(picture, Path):
        return open_regular(picture)
    if isinstance(picture, Held):
        return io.BytesIO(picture.data)
    with open_regular(picture.shard) as file:
        file.seek(picture.start)
        return io.BytesIO(file.read(picture.size))
