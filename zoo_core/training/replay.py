"""Replay: an entry trained again by its own recipe, and compared with the registry bit by bit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch

from zoo_core.errors import InvalidInput
from zoo_core.files import digest
from zoo_core.header import read_header
from zoo_core.registry import Entry, Registry
from zoo_core.store import Store
from zoo_core.text import argument
from zoo_core.training.checksums import read_checksums
from zoo_core.training.recipe import read_table

__all__ = ["Replay", "compare", "find_step", "replay"]

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
    figures: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Each metric that both files hold: the registry's, and that of this time."""
    machine: str = ""
    """The threads and the processor of this time, which decide last bits and no file keeps."""
    step: str = ""
    """Of other weights: the first step after which they were others, as far as it is known."""

    @property
    def verdict(self) -> str:
        """One sentence."""
        name = self.entry.name
        if self.same_file:
            return f"{name} is reproduced: its file is the registry's, byte by byte."
        if self.same_weights:
            return f"{name} is reproduced: its weights are the registry's, bit by bit."
        worst = max(self.tensors, key=lambda key: self.tensors[key])
        figures = "".join(
            f"; {key} is {now:g}, in the registry {then:g}"
            for key, (then, now) in self.figures.items()
        )
        return (
            f"{name} is not reproduced: {len(self.tensors)} tensors differ, by up to "
            f"{self.tensors[worst]:.3g} in {worst}{figures}."
        )


def replay(name: str, **settings: Any) -> Replay:
    """Train an entry again by its own recipe, and compare.

    settings: those of `zoo_core.train` that say where and how it runs, such as output and device.

    Raises InvalidInput for other threads than its recipe names, and what `zoo_core.train` and the
    store raise.
    """
    from zoo_core.training.train import recipe_of, train

    entry = Registry.load().lookup(name)
    threads = settings.pop("threads", None)
    own = read_table(recipe_of(entry)).get("threads", 0)
    if threads and own not in (0, threads):
        raise InvalidInput(
            f"the recipe of {entry.name} says {own} threads, and {argument('threads', threads)} "
            "would change it: leave it out."
        )
    # the run's name is in the file, and is that of its folder
    settings = {"output": Path("runs") / "replay" / entry.name} | settings
    with _threads(threads or own) as number:
        run = train(like=entry.name, **settings)
    result = compare(entry, Store().fetch(entry.blob), run.folder / "model.safetensors")
    processor = torch.backends.cpu.get_cpu_capability()
    return replace(result, machine=f"{number} threads, {processor} instructions")


@contextmanager
def _threads(number: int) -> Iterator[int]:
    """Threads of the process: as a setting of the recipe they would make it another one."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield number or before
    finally:
        torch.set_num_threads(before)


def compare(entry: Entry, published: Path, path: Path) -> Replay:
    """Compare the weights of a replay with those of the registry."""
    tensors = _differences(published, path)
    then, now = _metadata(published), _metadata(path)
    measured = {key: float(value) for key, value in now.get("metrics", {}).items()}
    return Replay(
        entry,
        path,
        same_file=digest(path) == entry.weights.sha256,
        same_weights=not tensors,
        parted=tuple(_find_differences(then, now)),
        tensors=tensors,
        figures={
            metric.name: (metric.value, measured[metric.name])
            for metric in entry.metrics
            if metric.name in measured
        },
        step=find_step(entry.weights.checksums, read_checksums(path.parent)) if tensors else "",
    )


def find_step(then: Iterable[str], now: Iterable[str]) -> str:
    """One sentence on the first step after which two runs have other weights.

    then, now: STEP:CHECKSUM each.
    """
    theirs, ours = (
        {int(step): value for step, value in (line.split(":") for line in lines)}
        for lines in (then, now)
    )
    shared = sorted(theirs.keys() & ours.keys())
    if not shared:
        return (
            "the first step that differs: not known, since the registry has no checksums of these "
            "weights during training; data, recipe, versions and the weights at the end were "
            "compared"
        )
    same = [*takewhile(lambda step: theirs[step] == ours[step], shared)]
    last = same[-1] if same else -1
    if same == shared:
        return f"the first step that differs: one after step {last}, the last with a checksum"
    step = shared[len(same)]
    if step == 0:
        return "the first step that differs: none, the weights differ before it"
    steps = f"step {step}" if step == last + 1 else f"one of steps {last + 1} to {step}"
    return f"the first step that differs: {steps}"


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


def _find_differences(published: Mapping[str, Any], again: Mapping[str, Any]) -> list[str]:
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
