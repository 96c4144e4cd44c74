"""Random numbers for samples: from one stream, or from a stream of each sample's own.

With `Streams` in a generator's place, sample i depends on the seed and on i alone: five samples are
the first five of twelve, in batches of any size. A model draws by the functions here in place of
torch's; with any other generator they are torch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_core.errors import InvalidInput
from zoo_core.philox import bits, box_muller, scramble, unit
from zoo_core.text import SHORT, quoted

__all__ = [
    "Rows",
    "Streams",
    "batch_rows",
    "bernoulli",
    "categorical",
    "categories",
    "invert",
    "of_samples",
    "rand",
    "randint",
    "randn",
]

_MASK = 2**32 - 1


class Streams(torch.Generator):
    """A generator that holds a stream of random numbers for each of some samples.

    For code that draws from it as from any generator it is one stream by the seed; `shared` says
    whether that has happened.

    Args:
        seed: from 0 to 2^64 - 1.
        device: where the shared stream is; those of the samples are on the CPU.
        first: the number of the first sample.
        again: how many times the same samples were generated before.
    """

    def __new__(cls, seed: int, device: torch.device | str = "cpu", **_: int) -> Self:
        """Make torch's part, which takes the device alone."""
        return super().__new__(cls, device=device)  # type: ignore[call-arg] # torch's stub has none

    def __init__(
        self, seed: int, device: torch.device | str = "cpu", *, first: int = 0, again: int = 0
    ) -> None:
        self._key = scramble((scramble(seed) + again) % 2**64)
        shared = scramble((self._key + first) % 2**64) if first else self._key
        self.manual_seed(shared >> 1 if first or again else seed)
        self._start = self.get_state()
        self._first, self._of = first, list[torch.Generator]()
        self._call = self._since = 0
        self._whole: Streams | None = None
        self._places: list[int] = []
        self._takes: dict[int, int] = {}

    @property
    def shared(self) -> bool:
        """Whether something was drawn from the one stream, whose draws no sample has alone."""
        return not torch.equal(self.get_state(), self._start)

    def of(self, n: int) -> list[torch.Generator]:
        """A generator for each of the first n samples; each goes on from call to call."""
        if self._whole is not None:
            everyone = self._whole.of(max(self._places, default=-1) + 1)
            return [everyone[place] for place in self._places[:n]]
        for i in range(self._first + len(self._of), self._first + n):
            self._of.append(torch.Generator().manual_seed(_seed(self._key, i)))
        return self._of[:n]

    def bits(self, n: int, words: int) -> NDArray[np.uint32]:
        """Random bits of the first n samples, (n, words); each stream goes on from call to call.

        Philox's key is the seed and the number of words; its counter begins with the sample's
        number and ends with the number of the call.
        """
        call, runs = self._call, [(self._first, n, 0)]
        if self._whole is not None:
            runs = _runs([(self._first + place, self._takes[place]) for place in self._places[:n]])
        self._call += 1
        rows = [
            bits(self._key, first, count, words, self._since << 128 | takes << 160 | call << 192)
            for first, count, takes in runs
        ]
        none = np.empty((0, words), np.uint32)
        return rows[0] if len(rows) == 1 else np.concatenate([none, *rows])

    def skip(self, n: int) -> None:
        """Go on to the samples behind the first n; the one stream goes on where it is."""
        self._first, self._of, self._call, self._takes = self._first + n, [], 0, {}

    def take(self, places: Sequence[int]) -> Streams:
        """The streams of some of the samples, in that order, as they go on after what was drawn."""
        whole = self._whole or self
        taken = Streams(0, self.device)
        taken._whole, taken._key, taken._first = whole, whole._key, whole._first
        taken._since = whole._call
        taken._places = [self._places[i] for i in places] if self._whole else list(places)
        for place in taken._places:
            whole._takes[place] = whole._takes.get(place, 0) + 1
        taken._takes = {place: whole._takes[place] for place in taken._places}
        return taken


class Rows(torch.Generator):
    """A generator that gives one of several processes the numbers of its rows of a batch.

    They are those that one process would draw for the batch, where the functions here draw a number
    of rows that is this process's; for other code it is a generator of the process's own.

    Args:
        own: the state of this process's own stream is copied from it.
        whole: the stream of the whole batch.
    """

    def __new__(cls, own: torch.Generator, **_: object) -> Self:
        """Make torch's part, which takes the device alone."""
        return super().__new__(cls, device=own.device)  # type: ignore[call-arg] # torch's stub has none

    def __init__(self, own: torch.Generator, *, whole: torch.Generator) -> None:
        self.set_state(own.get_state())
        self.whole = whole
        self.begin(0, slice(None))

    def begin(self, rows: int, places: slice) -> None:
        """Begin a batch; the streams go on.

        rows: of the batch.
        places: this process's rows among them.
        """
        self.rows, self._places, self._own = rows, places, len(range(rows)[places])

    def draw(self, function: Callable[..., Tensor], size: Sequence[int], dim: int) -> Tensor:
        """This process's numbers, by a function of a size and a generator.

        dim: the dimension that counts rows.
        """
        if size[dim] != self._own:
            return function(tuple(size), generator=self)
        every = function((*size[:dim], self.rows, *size[dim + 1 :]), generator=self.whole)
        return every.movedim(dim, 0)[self._places].movedim(0, dim).contiguous()


def batch_rows(generator: torch.Generator, n: int) -> int:
    """Rows of the batch of which a trainer has n: of several processes each has a part of it."""
    return generator.rows if isinstance(generator, Rows) else n


def rand(
    *size: int,
    generator: torch.Generator | None,
    dim: int = 0,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Uniform numbers, as torch.rand.

    dim: the dimension that counts samples.
    """
    if isinstance(generator, Rows):
        return generator.draw(partial(torch.rand, device=device, dtype=dtype), size, dim)
    if not isinstance(generator, Streams):
        return torch.rand(size, generator=_of_torch(generator), device=device, dtype=dtype)
    return _each(_uniform, size, generator, dim, dtype).to(device)


def randn(
    *size: int,
    generator: torch.Generator | None,
    dim: int = 0,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Normal numbers, as torch.randn.

    dim: the dimension that counts samples.
    """
    if isinstance(generator, Rows):
        return generator.draw(partial(torch.randn, device=device, dtype=dtype), size, dim)
    if not isinstance(generator, Streams):
        return torch.randn(size, generator=_of_torch(generator), device=device, dtype=dtype)
    return _each(_normal, size, generator, dim, dtype).to(device)


def randint(
    high: int, n: int, *, generator: torch.Generator | None, device: torch.device | None = None
) -> Tensor:
    """A whole number from 0 to high - 1 for each sample, (n,), int64, as torch.randint."""
    if not isinstance(generator, Streams):
        return torch.randint(high, (n,), generator=_of_torch(generator), device=device)
    return (rand(n, generator=generator, device=device) * high).long().clamp_max(high - 1)


def bernoulli(p: Tensor, generator: torch.Generator | None) -> Tensor:
    """Ones with the probabilities p, (n, …), else zeros; as torch.bernoulli."""
    if not isinstance(generator, Streams):
        return torch.bernoulli(p, generator=_of_torch(generator))
    return (rand(*p.shape, generator=generator, device=p.device) < p).to(p.dtype)


def categorical(p: Tensor, generator: torch.Generator | None) -> Tensor:
    """The place of a category for each variable, (n, …), int64; as torch.multinomial.

    p: probabilities, (n, …, K).
    """
    if not isinstance(generator, Streams):
        return p.flatten(0, -2).multinomial(1, generator=_of_torch(generator)).view(p.shape[:-1])
    u = rand(*p.shape[:-1], 1, generator=generator, device=p.device)
    return invert(p, u).squeeze(-1)


def categories(p: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    """The same of n samples that have the same probabilities: (n, …), int64.

    p: (…, K), of at most one dimension beside.
    """
    if not n:  # which multinomial refuses
        return torch.empty(0, *p.shape[:-1], dtype=torch.int64, device=p.device)
    if not isinstance(generator, Streams):
        drawn = p.multinomial(n, replacement=True, generator=_of_torch(generator))
        return drawn.t() if p.ndim == 2 else drawn
    u = rand(n, *p.shape[:-1], generator=generator, device=p.device)
    return invert(p, u.t()).t() if p.ndim == 2 else invert(p, u)


def invert(p: Tensor, u: Tensor) -> Tensor:
    """The category in whose share of [0, 1] each uniform number lies.

    p: probabilities, (…, K). u: (…, n). Returns (…, n), int64.
    """
    cdf = p.to(u.dtype).cumsum(-1)
    return torch.searchsorted(cdf / cdf[..., -1:], u.contiguous(), right=True)


def of_samples(generator: torch.Generator | None, places: Tensor) -> torch.Generator | None:
    """What some of the samples draw from, of what all draw from."""
    return generator.take(places.tolist()) if isinstance(generator, Streams) else generator


def _of_torch(generator: torch.Generator | None) -> torch.Generator | None:
    """Refuse what is no generator, as a seed."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    raise InvalidInput(
        f"generator is {quoted(generator, SHORT)}; expected a torch.Generator, or None. "
        "torch.Generator().manual_seed(seed) makes one of a seed."
    )


def _each(
    numbers: Callable[[Streams, int, int, torch.dtype], Tensor],
    size: Sequence[int],
    streams: Streams,
    dim: int,
    dtype: torch.dtype | None,
) -> Tensor:
    """Numbers of which each sample's come from its own stream."""
    n, shape = size[dim], (*size[:dim], *size[dim + 1 :])
    x = numbers(streams, n, math.prod(shape), dtype or torch.get_default_dtype())
    x = x.reshape(n, *shape)
    return x.movedim(0, dim).contiguous() if dim else x


def _uniform(streams: Streams, n: int, D: int, dtype: torch.dtype) -> Tensor:
    """(n, D), in [0, 1), with as many binary digits as the type has."""
    return torch.from_numpy(_unit(streams, n, D, dtype)).to(dtype)


def _normal(streams: Streams, n: int, D: int, dtype: torch.dtype) -> Tensor:
    """(n, D), two normal numbers for each two uniform ones."""
    u = _unit(streams, n, D + D % 2, torch.float64 if dtype == torch.float64 else torch.float32)
    return torch.from_numpy(box_muller(u))[:, :D].to(dtype).contiguous()


def _unit(streams: Streams, n: int, D: int, dtype: torch.dtype) -> NDArray[Any]:
    """Uniform numbers in [0, 1), (n, D): float64, or float32 where the type has no more digits."""
    if dtype == torch.float64:
        return np.ldexp((streams.bits(n, 2 * D).view(np.uint64) >> 11).astype(np.float64), -53)
    digits = {torch.float16: 11, torch.bfloat16: 8}.get(dtype, 24)
    return unit(streams.bits(n, D), digits)


def _runs(samples: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Samples, each with a number, as runs: the first, how many follow each other, the number."""
    runs: list[tuple[int, int, int]] = []
    for i, number in samples:
        if runs and runs[-1][2] == number and sum(runs[-1][:2]) == i:
            runs[-1] = runs[-1][0], runs[-1][1] + 1, number
        else:
            runs.append((i, 1, number))
    return runs


def _seed(key: int, i: int) -> int:
    """A seed of 32 bits, all that torch's generator on the CPU takes; no two samples share one."""
    i = (i + key) & _MASK
    i = ((i ^ (i >> 16)) * 0x85EBCA6B) & _MASK  # murmur3's finalizer, a bijection
    i = ((i ^ (i >> 13)) * 0xC2B2AE35) & _MASK
    return (i ^ (i >> 16)) ^ (key >> 32)
