"""The names of splits, and which rows belong to which, for sources that do not say it."""

import hashlib
from collections.abc import Mapping, Sequence

from zoo_core.data.notes import note
from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.text import quoted

__all__ = ["SPLITS", "choose", "find_split", "parse_split"]

SPLITS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "val"),
    "test": ("test",),
}
"""Each split with the names that files, folders, tables and users give it."""


def find_split(name: str) -> str | None:
    """The split that a name stands for, in any case, or None."""
    return next((split for split, names in SPLITS.items() if name.lower() in names), None)


def parse_split(name: str) -> str:
    """The split that a user names.

    Raises InvalidInput for an unknown one.
    """
    split = find_split(name)
    if split is None:
        raise InvalidInput(
            f"split {quoted(name)} is unknown: expected {', '.join(SPLITS)}."
            f"{did_you_mean(name, SPLITS)}"
        )
    return split


def choose(
    name: str, own: Mapping[str, Sequence[int]], keys: Sequence[str], split: str
) -> list[int]:
    """Places of the rows of a split.

    Args:
        name: of the data set, for messages.
        own: places of the rows of each split that the source has; only train when it has none.
        keys: the name of each row; rows of one name stay together.
        split: the one that is wanted.

    A source without splits is shared out 90/5/5 % by a hash of the keys, so that a row keeps its
    split when others come or go. One with train but without validation lends it 5 % of train.
    """
    lends = "train" in own and "validation" not in own
    if split in own and not (split == "train" and lends):
        return list(own[split])
    alone = set(own) == {"train"}
    if not lends or (split == "test" and not alone):
        raise InvalidInput(f"{name} has no {split} split; it has {', '.join(own)}.")
    shares = _shares({keys[i] for i in own["train"]})
    wanted = shares[split]
    if alone:
        note(f"{name}: shared out 90/5/5 % into train, validation and test by a hash of the names")
    else:
        note(f"{name}: has no validation split; 5 % of train, by a hash of the names, stand in")
        wanted = wanted | shares["test"] if split == "train" else wanted
    rows = [i for i in own["train"] if keys[i] in wanted]
    if not rows:
        raise InvalidInput(
            f"{name} has {len(own['train'])} rows: too few to take three splits from."
        )
    return rows


def _shares(keys: set[str]) -> dict[str, set[str]]:
    by_hash = sorted(keys, key=_hash)
    n = max(1, len(keys) * 5 // 100)
    return {
        "test": set(by_hash[:n]),
        "validation": set(by_hash[n : 2 * n]),
        "train": set(by_hash[2 * n :]),
    }


def _hash(key: str) -> bytes:
    # a file's name may be no Unicode
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
