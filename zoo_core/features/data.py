"""The emoji, each labelled by the style that it is drawn in and by the group that it belongs to."""

from __future__ import annotations

from pathlib import Path

from zoo_core.data import Dataset
from zoo_core.data.hub import load_hub
from zoo_core.errors import InvalidInput
from zoo_core.text import argument

__all__ = ["emoji_kinds"]

_COLUMNS = ("style", "group")


def emoji_kinds(split: str, root: Path) -> Dataset:
    """One split of `emoji`, whose labels are the number that style and group make.

    Raises InvalidInput where the folder of data sets has none.
    """
    folder = root / "emoji"
    if not folder.is_dir():
        raise InvalidInput(
            f"emoji-kinds are the images of the data set emoji, and {root} holds no such folder. "
            f"Give the folder that does as {argument('data_root')} or ZOO_DATA."
        )
    return load_hub("emoji-kinds", str(folder), split, size=None, gray=False, by=_COLUMNS)
