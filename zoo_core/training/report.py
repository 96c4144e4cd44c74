"""What a run shows and writes as it trains: a bar, metrics as JSON lines, and their curve."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tqdm import tqdm

from zoo_core.errors import InvalidInput
from zoo_core.files import write_atomic
from zoo_core.rules import is_int
from zoo_core.text import argument, printable
from zoo_core.training.callbacks import Callback, Validation
from zoo_core.training.processes import gather

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.training.loop import Loop

__all__ = ["Report", "Reporting", "say"]

_LOG_EVERY = 50
"""Steps between rows of metrics.jsonl."""
_LONGEST = 2**20
"""Bytes of a line of it that are read."""
_DRAW_SECONDS = 30.0
"""Between drawings of the curve: one takes most of a second, as long as a short epoch."""


def say(line: str) -> None:
    """Show a line on stderr, above the bar where there is one."""
    tqdm.write(line, file=sys.stderr)


class Reporting(Callback):
    """Means of the losses over some steps go into a report, and so does each validation.

    They are means over all processes; the first one writes.

    Args:
        quiet: whether to show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.report: Report | None = None
        self._sums: dict[str, Any] = {}
        self._counts: Counter[str] = Counter()

    def begin(self, loop: Loop) -> None:
        """Open the report, behind what an earlier attempt has written of it."""
        total = loop.recipe.epochs * loop.batches.steps_per_epoch
        if loop.fabric.is_global_zero:
            self.report = Report(loop.folder, total, loop.progress.step, quiet=self.quiet)

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        """Record the mean losses, from time to time and at the end of an epoch.

        Raises InvalidInput when one of them is not finite.
        """
        step = loop.progress.step
        if self.report:
            self.report.advance()
        for key, value in losses.items():  # some are not of each step
            self._sums[key] = value + self._sums.get(key, 0.0)
        self._counts.update(losses.keys())
        if step % _LOG_EVERY and step % loop.batches.steps_per_epoch:
            return
        sums = gather(loop.fabric, {key: float(value) for key, value in self._sums.items()})
        means = {
            key: sum(own[key] for own in sums) / (self._counts[key] * len(sums))
            for key in self._sums
        }
        self._sums, self._counts = {}, Counter()
        if bad := [key for key, value in means.items() if not abs(value) < float("inf")]:
            raise InvalidInput(
                f"{bad[0]} is not finite at step {step}. Try a lower learning rate "
                f"({argument('lr')}) or gradient clipping (clip = 1 in the recipe)."
            )
        if self.report:
            where = {"step": step, "epoch": loop.progress.epoch + 1}
            self.report.step({**means, **loop.optimizers.rates}, **where)

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        """Record a validation."""
        if self.report:
            where = {"step": loop.progress.step, "epoch": loop.progress.epoch}
            self.report.validation(dict(validation.values), best=validation.best, **where)

    def end(self, loop: Loop) -> None:
        """Close the report."""
        if self.report:
            self.report.close()


class Report:
    """Collects the rows of a run folder's `metrics.jsonl` and shows where training stands.

    Args:
        folder: the run folder.
        steps: number of steps of the whole run.
        step: the step that training goes on from; later rows of an earlier attempt are dropped.
        quiet: whether to show nothing.
    """

    def __init__(self, folder: Path, steps: int, step: int = 0, *, quiet: bool = False) -> None:
        self.folder = folder
        self.path = folder / "metrics.jsonl"
        self.rows = [row for row in _read(self.path) if row["step"] <= step]
        self._file = self._rewrite()
        self._board = _tensorboard(folder)
        self._quiet = quiet
        # on a terminal a bar; elsewhere a line for each validation
        self._bar = tqdm(
            total=steps, initial=step, unit="step", disable=True if quiet else None, leave=False
        )
        self._started = (time.perf_counter(), step)
        self._drawn = time.monotonic()

    def step(self, values: dict[str, float], **where: int) -> None:
        """Record the mean losses since the last call."""
        seconds = time.perf_counter() - self._started[0]
        done = where["step"] - self._started[1]
        self._bar.set_postfix({key: f"{value:.4g}" for key, value in values.items()})
        self._row({**where, **values, "steps_per_s": round(done / seconds, 3)})

    def advance(self) -> None:
        """Move the bar by one step."""
        self._bar.update()

    def validation(self, values: dict[str, float], *, best: bool, **where: int) -> None:
        """Record a validation, and draw the curve where the last one is no longer fresh."""
        self._row({**where, **{f"val_{key}": value for key, value in values.items()}})
        if not self._quiet:
            means = ", ".join(f"validation {key} {value:.4f}" for key, value in values.items())
            at = f"epoch {where['epoch']}, step {where['step']}"
            say(f"{at}: {means}{' (best so far)' if best else ''}")
        if time.monotonic() - self._drawn > _DRAW_SECONDS:
            self._draw()

    def close(self) -> None:
        """Draw the curve a last time, if it has two points, and let go of terminal and files."""
        if sum(any(key.startswith("val_") for key in row) for row in self.rows) > 1:
            self._draw()
        self._bar.close()
        self._file.close()
        if self._board:
            self._board.close()

    def _draw(self) -> None:
        from zoo_core.output import plot_curve

        plot_curve(self.rows, self.folder / "curve.png")
        self._drawn = time.monotonic()

    def _row(self, row: dict[str, object]) -> None:
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        if self._board:
            for key in row.keys() - {"step", "epoch"}:
                self._board.add_scalar(key, row[key], row["step"])

    def _rewrite(self) -> Any:
        write_atomic(self.path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
        return self.path.open("a", encoding="utf-8")


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows that were written whole, without the half line that a killed run may leave."""
    if not path.is_file():
        return []
    with path.open("rb") as file:
        rows = [_row_of(line) for line in _lines(file)]
    if damaged := [number for number, row in enumerate(rows, start=1) if row is None]:
        say(
            f"warning: {printable(path)}: {len(damaged)} of its lines, from line {damaged[0]} on, "
            "are no rows of numbers. They are left out; the weights do not depend on them."
        )
    return [row for row in rows if row is not None]


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The whole lines of a file, up to one that is longer than any of ours."""
    while line := file.readline(_LONGEST):
        if line[-1:] == b"\n" or len(line) == _LONGEST:
            yield line
        if len(line) == _LONGEST:
            return


def _row_of(line: bytes) -> dict[str, Any] | None:
    """A row of the file; None for a line that is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not all(map(_is_value, row.values())):
        return None
    return row if is_int(row.get("step")) else None


def _is_value(value: object) -> bool:
    return isinstance(value, float) or is_int(value)


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
