"""`zoo ladder`: every explicit model that fits a table, in one table and one plot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, columns_option, json_option
from zoo_core.cli.standings import cells, head, notes, points, to_json
from zoo_core.text import hidden

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_core.training.ladder import Rung

__all__ = ["command"]


@click.command("ladder")
@click.argument("data")
@click.option("--data-root", type=UserPath(), help="Folder of the data sets.")
@columns_option()
@click.option("--budget", default="10m", show_default=True, help="Time for all, as 90s, 10m or 1h.")
@click.option("--rung", "only", multiple=True, help="One to fit, of several. [default: all]")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Trainings of each model, for the deviation of its figure.",
)
@click.option("-o", "--output", type=UserPath(), help="Folder. [default: runs/ladder.DATA]")
@click.option("--force", "-f", is_flag=True, help="Replace the runs that the folder holds.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@json_option()
def command(
    data: str,
    data_root: Path | None,
    columns: dict[str, str] | None,
    budget: str,
    only: tuple[str, ...],
    seeds: int,
    output: Path | None,
    force: bool,
    device: str,
    as_json: bool,
) -> None:
    """Fit every explicit model to a table, from the fewest parameters to the most.

    Settings are chosen on the validation split, figures are of the test split. Each rung is a run,
    which `zoo run` takes.

    \b
    zoo ladder my.csv
    zoo ladder my.csv --columns age=real,id=skip --budget 1h --seeds 3
    """  # noqa: D301 - click looks for the character backspace
    from zoo_core import output as files
    from zoo_core.training.ladder import ladder

    rungs = ladder(
        data,
        budget=budget,
        only=only,
        seeds=seeds,
        columns=columns,
        data_root=data_root,
        output=output,
        force=force,
        device=device,
    )
    plot = rungs[0].run.folder.parent / "ladder.png"
    tests = [rung.test for rung in rungs]
    files.plot_points(
        points(tests),
        plot,
        x_label="parameters",
        y_label="nats (less is better)",
        title=f"{hidden(data)}, test",
        provenance={"task": "ladder", "data": hidden(data), "budget": budget, "seeds": seeds},
        force=True,
    )
    if as_json:
        text.echo_json(
            {"data": data, "rungs": [_to_json(rung) for rung in rungs], "plot": str(plot)}
        )
        return
    click.echo("\n".join(_table(rungs)))
    click.echo(f"{_advice(rungs)} -> {plot}", err=True)


def _table(rungs: Sequence[Rung]) -> list[str]:
    several = any(rung.deviation is not None for rung in rungs)
    heads = (*head("test"), "VALIDATION NATS", *(["SEEDS ±"] if several else []), "SECONDS")
    lines = text.table(heads, [_cells(rung, several) for rung in rungs], text.width())
    return [*lines, *notes([rung.test for rung in rungs])]


def _cells(rung: Rung, several: bool) -> tuple[str, ...]:
    nats = rung.validation.nats
    deviation = ["-" if rung.deviation is None else f"{rung.deviation:.3f}"] if several else []
    validation = f"{nats.value:.3f}" if nats else "-"
    return (*cells(rung.test), validation, *deviation, f"{rung.seconds:.0f}")


def _to_json(rung: Rung) -> dict[str, Any]:
    validation = rung.validation.nats
    return {
        **to_json(rung.test),
        "validation_nats": validation and validation.value,
        "nats_of_seeds": list(rung.of_seeds),
        "deviation_over_seeds": rung.deviation,
        "seconds": rung.seconds,
        "settings": dict(rung.settings),
        "run": str(rung.run.folder),
    }


def _advice(rungs: Sequence[Rung]) -> str:
    """Which to use, by validation, and what is better or smaller."""
    from zoo_core.training.rungs import difference, to_use

    best, use = min(rungs, key=lambda rung: rung.nats), to_use(rungs)
    line = f"use {use.run.folder}: {use.nats:.3f} nats on validation"
    if use is not best:
        lost = difference(use.validation, best.validation)
        return (
            f"{line}; {best.name} takes {lost.value:.3f} less with {_times(best, use)}, which is "
            f"within the standard error of the difference, {lost.error:.3f}"
        )
    smaller = [rung for rung in rungs if rung.test.parameters < use.test.parameters]
    if not smaller:
        return line
    next_best = min(smaller, key=lambda rung: rung.nats)
    gain = difference(next_best.validation, use.validation)
    return (
        f"{line}, {gain.value:.3f} ± {gain.error:.3f} less than {next_best.name} with "
        f"{_times(use, next_best)}"
    )


def _times(larger: Rung, smaller: Rung) -> str:
    times = larger.test.parameters / max(1, smaller.test.parameters)
    return f"{times:,.1f} times the parameters"
