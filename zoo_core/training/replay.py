"""Replay: an entry trained again by its own recipe, and held against the registry bit by bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo_core.files import digest
from zoo_core.header import read_header
from zoo_core.registry import Entry, Registry
from zoo_core.store import Store

__all__ = ["Replay", "compare", "replay"]

_PROVENANCE = "zoo"
"""Key of the metadata in which weights say of themselves what they are."""


@dataclass(frozen=True)
class Replay:
    """What came of training an entry again."""

    entry: Entry
    path: Path
    """The weights of this time."""
    same_file: bool
    """Whether their sha256 is the registry's."""
    same_weights: bool
    """Whether every tensor is, bit by bit, also where the file says other versions."""
    parted: tuple[str, ...]
    """Where the two trainings are not the same: data, versions, recipe."""
    tensors: Mapping[str, float]
    """The largest difference in each tensor that is another; infinite for another shape."""

    @property
    def verdict(self) -> str:
        """One sentence."""
        name = self.entry.name
        if self.same_file:
            return f"{name} is reproduced: its file is the registry's, byte by byte."
        if self.same_weights:
            return f"{name} is reproduced: its weights are the registry's, bit by bit."
        worst = max(self.tensors, key=lambda key: self.tensors[key])
        return (
            f"{name} is not reproduced: {len(self.tensors)} tensors differ, by up to "
            f"{self.tensors[worst]:.3g} in {worst}."
        )


def replay(name: str, **settings: Any) -> Replay:
    """Train an entry again by its own recipe, and compare.

    settings: those of `zoo_core.train` that say where and how it runs, such as output and device.

    Raises what `zoo_core.train` and the store raise.
    """
    from zoo_core.training.train import train

    entry = Registry.load().lookup(name)
    # the run's name is in the file, and is that of its folder
    settings = {"output": Path("runs") / "replay" / entry.name} | settings
    run = train(like=entry.name, **settings)
    return compare(entry, Store().fetch(entry.blob), run.folder / "model.safetensors")


def compare(entry: Entry, published: Path, path: Path) -> Replay:
    """Hold the weights of a replay against those of the registry."""
    tensors = _differences(published, path)
    parted = tuple(_parted(_metadata(published), _metadata(path)))
    same = digest(path) == entry.weights.sha256
    return Replay(entry, path, same, not tensors, parted, tensors)


def _differences(published: Path, path: Path) -> dict[str, float]:
    from safetensors.torch import load_file

    ours, theirs = load_file(path), load_file(published)
    found = {}
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
            found[name] = float("inf")
        elif not torch.equal(_bits(a), _bits(b)):
            found[name] = (a.double() - b.double()).abs().max().item()
    return found


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor: NaN is not NaN, and 0 is -0."""
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def _parted(published: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
    """Each thing that the two say of themselves and that decides weights."""
    found = []
    for key, what in (("data_sha256", "the training data"), ("recipe_sha256", "the recipe")):
        if published.get(key) != again.get(key):
            found.append(f"{what}: sha256 {published.get(key)} then, {again.get(key)} now")
    then, now = published.get("versions", {}), again.get("versions", {})
    others = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    found += [f"{name}: {then.get(name)} then, {now.get(name)} now" for name in others]
    return found


def _metadata(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(read_header(path).metadata.get(_PROVENANCE, "{}"))
    return said
