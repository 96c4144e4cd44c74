"""Random bits of samples, without torch: each sample has a stream of its own, by a seed.

A counter-based generator gives those of consecutive samples in one call (Philox; Salmon et al.
2011, Parallel Random Numbers: As Easy as 1, 2, 3).
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bits", "box_muller", "normals", "scramble", "uniforms", "unit"]

_WORDS = 8
"""Words of 32 bits that Philox gives for each value of its counter."""
_FEW = 4096
"""Values of a counter up to which importing NumPy's own Philox takes longer than computing them."""
_CALL = 64
"""Values of a counter that take as long as a call for none."""
_MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
"""What the key's words grow by from round to round."""
_computed = 0
"""Values of a counter that this process has computed without NumPy's Philox."""


def scramble(seed: int) -> int:
    """SplitMix64 of a seed: neighbouring seeds have nothing in common."""
    z = (seed + 0x9E3779B97F4A7C15) % 2**64
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
    return z ^ (z >> 31)


def bits(key: int, first: int, n: int, words: int, call: int = 0) -> NDArray[np.uint32]:
    """Random bits of n samples from number `first` on, (n, words).

    call: what distinguishes the calls for the same samples, a multiple of 2^128.
    """
    blocks = -(-words // _WORDS)
    raw = _raw(key | words << 64, blocks * first | call, n * blocks)
    return raw.view(np.uint32).reshape(n, blocks * _WORDS)[:, :words]


def _raw(key: int, counter: int, n: int) -> NDArray[np.uint64]:
    """What Philox gives for the next n values of its counter, (4n,)."""
    global _computed
    if "numpy.random" not in sys.modules and _computed + n <= _FEW:
        _computed += n + _CALL  # a process that goes on sampling imports it in the end
        return _rounds(key, counter + 1, n).reshape(-1)
    return np.asarray(np.random.Philox(key=key, counter=counter).random_raw(4 * n))


def _rounds(key: int, counter: int, n: int) -> NDArray[np.uint64]:
    """Ten rounds of Philox for n values of its counter, from this one on, (n, 4)."""
    with np.errstate(over="ignore"):
        low, *c = _words(counter, 4)
        c = [low + np.arange(n, dtype=np.uint64), *c]
        c[1] = c[1] + (c[0] < low)
        k = _words(key, 2)
        for _ in range(10):
            (high, low), (other_high, other_low) = map(_product, _MULTIPLIERS, c[::2])
            c = [other_high ^ c[1] ^ k[0], other_low, high ^ c[3] ^ k[1], low]
            k = [word + np.uint64(step) for word, step in zip(k, _WEYL, strict=True)]
    return np.stack(c, 1)


def _words(value: int, n: int) -> list[Any]:
    """The n lowest words of 64 bits, from the lowest."""
    return [np.uint64(value >> 64 * i & 2**64 - 1) for i in range(n)]


def _product(factor: int, x: Any) -> tuple[Any, Any]:
    """The high and the low word of a product of words."""
    half, ones = np.uint64(32), np.uint64(2**32 - 1)
    a = np.uint64(factor)
    a0, a1, x0, x1 = a & ones, a >> half, x & ones, x >> half
    middle = a1 * x0 + (a0 * x0 >> half)
    other = a0 * x1 + (middle & ones)
    return a1 * x1 + (middle >> half) + (other >> half), a * x


def uniforms(key: int, first: int, n: int, D: int) -> NDArray[np.float32]:
    """The first D numbers in [0, 1) of each of n samples, (n, D)."""
    return unit(bits(key, first, n, D))


def normals(key: int, first: int, n: int, D: int) -> NDArray[np.float32]:
    """The first D normal numbers of each of n samples, (n, D)."""
    return box_muller(uniforms(key, first, n, D + D % 2))[:, :D]


def unit(words: NDArray[np.uint32], digits: int = 24) -> NDArray[np.float32]:
    """Numbers in [0, 1) of so many binary digits, by random bits."""
    u = (words >> (32 - digits)).astype(np.float32)
    u *= np.float32(2.0**-digits)
    return u


def box_muller(u: NDArray[Any]) -> NDArray[Any]:
    """Box and Muller's transform of uniform numbers to as many normal ones, (n, D), D even.

    NumPy's functions round a number alike wherever it stands in an array; torch's do not.
    """
    half = u.shape[1] // 2
    r = np.sqrt(-2 * np.log(1 - u[:, :half]))
    angle = u.dtype.type(2 * math.pi) * u[:, half:]
    return np.concatenate([r * np.cos(angle), r * np.sin(angle)], 1)
