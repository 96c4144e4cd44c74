"""What a measurement yields."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Measured"]


class Measured(NamedTuple):
    """The mean of n values and its standard error."""

    value: float
    error: float
    n: int

    @classmethod
    def of(cls, values: Tensor) -> Measured:
        """The mean of values, (n,)."""
        n = len(values)
        error = float(values.double().std() / n**0.5) if n > 1 else float("nan")
        return cls(float(values.double().mean()), error, n)
