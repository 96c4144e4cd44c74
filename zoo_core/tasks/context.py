"""What a task is given beside the model and its own options."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo_core import memory
from zoo_core.rules import at_least, check_value
from zoo_core.text import argument

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.data.inputs import Some
    from zoo_core.draws import Streams
    from zoo_core.loading import Info

__all__ = ["Context"]

T = TypeVar("T")

_SHARED = (
    "this model takes all samples from one stream of random numbers: with another number of them, "
    "or another batch size, they are others"
)

_OF_IMAGES, _OF_ROWS = 16, 48
"""Bytes of memory for each value of samples, as tensors and picture or as cells, as measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Which model it is, where randomness comes from, and how much is done at a time."""

    name: str = "model"
    """The model's name, for what is said about the results."""
    data: str = ""
    """The data set that the model was trained on, where that is known."""
    clusters: Sequence[str] = ()
    """What each of its clusters mostly holds, of a model that sorts its data without labels."""
    seed: int = 0
    """Of everything that is random."""
    batch_size: int = 256
    """Samples or inputs at a time."""
    data_root: Path | None = None
    """Folder of data sets; None for the default one."""
    progress: Callable[[int, int], None] | None = None
    """Called after each batch with the number of samples or inputs that are done, and of all."""
    first: int = 0
    """The place of the first sample or input among all, where a task is done in parts."""
    given: Some | None = None
    """The inputs of this part, where they are read already."""
    group: str = "inputs"
    """The option that names them."""
    notes: list[str] = field(default_factory=list)
    """What is to be said beside the notes of the task."""
    failed: list[str] = field(default_factory=list)
    """Inputs that could not be read."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What `once` has made; all parts share it."""

    @classmethod
    def of(
        cls,
        known: Info,
        *,
        seed: int,
        batch_size: int,
        data_root: str | Path | None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Context:
        """The context of a model of which so much is known."""
        return cls(
            name=known.name,
            data=known.data,
            clusters=known.entry.clusters if known.entry else (),
            seed=seed,
            batch_size=batch_size,
            data_root=None if data_root is None else Path(data_root),
            progress=progress,
        )

    def __post_init__(self) -> None:
        check_value(self.seed, at_least(0), "seed")
        check_value(self.batch_size, at_least(1), "batch_size")

    def once(self, key: str, make: Callable[[Context], T]) -> T:
        """What all parts of a task need, made with the first that asks for it.

        make: called with the context as it is without parts, so that it gives each part the same.
        """
        if key not in self.kept:
            self.kept[key] = make(replace(self, first=0, given=None))
        value: T = self.kept[key]
        return value

    def generator(self, model: object) -> Random:
        """A new stream of random numbers by the seed, on the model's device.

        Samples use those of `samples`, of which each has its own.
        """
        import torch

        from zoo_core.precision import weight_of

        return torch.Generator(weight_of(model).device).manual_seed(self.seed)

    def require_memory(self, model: object, n: int, /, **asked: int) -> None:
        """Refuse more samples than memory holds, before any is made; raises InvalidInput.

        `samples` does so by itself: this is for what a task makes in steps of its own.

        n: how many the result holds. asked: the options that ask for them.
        """
        shape: tuple[int, ...] = getattr(model, "event_shape", ())
        needed = n * math.prod(shape) * (_OF_IMAGES if len(shape) == 3 else _OF_ROWS)
        given = " ".join(argument(*each, "-n" if each[0] == "n" else "") for each in asked.items())
        what = f"{n:,} samples of {self.name} take"
        instead = "" if asked else ", or for a folder of parts: `zoo run … -o FOLDER/`"
        memory.require(f"{given}: {what}" if given else what, needed, f"Ask for fewer{instead}.")

    def sizes(self, n: int) -> Iterator[int]:
        """Sizes of the batches in which n samples are made."""
        for start in range(0, n, self.batch_size):
            size = min(self.batch_size, n - start)
            yield size
            if self.progress is not None:
                self.progress(start + size, n)

    def samples(self, model: object, n: int, again: int = 0) -> Iterator[tuple[int, Streams]]:
        """Sizes of batches of n samples, with streams of random numbers, one for each sample.

        They follow from the seed and a sample's number: n and `batch_size` change no sample.

        again: how many times the same samples, or inputs, were used before.

        Raises InvalidInput for more than memory holds.
        """
        self.require_memory(model, n)
        yield from self.streams(model, n, again)

    def streams(self, model: object, n: int, again: int = 0) -> Iterator[tuple[int, Streams]]:
        """The same of n inputs, which are in memory already."""
        from zoo_core.draws import Streams
        from zoo_core.precision import weight_of

        device = weight_of(model).device
        streams = Streams(self.seed, device, first=self.first, again=again)
        for size in self.sizes(n):
            yield size, streams
            streams.skip(size)
        if streams.shared and _SHARED not in self.notes:
            self.notes.append(_SHARED)

    def batches(self, x: Tensor) -> Iterator[Tensor]:
        """Parts of x, (B, ...), of up to `batch_size` rows each."""
        start = 0
        for size in self.sizes(len(x)):
            yield x[start : start + size]
            start += size
