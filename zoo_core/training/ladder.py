"""The ladder of a table: every explicit model that fits it, with settings chosen on validation.

An architecture joins by its record's `ladder`: settings of a recipe that are tried. One that is
fitted by counting states its epochs; it has the share of a rung, and settings for which no time is
left are not tried. Of the others all settings are trained for a while, in a third
of the time; then each rung once more with the settings that were best on validation. The rung that
was best of all has half of that time, and the others share the rest. How many epochs fit is planned
from the pace of the training before, so that a rung is an ordinary run, whose recipe makes the same
weights again. One that is slower than planned is stopped, and said to be; a split is measured on as
many rows, in a random order, as there is time for.

Over 400 lines: planning, training and measuring share one account of the time that is left.
"""

from __future__ import annotations

import inspect
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core import plugins
from zoo_core.data import load_dataset
from zoo_core.data.cells import variant
from zoo_core.data.resolve import absolute_spec, data_name, parse_spec
from zoo_core.errors import InvalidInput, OutputExists, UnknownName
from zoo_core.loading.meta import build_blank
from zoo_core.metrics.comparison import Comparison, Standing
from zoo_core.metrics.rows import BATCH
from zoo_core.rules import is_int, is_number
from zoo_core.text import argument, command_line, counted, printable, quoted
from zoo_core.training.patience import TimeLimit
from zoo_core.training.report import say
from zoo_core.training.rungs import Candidate, Rung, candidates, mean_of, nats_of

if TYPE_CHECKING:
    from zoo_core.data import Dataset
    from zoo_core.training.run import Run

__all__ = ["Rung", "ladder"]

_MOST_EPOCHS = 1000
_PATIENCE = 30
_MEASURED = 5
"""Epochs of a training that is only to measure the pace, if they take no more than a sixth of what
is planned."""
_SLACK = 1.25
"""How much longer than planned a training may take before it is stopped."""
_LATEST = 1.1
"""Share of the budget after which nothing is trained."""
_MEASURED_IN = 1 / 8
"""Share of what is planned for a training in which a split is measured: of the rows so far where
that is not all."""
_MOST_PARAMETERS = 2**26
"""Of a rung that is not counted: a step of more may take longer than the whole ladder."""
_TRIES = ".tries"
"""Folder of the runs that are not kept."""


def ladder(
    data: str | Path,
    /,
    *,
    budget: float | str = 600.0,
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
        budget: time that all may take together, about: seconds, or a text as 90s, 10m or 1h.
        only: names of rungs; all that fit where it is empty.
        seeds: trainings of the chosen settings, each with another seed.
        columns: what columns are, where that is not to be guessed, by their names.
        data_root: folder of the data sets.
        output: a folder that holds a run for each rung; `runs/ladder.DATA` by default.
        force: replace runs that the folder holds.
        device: auto, cpu, cuda or mps.
        quiet: whether to show no progress.

    Raises InvalidInput for settings that cannot be used, for data that are no table, and where no
    model could be fitted, UnknownName for a rung that does not fit the table, and OutputExists for
    a folder that holds a ladder.
    """
    said, found = list[str](), list[Rung]()

    def tell(line: str) -> None:
        said.append(line)
        if not quiet:
            say(line)

    began, allowed = time.monotonic(), _seconds(budget)
    _check(data=data, only=only, seeds=seeds, columns=columns)
    if split := parse_spec(str(data), data_root).split:
        raise InvalidInput(
            f"{printable(data)} names the split {split}: a ladder is of a whole table, which it "
            "trains and measures on by splits. Leave it out."
        )
    table = load_dataset(absolute_spec(str(data)), root=data_root, columns=columns)
    if table.x.ndim != 2:
        raise InvalidInput(f"{printable(data)} holds images: the ladder is of tables.")
    climbing = _Ladder(
        table=table,
        data=str(data),
        folder=Path(output or Path("runs") / f"ladder.{variant(str(data))}"),
        latest=began + _LATEST * allowed,
        seeds=seeds,
        data_root=data_root,
        columns=columns or {},
        device=device,
        force=force,
        say=tell,
    )
    rungs = climbing.choose(only)
    # takes seconds, for which a table that is refused does not wait, and is no part of a training
    import zoo_core.training.train  # noqa: F401

    try:
        for rung in climbing.climb(rungs, began + allowed):
            tell(f"{rung.name}: {rung.seconds:.0f} s")
            found.append(rung)
    finally:
        shutil.rmtree(climbing.folder / _TRIES, ignore_errors=True)
    if (took := time.monotonic() - began) > allowed + 1:
        tell(f"the ladder took {took:.0f} s, and was to take {allowed:.0f} s")
    fitted = {rung.name for rung in found}
    for left in rungs:
        if left.name not in fitted and (place := climbing.place(left)).exists():
            tell(f"{printable(place)} is of an earlier ladder; it was not fitted again")
    if not found:
        left_out = "; ".join(line for line in said if " is left out: " in line)
        raise InvalidInput(f"no model could be fitted to this table: {left_out}.")
    return sorted(found, key=lambda rung: rung.test.parameters)


def _seconds(budget: float | str) -> float:
    """A time in seconds, of a number or a text."""
    seconds = float(budget) if is_number(budget) else math.nan
    if isinstance(budget, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", budget)):
        seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
    if not 0 < seconds < math.inf:
        raise InvalidInput(
            f"{argument('budget', budget)}: expected a time above 0, as 90s, 10m or 1h, or seconds."
        )
    return seconds


def _check(data: object, only: object, seeds: int, columns: object) -> None:
    """Refuse arguments of another type than the ladder takes."""
    data_name(data)
    if isinstance(only, str) or not isinstance(only, Sequence):
        raise InvalidInput(f"{argument('only', only)}: expected a list of names of rungs.")
    if not is_int(seeds) or seeds < 1:
        raise InvalidInput(f"{argument('seeds', seeds)}: expected a whole number, 1 or more.")
    if not isinstance(columns, Mapping | None):
        raise InvalidInput(
            f"{argument('columns', columns)}: expected kinds of columns by their names, as "
            "{'age': 'real'}."
        )


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
    """Before and after all epochs, less what measures validation."""
    row: float
    """To measure one."""


@dataclass(frozen=True)
class _Ladder:
    table: Dataset
    data: str
    folder: Path
    latest: float
    """Time of the clock after which nothing is trained."""
    seeds: int
    data_root: str | Path | None
    columns: Mapping[str, str]
    device: str
    force: bool
    say: Callable[[str], None]
    _paces: dict[str, _Pace] = field(default_factory=dict)
    """Of trainings of a recipe of any length."""

    def choose(self, only: Sequence[str]) -> list[Candidate]:
        """The rungs that fit the table, or those of them that are named.

        Raises what `ladder` does.
        """
        rungs = [rung for rung in candidates() if self.takes(rung)]
        if not rungs:
            raise InvalidInput("no installed family has an architecture for this table.")
        if unknown := set(only) - {rung.name for rung in rungs}:
            raise UnknownName(
                f"{quoted(min(unknown))} is no rung for this table; there are "
                f"{', '.join(rung.name for rung in rungs)}."
            )
        rungs = [rung for rung in rungs if not only or rung.name in only]
        if not self.force and any(self.place(rung).exists() for rung in rungs):
            raise OutputExists(
                f"{self.folder} already holds a ladder. Choose another folder "
                f"({argument('output', flag='-o')}), or replace it ({argument('force', True)})."
            )
        return rungs

    def place(self, rung: Candidate) -> Path:
        """The folder of a rung's run."""
        return self.folder / f"{rung.name}.{variant(self.data)}"

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
        began, name, tried = time.monotonic(), candidate.name, candidate.settings
        best, chosen, needed = math.inf, tried[0], self._beside
        try:
            self._check_size(candidate)
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

    def _check_size(self, rung: Candidate) -> None:
        """Refuse what a step of the training would be too slow for; counting says so itself."""
        if rung.counted:
            return
        cls = plugins.import_class(rung.record.path)
        columns = [column.table() for column in self.table.columns]
        of_data = {"shape": list(self.table.event_shape), "columns": columns}
        known = inspect.signature(cls).parameters
        begin = "config."
        config = {key: value for key, value in of_data.items() if key in known} | {
            key.removeprefix(begin): value
            for key, value in rung.settings[0].items()
            if key.startswith(begin)
        }
        n = sum(parameter.numel() for parameter in build_blank(cls, config).parameters())
        if n > _MOST_PARAMETERS:
            raise InvalidInput(
                f"it would have {n:,} parameters, and a ladder takes at most "
                f"{_MOST_PARAMETERS:,}. Leave columns of many values out, or train it by itself: "
                f"{command_line('zoo', 'train', rung.record.name, '--data', self.data)}"
            )

    def _rung(self, choice: _Choice, share: float) -> Rung | None:
        """Train a rung with the settings that were chosen; None, and said, where it cannot be.

        share: seconds that it may take, about, for all seeds.
        """
        began, rung, settings = time.monotonic(), choice.rung, choice.settings
        try:
            each = share / self.seeds
            tests_in = _MEASURED_IN * each
            # of the run the test split is measured for its entry too
            key = _key(rung.record.name, settings)
            testing = 2 * self._to_measure(key, "test", tests_in)
            recipe = self._recipe(rung, settings, each - testing)
            run, validation, _ = self._timed(rung, recipe, self.place(rung), each)
            validations = [validation]
            tests = [self._stand(rung.name, run, "test", tests_in)]
            for seed in range(1, self.seeds):  # all but the seed is the same
                each = _left(began + share) / (self.seeds - seed)
                seeded = recipe | {"seed": seed}
                other, validation, stopped = self._timed(rung, seeded, f"seed{seed}", each)
                if not stopped:
                    validations.append(validation)
                    tests.append(self._stand(rung.name, other, "test", tests_in))
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
        measuring = self._to_measure(key, "validation", _MEASURED_IN * seconds)
        left = _left(began + seconds) - pace.beside - measuring
        return int(min(_MOST_EPOCHS, max(1, left / max(1e-4, pace.epoch))))

    @property
    def _beside(self) -> float:
        """Seconds that the last training took beside its epochs, with a batch that is measured."""
        if not self._paces:
            return 0.0
        pace = next(reversed(self._paces.values()))
        return pace.beside + pace.row * min(BATCH, len(self._load("validation")))

    def _to_measure(self, key: str, split: str, seconds: float) -> float:
        """Seconds that measuring a split takes, of so many; none where the pace is not known."""
        pace = self._paces.get(key)
        return min(seconds, pace.row * len(self._load(split))) if pace else 0.0

    def _timed(
        self, rung: Candidate, recipe: dict[str, Any], folder: str | Path, seconds: float
    ) -> tuple[Run, Standing, bool]:
        """Train, measure on validation, and remember the pace; at last whether it was stopped.

        folder: where it is kept, or a name among those that are not.
        seconds: that are planned for it.
        """
        from zoo_core.training.train import train

        began, measured_in = time.monotonic(), _MEASURED_IN * seconds
        kept = isinstance(folder, Path)
        key = _key(rung.record.name, recipe)
        after = self._to_measure(key, "validation", measured_in)
        if kept:
            after += 2 * self._to_measure(key, "test", measured_in)
        ends = min(began + _SLACK * seconds, self.latest) - after
        limit = TimeLimit(ends, tests_in=measured_in if kept else 0.0)
        where = folder if kept else self.folder / _TRIES / folder
        force = self.force or not kept
        run = train(
            rung.record.name,
            family=rung.family,
            **recipe,
            output=where,
            force=force,
            callbacks=[limit],
        )
        if limit.reached and folder != "measured":
            self.say(
                f"{rung.name}: stopped at {limit.seconds:.0f} s, after "
                f"{limit.epochs / recipe['epochs']:.0%} of {_epochs_of(recipe)}: it was slower "
                "than planned"
            )
        trained = time.monotonic()
        standing = self._stand(rung.name, run, "validation", measured_in)
        row = (time.monotonic() - trained) / (standing.nats.n if standing.nats else 1)
        beside = trained - began - limit.seconds
        epoch = limit.seconds / max(limit.epochs, 1e-9)
        self._paces.pop(key, None)  # the last one is that of the last training
        self._paces[key] = _Pace(epoch, beside, row)
        return run, standing, limit.reached

    def _stand(self, name: str, run: Run, split: str, seconds: float) -> Standing:
        """Where a run stands on a split, by the rows that are measured in so many seconds."""
        rows = self._load(split)
        comparison = Comparison(self.data, self.data_root, table=rows)
        standing = comparison.stand(name, run.model, seconds=seconds)
        if standing.nats and standing.nats.n < len(rows):
            self.say(
                f"{name}: {standing.nats.n:,} of {len(rows):,} rows of the {split} split are "
                "measured, for all of which there is no time"
            )
        return standing

    def _load(self, split: str) -> Dataset:
        """A split of the table; the last few are kept in memory."""
        spec = absolute_spec(self.data)  # as trainings load it, so that it is encoded once
        return load_dataset(spec, split=split, root=self.data_root, columns=self.columns)


def _epochs_of(recipe: Mapping[str, Any]) -> str:
    n: int = recipe["epochs"]
    return counted(n, "epoch")


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
