"""The ladder of a table: every explicit model that fits it, with settings chosen on validation.

An architecture joins by its record's `ladder`: settings of a recipe that are tried. One that is
fitted by counting states its epochs. Of the others each setting is trained for a while, and the one
with the best validation again, for as long as all tries took together. How many epochs fit is
measured by one, so that a rung is an ordinary run, whose recipe makes the same weights again.
"""

from __future__ import annotations

import inspect
import math
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core import plugins
from zoo_core.data import load_dataset
from zoo_core.data.cells import variant
from zoo_core.errors import InvalidInput, OutputExists, UnknownName
from zoo_core.metrics.comparison import Comparison, Standing
from zoo_core.text import argument, printable, quoted
from zoo_core.training.train import train

if TYPE_CHECKING:
    from zoo_core.data import Dataset
    from zoo_core.hookspecs import Architecture
    from zoo_core.training.run import Run

__all__ = ["Rung", "climb"]

_MOST_EPOCHS = 1000
_PATIENCE = 30
_MEASURED = (5, 2)
"""Epochs by which, beside 1, the time of one is measured: the first that do not take too long."""
_TRIES = "tries"
"""Folder of the runs that are not kept."""


@dataclass(frozen=True)
class Rung:
    """Where one architecture stands."""

    name: str
    run: Run
    settings: Mapping[str, Any]
    """Those of the architecture's that were best on validation."""
    validation: Standing
    test: Standing
    deviation: float | None
    """Standard deviation of the test figure over training seeds, where there are several."""
    seconds: float
    """That the rung took, all tries included."""


def climb(
    data: str,
    folder: Path,
    *,
    budget: float = 600.0,
    only: Sequence[str] = (),
    seeds: int = 1,
    data_root: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    device: str = "auto",
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Iterator[Rung]:
    """Train each architecture that fits a table, and yield where it stands.

    Args:
        data: a table: a name or a path, without a split.
        folder: holds a run for each rung.
        budget: seconds that all may take together, about.
        only: names of rungs; all that fit where it is empty.
        seeds: trainings of the chosen settings, each with another seed.
        data_root: folder of the data sets.
        columns: what columns are, where that is not to be guessed.
        device: auto, cpu, cuda or mps.
        force: replace runs that the folder holds.
        say: is told what is done.

    Raises InvalidInput for data that are no table, UnknownName for a rung that does not fit it, and
    OutputExists for a folder that holds a ladder.
    """
    table = load_dataset(data, root=data_root, columns=columns)
    if table.x.ndim != 2:
        raise InvalidInput(f"{printable(data)} holds images: the ladder is of tables.")
    climbing = _Ladder(table, data, folder, seeds, data_root, columns or {}, device, force, say)
    rungs = [rung for rung in _candidates() if climbing.takes(rung)]
    if not rungs:
        raise InvalidInput("no installed family has an architecture for this table.")
    if unknown := set(only) - {rung.name for rung in rungs}:
        raise UnknownName(
            f"{quoted(min(unknown))} is no rung for this table; there are "
            f"{', '.join(rung.name for rung in rungs)}."
        )
    rungs = [rung for rung in rungs if not only or rung.name in only]
    if not force and any((folder / f"{rung.name}.{variant(data)}").exists() for rung in rungs):
        raise OutputExists(
            f"{folder} already holds a ladder. Choose another folder "
            f"({argument('output', flag='-o')}), or replace it ({argument('force', True)})."
        )
    ends = time.monotonic() + budget
    slow = sum(not rung.counted for rung in rungs)
    for rung in rungs:
        share = 0.0
        if not rung.counted:
            share, slow = max(0.0, ends - time.monotonic()) / slow, slow - 1
        try:
            yield climbing.rung(rung, share)
        except InvalidInput as error:
            say(f"{rung.name} is left out: {error}")
        finally:
            shutil.rmtree(folder / _TRIES, ignore_errors=True)


class _Candidate(NamedTuple):
    """A rung before it is trained: its name, its architecture, and the settings to try."""

    name: str
    record: Architecture
    settings: Sequence[Mapping[str, Any]]

    @property
    def counted(self) -> bool:
        """Whether it is fitted by counting."""
        return all("epochs" in settings for settings in self.settings)


def _candidates() -> list[_Candidate]:
    """The rungs of all families, the quick ones first."""
    found = [
        _Candidate(name, record, settings)
        for family in plugins.installed()
        for record in plugins.load(family).architectures.values()
        for name, settings in record.ladder.items()
    ]
    return sorted(found, key=lambda rung: not rung.counted)


@dataclass(frozen=True)
class _Ladder:
    table: Dataset
    data: str
    folder: Path
    seeds: int
    data_root: str | Path | None
    columns: Mapping[str, str]
    device: str
    force: bool
    say: Callable[[str], None]
    _taken: dict[str, dict[int, float]] = field(default_factory=dict)
    """Seconds that trainings of a recipe took, by their epochs."""

    def takes(self, rung: _Candidate) -> bool:
        """Whether a rung is of such tables: of mixed columns, or of binary ones.

        One whose name begins with `mixed-` has a counterpart for binary tables, and leaves them to
        it.
        """
        if self.table.levels == 2:
            return not rung.name.startswith("mixed-")
        cls = plugins.import_class(rung.record.path)
        return "columns" in inspect.signature(cls).parameters

    def rung(self, candidate: _Candidate, share: float) -> Rung:
        """Choose a rung's settings on validation, and train it with them.

        share: seconds that it may take, about.
        """
        began, (name, record, tried) = time.monotonic(), candidate
        best, chosen = math.inf, tried[0]
        if len(tried) > 1:
            for number, settings in enumerate(tried):
                recipe = self._recipe(record, settings, share / 2 / len(tried))
                run = self._timed(record.name, recipe, f"{number}")
                found = self._stand(name, run, "validation")
                said = _difference(settings, tried)
                self.say(f"{name}, {said}: {_nats(found):.3f} nats on validation")
                if _nats(found) < best:
                    best, chosen = _nats(found), settings
        left = max(0.0, share - (time.monotonic() - began)) / self.seeds
        recipe = self._recipe(record, chosen, left)
        folder = self.folder / f"{name}.{variant(self.data)}"
        run = train(record.name, **recipe, output=folder, force=self.force)
        validation, test = (self._stand(name, run, split) for split in ("validation", "test"))
        figures = [_nats(test)]
        for seed in range(1, self.seeds):  # all but the seed is the same
            other = self._timed(record.name, recipe | {"seed": seed}, f"seed{seed}")
            figures.append(_nats(self._stand(name, other, "test")))
        return Rung(
            name=name,
            run=run,
            settings=chosen,
            validation=validation,
            test=test,
            deviation=statistics.stdev(figures) if len(figures) > 1 else None,
            seconds=time.monotonic() - began,
        )

    def _recipe(
        self, record: Architecture, settings: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        """What `train` is given for a training of about so long."""
        recipe: dict[str, Any] = {
            "data": self.data,
            "columns": dict(self.columns),
            "data_root": self.data_root,
            "device": self.device,
            "seed": 0,
            "quiet": True,
            **settings,
        }
        if "epochs" in settings:
            return recipe
        epochs = self._epochs(record.name, recipe, seconds)
        schedule = {"sched": "cosine", "warmup_epochs": 0}
        return recipe | {"epochs": epochs, "patience": _PATIENCE, "schedule": schedule}

    def _epochs(self, name: str, recipe: dict[str, Any], seconds: float) -> int:
        """How many epochs fit into so many seconds, by all trainings of the recipe so far.

        The first time a few are trained for that alone.
        """
        began, taken = time.monotonic(), self._taken.setdefault(_key(name, recipe), {})
        if not taken:
            self._timed(name, recipe | {"epochs": 1}, "measured")
            for epochs in _MEASURED:
                if len(taken) == 1 and epochs * taken[1] < seconds / 3:
                    self._timed(name, recipe | {"epochs": epochs}, "measured")
        most = max(taken)
        each = (taken[most] - taken[1]) / (most - 1) if most > 1 else taken[1]
        each = max(1e-4, each)
        left = seconds - (time.monotonic() - began) - max(0.0, taken[1] - each)
        return int(min(_MOST_EPOCHS, max(1, left / each)))

    def _timed(self, name: str, recipe: dict[str, Any], folder: str) -> Run:
        """Train in a folder that is not kept, and remember how long it took."""
        began = time.monotonic()
        run = train(name, **recipe, output=self.folder / _TRIES / folder, force=True)
        taken = self._taken.setdefault(_key(name, recipe), {})
        taken[recipe["epochs"]] = time.monotonic() - began
        return run

    def _stand(self, name: str, run: Run, split: str) -> Standing:
        comparison = Comparison(f"{self.data}:{split}", self.data_root)
        return comparison.stand(name, run.model)


def _key(name: str, recipe: Mapping[str, Any]) -> str:
    """What trainings of other lengths and seeds have in common."""
    of_length = ("epochs", "patience", "schedule", "seed")
    return f"{name} { {key: recipe[key] for key in recipe if key not in of_length} }"


def _nats(standing: Standing) -> float:
    return math.inf if standing.nats is None else standing.nats.value


def _difference(settings: Mapping[str, Any], tried: Sequence[Mapping[str, Any]]) -> str:
    """In what settings differ from the others that are tried."""
    own = [key for key in settings if any(other.get(key) != settings[key] for other in tried)]
    return ", ".join(f"{key} = {settings[key]}" for key in own)
