"""The rungs of a ladder: what is tried of each architecture, and where it stands in the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core import plugins

if TYPE_CHECKING:
    from zoo_core.hookspecs import Architecture
    from zoo_core.metrics.comparison import Standing
    from zoo_core.training.run import Run

__all__ = ["Candidate", "Rung", "candidates", "mean_of", "nats_of"]


class Candidate(NamedTuple):
    """A rung before it is trained: its name, its architecture, and the settings to try."""

    name: str
    record: Architecture
    settings: Sequence[Mapping[str, Any]]

    @property
    def counted(self) -> bool:
        """Whether it is fitted by counting."""
        return all("epochs" in settings for settings in self.settings)


def candidates() -> list[Candidate]:
    """The rungs of all families, the quick ones first."""
    found = [
        Candidate(name, record, settings)
        for family in plugins.installed()
        for record in plugins.load(family).architectures.values()
        for name, settings in record.ladder.items()
    ]
    return sorted(found, key=lambda rung: not rung.counted)


@dataclass(frozen=True)
class Rung:
    """Where one architecture stands."""

    name: str
    run: Run
    settings: Mapping[str, Any]
    """Those of the architecture's that were best on validation."""
    validation: Standing
    test: Standing
    """Nats are means over training seeds; standard errors are those of the run, over rows."""
    of_seeds: tuple[float, ...]
    """Nats on the test split of each training seed that was not stopped; the first is the run's."""
    seconds: float
    """That the rung took, all tries included."""

    @property
    def nats(self) -> float:
        """On validation, by which rungs are compared."""
        return nats_of(self.validation)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the test figure over training seeds, where there are several."""
        return statistics.stdev(self.of_seeds) if len(self.of_seeds) > 1 else None


def mean_of(standings: Sequence[Standing]) -> Standing:
    """Where the first one stands, with the mean of the figures of all."""
    first = standings[0]
    nats = first.nats and first.nats._replace(value=statistics.fmean(map(nats_of, standings)))
    bits = [standing.bits_per_dim for standing in standings if standing.bits_per_dim is not None]
    return replace(first, nats=nats, bits_per_dim=statistics.fmean(bits) if bits else None)


def nats_of(standing: Standing) -> float:
    """A figure to compare by: infinite where there is none."""
    return math.inf if standing.nats is None else standing.nats.value
