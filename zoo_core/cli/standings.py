"""Where models stand beside one another: a row of a table, a point of a plot, JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from zoo_core.cli import text

if TYPE_CHECKING:
    from zoo_core.metrics.comparison import Standing
    from zoo_core.output import Point

__all__ = ["cells", "head", "kind_to_plot", "notes", "points", "table", "to_json"]


def head(split: str) -> tuple[str, ...]:
    """The head of the columns of `cells`, whose figures are of this split."""
    return ("NAME", "PARAMETERS", "VALUES", "LIKELIHOOD", f"{split.upper()} NATS", "BITS/DIM")


def table(standings: Sequence[Standing], split: str) -> list[str]:
    """The lines of a table, and what is to be said of some."""
    lines = text.table(head(split), [cells(standing) for standing in standings], text.width())
    return [*lines, *notes(standings)]


def notes(standings: Sequence[Standing]) -> list[str]:
    """What is to be said of some, a line each."""
    return [f"{s.name}: {s.note}" for s in standings if s.note]


def cells(standing: Standing) -> tuple[str, ...]:
    """One row of it."""
    start = (standing.name, f"{standing.parameters:,}", standing.values)
    if standing.nats is None:
        return (*start, "-", "-", "-")
    bits = "-" if standing.bits_per_dim is None else f"{standing.bits_per_dim:.4f}"
    nats = f"{standing.nats.value:.3f} ± {standing.nats.error:.3f}"
    sign = "≤ " if standing.kind == "bound" else ""
    return (*start, standing.kind, sign + nats, bits)


def to_json(standing: Standing) -> dict[str, Any]:
    """What JSON says of one."""
    measured = standing.nats
    return {
        "name": standing.name,
        "parameters": standing.parameters,
        "values": standing.values,
        "likelihood": standing.kind or None,
        "nats": measured and measured.value,
        "standard_error": measured and measured.error,
        "n": measured and measured.n,
        "bits_per_dim": standing.bits_per_dim,
        "note": standing.note or None,
    }


def points(standings: Sequence[Standing]) -> list[Point]:
    """The points of the plot: those of the most frequent kind of values."""
    from zoo_core.output import Point

    return [
        Point(s.name, max(1, s.parameters), s.nats.value, s.nats.error, hollow=s.kind == "bound")
        for s in standings
        if s.nats and s.values == kind_to_plot(standings)
    ]


def kind_to_plot(standings: Sequence[Standing]) -> str:
    """The most frequent kind of values: figures of different kinds do not compare."""
    counts = Counter(standing.values for standing in standings if standing.nats)
    return counts.most_common(1)[0][0]
