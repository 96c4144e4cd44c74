"""Random bits of samples, without torch: each sample has a stream of its own, by a seed.

A counter-based generator gives those of consecutive samples in one call (Philox; Salmon et al.
2011, Parallel Random Numbers: As Easy as 1, 2, 3).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["bits", "box_muller", "normals", "scramble", "uniforms", "unit"]

_WORDS = 8
"""Words of 32 bits that Philox gives for each value of its counter."""


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
    philox = np.random.Philox(key=key | words << 64, counter=blocks * first | call)
    raw = philox.random_raw(n * blocks * _WORDS // 2)
    return np.asarray(raw).view(np.uint32).reshape(n, blocks * _WORDS)[:, :words]


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
