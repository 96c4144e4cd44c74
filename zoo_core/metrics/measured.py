"""What a measurement yields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Measured"]


class Measured(NamedTuple):
    """The mean of n values and its standard error."""

    value: float
    error: float
    n: int
    real: float | None = None
    """The same of training rows in the place of a model's samples, where samples are measured."""
    settled: Mapping[str, Any] = {}
    """What the protocol left open and the measurement settled, by the protocol's keys."""
    kind: str = ""
    """Of a likelihood what it is: `exact`, or `by orders` where rows have missing cells that the
    model has no consistent marginals for."""

    @classmethod
    def of(cls, values: Tensor, kind: str = "") -> Measured:
        """The mean of values, (n,)."""
        n = len(values)
        error = float(values.double().std() / n**0.5) if n > 1 else float("nan")
        return cls(float(values.double().mean()), error, n, kind=kind)
