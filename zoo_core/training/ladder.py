"""The ladder of a table: every explicit model that fits it, with settings chosen on validation.

An architecture joins by its record's `ladder`: settings of a recipe that are tried. One that is
fitted by counting states its epochs; it has the share of a rung, and settings for which no time is
left are not tried. Of the others all settings are trained for a while, in a third
of the time; then each rung once more with the settings that were best on validation. The rung that
was best of all has half of that time, and the others share the rest. How many epochs fit is planned
from the pace of the training before, so that a rung is an ordinary run, whose recipe makes the same
weights again. One that is slower than planned is stopped, and said to be.
"""

from __future__ import annotations

import inspect
import math
import shutil
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
from zoo_core.training.patience import TimeLimit
from zoo_core.training.report import say
from zoo_core.training.rungs import Candidate, Rung, candidates, mean_of, nats_of
from zoo_core.training.train import train

if TYPE_CHECKING:
    from zoo_core.data import Dataset
    from zoo_core.training.run import Run

__all__ = ["Rung", "climb", "folder_of", "ladder"]

_MOST_EPOCHS = 1000
_PATIENCE = 30
_MEASURED = 5
"""Epochs of a training that is only to measure the pace, if they take no more than a sixth of what
is planned."""
_SLACK = 1.25
"""How much longer than planned a training may take before it is stopped."""
_TRIES = ".tries"
"""Folder of the runs that are not kept."""


def ladder(
    data: str | Path,
    /,
    *,
    budget: float = 600.0,
    only: Sequence[str] = (),
    seeds: int = 1,
    columns: Mapping[str, str] | None = None,
    data_root: str | Path | None = None,
    output: str | Path | None = None,
    force: bool = False,
    device: str = "auto",
    quiet: bool = False,
) -> list[Rung]:
    """Fit every explicit model to a table, and return them from the fewest parameters to the most.

    `min(zoo_core.ladder("my.csv"), key=lambda rung: rung.nats).run.model`

    Args:
        data: a table: a name or a path, without a split.
        budget: seconds that all may take together, about.
        only: names of rungs; all that fit where it is empty.
        seeds: trainings of the chosen settings, each with another seed.
        columns: what columns are, where that is not to be guessed, by their names.
        data_root: folder of the data sets.
        output: a folder that holds a run for each rung; `runs/ladder.DATA` by default.
        force: replace runs that the folder holds.
        device: auto, cpu, cuda or mps.
        quiet: whether to show no progress.

    Raises what `climb` does, and InvalidInput where no model could be fitted.
    """
    data, said, found = str(data), list[str](), list[Rung]()

    def tell(line: str) -> None:
        said.append(line)
        if not quiet:
            say(line)

    for rung in climb(
        data,
        Path(output or folder_of(data)),
        budget=budget,
        only=only,
        seeds=seeds,
        data_root=data_root,
        columns=columns,
        device=device,
        force=force,
        say=tell,
    ):
        tell(f"{rung.name}: {rung.seconds:.0f} s")
        found.append(rung)
    if not found:
        raise InvalidInput(f"no model could be fitted to this table: {'; '.join(said)}.")
    return sorted(found, key=lambda rung: rung.test.parameters)


def folder_of(data: str) -> Path:
    """Where the runs of a table's ladder are kept by default."""
    return Path("runs") / f"ladder.{variant(data)}"


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
        say: called with a line about each step.

    Raises InvalidInput for data that are no table, UnknownName for a rung that does not fit it, and
    OutputExists for a folder that holds a ladder.
    """
    table = load_dataset(data, root=data_root, columns=columns)
    if table.x.ndim != 2:
        raise InvalidInput(f"{printable(data)} holds images: the ladder is of tables.")
    climbing = _Ladder(table, data, folder, seeds, data_root, columns or {}, device, force, say)
    rungs = [rung for rung in candidates() if climbing.takes(rung)]
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
    try:
        yield from climbing.climb(rungs, ends)
    finally:
        shutil.rmtree(folder / _TRIES, ignore_errors=True)
    if (over := time.monotonic() - ends) > 1:
        say(f"the ladder took {budget + over:.0f} s, and was to take {budget:.0f} s")


class _Choice(NamedTuple):
    """A rung with the settings that were best on validation."""

    rung: Candidate
    settings: Mapping[str, Any]
    validation: float
    """Nats; infinite where there was nothing to choose."""
    seconds: float
    """That it took to choose."""


class _Pace(NamedTuple):
    """Seconds that a training takes."""

    epoch: float
    beside: float
    """Before and after all epochs."""


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
    _paces: dict[str, _Pace] = field(default_factory=dict)
    """Of trainings of a recipe of any length."""

    def takes(self, rung: Candidate) -> bool:
        """Whether a rung is of such tables: of mixed columns, or of binary ones.

        One whose name begins with `mixed-` has a counterpart for binary tables, and leaves them to
        it.
        """
        if self.table.levels == 2:
            return not rung.name.startswith("mixed-")
        cls = plugins.import_class(rung.record.path)
        return "columns" in inspect.signature(cls).parameters

    def climb(self, rungs: Sequence[Candidate], ends: float) -> Iterator[Rung]:
        """Train all rungs by a time of the clock, and yield where each stands."""
        for place, rung in enumerate(rung for rung in rungs if rung.counted):
            if place and _left(ends) < self._beside:
                self._leave_out(rung)
                continue
            share, tries = _left(ends) / (len(rungs) - place), len(rung.settings)
            if (choice := self._choose(rung, share * tries / (tries + 1))) and (
                found := self._rung(choice, share - choice.seconds)
            ):
                yield found
        slow, choices = [rung for rung in rungs if not rung.counted], []
        tried_by = time.monotonic() + _left(ends) / 3
        for place, rung in enumerate(slow):
            if choice := self._choose(rung, _left(tried_by) / (len(slow) - place)):
                choices.append(choice)
        choices.sort(key=lambda choice: choice.validation)
        for place, choice in enumerate(choices):
            if place and _left(ends) < self._beside:
                self._leave_out(choice.rung)
                continue
            others = len(choices) - place - 1
            share = _left(ends) / (1 + others if place or not others else 2)
            if found := self._rung(choice, share):
                yield found

    def _leave_out(self, rung: Candidate) -> None:
        self.say(f"{rung.name} is left out: no time is left for it")

    def _choose(self, candidate: Candidate, share: float) -> _Choice | None:
        """Choose a rung's settings on validation; None, and said, where it cannot take the table.

        share: seconds that it may take, about.
        """
        began, (name, _, tried) = time.monotonic(), candidate
        best, chosen, needed = math.inf, tried[0], self._beside
        try:
            for number, settings in enumerate(tried if len(tried) > 1 else ()):
                seconds = _left(began + share) / (len(tried) - number)
                if seconds < needed:
                    others = "; ".join(_difference(other, tried) for other in tried[number:])
                    self.say(f"{name}: no time to try {others}")
                    break
                recipe, trying = self._recipe(candidate, settings, seconds), time.monotonic()
                _, found, _ = self._timed(candidate, recipe, f"{number}", seconds)
                # counting takes as long with other settings
                needed = time.monotonic() - trying if candidate.counted else self._beside
                said = _difference(settings, tried)
                self.say(f"{name}, {said}: {nats_of(found):.3f} nats on validation")
                if nats_of(found) < best:
                    best, chosen = nats_of(found), settings
        except InvalidInput as error:
            self.say(f"{name} is left out: {error}")
            return None
        return _Choice(candidate, chosen, best, time.monotonic() - began)

    def _rung(self, choice: _Choice, share: float) -> Rung | None:
        """Train a rung with the settings that were chosen; None, and said, where it cannot be.

        share: seconds that it may take, about, for all seeds.
        """
        began, rung, settings = time.monotonic(), choice.rung, choice.settings
        try:
            each = share / self.seeds
            recipe = self._recipe(rung, settings, each)
            folder = self.folder / f"{rung.name}.{variant(self.data)}"
            run, validation, _ = self._timed(rung, recipe, folder, each)
            validations, tests = [validation], [self._stand(rung.name, run, "test")]
            for seed in range(1, self.seeds):  # all but the seed is the same
                each = _left(began + share) / (self.seeds - seed)
                seeded = recipe | {"seed": seed}
                other, validation, stopped = self._timed(rung, seeded, f"seed{seed}", each)
                if not stopped:
                    validations.append(validation)
                    tests.append(self._stand(rung.name, other, "test"))
        except InvalidInput as error:
            self.say(f"{rung.name} is left out: {error}")
            return None
        return Rung(
            name=rung.name,
            run=run,
            settings=settings,
            validation=mean_of(validations),
            test=mean_of(tests),
            of_seeds=tuple(map(nats_of, tests)),
            seconds=choice.seconds + time.monotonic() - began,
        )

    def _recipe(
        self, rung: Candidate, settings: Mapping[str, Any], seconds: float
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
        epochs = self._epochs(rung, recipe, seconds)
        schedule = {"sched": "cosine", "warmup_epochs": 0}
        return recipe | {"epochs": epochs, "patience": _PATIENCE, "schedule": schedule}

    def _epochs(self, rung: Candidate, recipe: dict[str, Any], seconds: float) -> int:
        """How many epochs fit into so many seconds, by the pace of the last training.

        The first time a few are trained for that alone, where there is time for it.
        """
        began, key = time.monotonic(), _key(rung.record.name, recipe)
        if key not in self._paces:
            if seconds < 2 * self._beside:
                return 1
            self._timed(rung, recipe | {"epochs": _MEASURED}, "measured", seconds / 6)
        pace = self._paces[key]
        left = _left(began + seconds) - pace.beside
        return int(min(_MOST_EPOCHS, max(1, left / max(1e-4, pace.epoch))))

    @property
    def _beside(self) -> float:
        """Seconds that the last training took before and after its epochs."""
        return next((pace.beside for pace in reversed(self._paces.values())), 0.0)

    def _timed(
        self, rung: Candidate, recipe: dict[str, Any], folder: str | Path, seconds: float
    ) -> tuple[Run, Standing, bool]:
        """Train, measure on validation, and remember the pace; at last whether it was stopped.

        folder: where it is kept, or a name among those that are not.
        seconds: that are planned for it.
        """
        began = time.monotonic()
        limit = TimeLimit(began + _SLACK * seconds)
        kept = isinstance(folder, Path)
        where = folder if kept else self.folder / _TRIES / folder
        force = self.force or not kept
        run = train(rung.record.name, **recipe, output=where, force=force, callbacks=[limit])
        if limit.reached and folder != "measured":
            self.say(
                f"{rung.name}: stopped at {limit.seconds:.0f} s, after "
                f"{limit.epochs / recipe['epochs']:.0%} of {recipe['epochs']:,} epochs: it was "
                "slower than planned"
            )
        standing = self._stand(rung.name, run, "validation")
        beside = time.monotonic() - began - limit.seconds
        epoch = limit.seconds / max(limit.epochs, 1e-9)
        key = _key(rung.record.name, recipe)
        self._paces.pop(key, None)  # the last one is that of the last training
        self._paces[key] = _Pace(epoch, beside)
        return run, standing, limit.reached

    def _stand(self, name: str, run: Run, split: str) -> Standing:
        rows = load_dataset(self.data, split=split, root=self.data_root, columns=self.columns)
        return Comparison(self.data, self.data_root, table=rows).stand(name, run.model)


def _key(name: str, recipe: Mapping[str, Any]) -> str:
    """What decides the pace of a training."""
    of_pace = ("config", "batch_size")
    return f"{name} { {key: recipe[key] for key in recipe if key.startswith(of_pace)} }"


def _left(ends: float) -> float:
    """Seconds until a time of the clock."""
    return max(0.0, ends - time.monotonic())


def _difference(settings: Mapping[str, Any], tried: Sequence[Mapping[str, Any]]) -> str:
    """In what settings differ from the others that are tried."""
    own = [key for key in settings if any(other.get(key) != settings[key] for other in tried)]
    return ", ".join(f"{key} = {settings[key]}" for key in own)
