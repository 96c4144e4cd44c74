"""The rungs of a ladder: what is tried of each architecture, and where it stands in the end."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from zoo_core import plugins
from zoo_core.metrics.measured import Measured

if TYPE_CHECKING:
    from zoo_core.hookspecs import Architecture
    from zoo_core.metrics.comparison import Standing
    from zoo_core.training.run import Run

__all__ = ["Candidate", "Rung", "candidates", "difference", "mean_of", "nats_of", "to_use"]


class Candidate(NamedTuple):
    """A rung before it is trained: its name, its architecture, and the settings to try."""

    name: str
    family: str
    record: Architecture
    settings: Sequence[Mapping[str, Any]]

    @property
    def counted(self) -> bool:
        """Whether it is fitted by counting."""
        return all("epochs" in settings for settings in self.settings)


def candidates() -> list[Candidate]:
    """The rungs of all families, the quick ones first."""
    found = [
        Candidate(name, family, record, settings)
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
    each = [standing.each for standing in standings if standing.each is not None]
    n = min(map(len, each), default=0)
    return replace(
        first,
        nats=nats,
        bits_per_dim=statistics.fmean(bits) if bits else None,
        each=torch.stack([of_one[:n] for of_one in each]).mean(0) if each else None,
    )


def difference(a: Standing, b: Standing) -> Measured:
    """How many nats more the first one takes, with the standard error over the rows of both."""
    if a.each is None or b.each is None:
        return Measured(nats_of(a) - nats_of(b), 0.0, 0)
    n = min(len(a.each), len(b.each))
    return Measured.of(a.each[:n] - b.each[:n])


def to_use(rungs: Sequence[Rung]) -> Rung:
    """The one of fewest parameters that is no worse on validation than the best but for chance.

    That is, by no more than the standard error of the difference. Of several it is the first.
    """
    best = min(rungs, key=lambda rung: rung.nats)
    lost = {rung.name: difference(rung.validation, best.validation) for rung in rungs}
    as_good = [r for r in rungs if r is best or lost[r.name].value <= lost[r.name].error]
    return min(as_good, key=lambda rung: rung.test.parameters)


def nats_of(standing: Standing) -> float:
    """A figure to compare by: infinite where there is none."""
    return math.inf if standing.nats is None else standing.nats.value
