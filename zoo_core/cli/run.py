"""`zoo run`: a model draws, scores, reconstructs: whatever task it can do."""

from __future__ import annotations

import math
import shlex
import sys
import time
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from zoo_core.cli import text
from zoo_core.cli.arguments import complete_entry, json_option
from zoo_core.cli.pull import fetched
from zoo_core.errors import InvalidInput, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from zoo_core.loading import Source
    from zoo_core.plugins import Family
    from zoo_core.registry import Entry
    from zoo_core.tasks import Task
    from zoo_core.tasks.result import Result

__all__ = ["command"]

SUFFIXES = (".png", ".gif", ".csv", ".json", ".npz", ".safetensors")

_NAMED = 4
"""Models that are named where one cannot do what it is asked."""
_PREVIEW = 16
"""Rows of a table that a terminal is shown."""


def _complete_task(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from zoo_core.tasks import TASKS

    return [
        CompletionItem(name, help=task.summary)
        for name, task in TASKS.items()
        if name.startswith(incomplete)
    ]


class _Command(click.Command):
    """A command whose help ends with the tasks: they are read only for it."""

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each task, with the options of its own."""
        from zoo_core.tasks import TASKS

        with formatter.section("Tasks"):
            formatter.write_dl([(name, _described(task)) for name, task in TASKS.items()])


def _described(task: Task) -> str:
    own = ", ".join(f"{key}={value}" for key, value in task.settings.items())
    return f"{task.summary}. --set {own}" if own else task.summary


@click.command("run", cls=_Command)
@click.argument("name", metavar="ENTRY|FOLDER|FILE", shell_complete=complete_entry)
@click.option(
    "--task",
    "-t",
    shell_complete=_complete_task,
    help="What to do. [default: sample, where the model can]",
)
@click.option(
    "-n",
    "n",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="sample, nearest: samples to draw.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="[default: drawn, and said]")
@click.option(
    "--temperature",
    type=float,
    default=1.0,
    show_default=True,
    help="Above 0; less than 1 draws what is more probable.",
)
@click.option("--label", type=int, help="sample: the class to draw, where the model has classes.")
@click.option(
    "--prompt",
    "prompts",
    metavar="TEXT",
    multiple=True,
    help="sample, interpolate: the text to draw, where the model reads. Repeatable.",
)
@click.option(
    "--to", default="", metavar="DOMAIN", help="translate: the domain, as openmoji, or all."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.option("--dtype", help="Type of the weights, as bfloat16. [default: the model's own]")
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File to write, by its suffix: .png, .gif pictures; .csv, .json rows; .npz, .safetensors "
    "tensors. Can be repeated. [default: ENTRY-TASK.png or .csv, here]",
)
@click.option("--force", "-f", is_flag=True, help="Overwrite.")
@click.option(
    "--input",
    "-i",
    "inputs",
    multiple=True,
    help="Image file, folder, table or data set such as mnist:test[0:16]. Can be repeated.",
)
@click.option("--against", multiple=True, help="detect: odd inputs; gives the AUROC. Repeatable.")
@click.option(
    "--keep",
    default="top",
    show_default=True,
    help="complete: the part that is given: top, left, or a picture that is white there.",
)
@click.option(
    "--patch",
    "patches",
    metavar="X,Y,W,H",
    multiple=True,
    help="complete: a part that is given, in pixels, where the model takes parts; by default it "
    "finds some. Repeatable.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="complete: completions of each input.",
)
@click.option(
    "--set",
    "assignments",
    metavar="KEY=VALUE",
    multiple=True,
    help="An option of the task's own: below, each with its default. Repeatable.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Samples or inputs at a time.",
)
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder of the data sets.")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="No picture, no summary, no progress.")
@click.pass_context
def command(
    context: click.Context,
    /,
    name: str,
    task: str | None,
    device: str,
    dtype: str | None,
    outputs: tuple[Path, ...],
    force: bool,
    as_json: bool,
    quiet: bool,
    seed: int | None,
    assignments: tuple[str, ...],
    **options: Any,
) -> None:
    """Run a model: draw, score, reconstruct and whatever else it can.

    An ENTRY is pulled when it is not here yet; instead, the FOLDER of a training run or a
    safetensors FILE can be named. The picture goes to the terminal and into a file, whose path is
    printed where the output is no terminal.
    """
    from zoo_core import loading, plugins
    from zoo_core.tasks import choose, find, settings

    _check(options["temperature"], outputs, force)
    origin = loading.resolve(name)
    family = plugins.require(origin.family, origin.requires)
    possible = plugins.architecture(origin.architecture, origin.family).tasks
    try:
        task = choose(task, possible, origin.name)
    except InvalidInput as error:
        raise InvalidInput(f"{error}{_about_likelihood(task, origin)}") from None
    job = find(task)
    _check_used(task, job, context)
    own = settings(job, f"the task {task}", assignments)
    source = fetched(origin, quiet=quiet)
    model = loading.load(source, device=device, dtype=dtype)
    if not job.does(model):
        raise InvalidInput(
            f"{origin.name} cannot {task}: the task needs a model that is a "
            f"{job.protocol.rpartition(':')[2]}."
        )
    paths = _paths(task, job, source, model, outputs, as_json)

    from zoo_core.tasks.request import Request

    seed = _random_seed() if seed is None else seed
    data = source.entry.data if source.entry else source.metadata.get("data", "")
    request = Request(name=source.name, data=data, seed=seed, settings=own, **options)
    start = time.perf_counter()
    result = job.load()(model, request)
    seconds = time.perf_counter() - start

    provenance = _provenance(context, task, source, family, model, seed)
    for path in paths:
        result.save(path, provenance, force=force)
    if as_json:
        text.echo_json(_as_json(result, provenance, paths))
    elif sys.stdout.isatty() and not quiet:
        _show(result)
    elif not sys.stdout.isatty():
        click.echo("\n".join(map(str, paths)))
    if not quiet:
        said = (f"seed {seed}",) if job.random else ()
        _tell(result, (*said, f"{seconds:.2f} s"), paths)
    if result.failed:
        raise InvalidInput(
            f"{len(result.failed)} of the inputs could not be read as images: "
            f"{', '.join(result.failed)}. The others are done."
        )


def _check(temperature: float, outputs: Sequence[Path], force: bool) -> None:
    """Refuse what cannot work, before anything is fetched or loaded."""
    from zoo_core import output

    if not (math.isfinite(temperature) and temperature > 0):
        raise InvalidInput(
            f"--temperature {temperature:g}: expected a number above 0; 1 samples the model itself."
        )
    for path in outputs:
        if path.suffix.lower() not in SUFFIXES:
            raise InvalidInput(_unknown_suffix(path, SUFFIXES))
        output.check_free(path, force=force)


def _about_likelihood(task: str | None, origin: Entry | Source) -> str:
    """Why a model that only draws cannot score, and which ones can; nothing of other tasks."""
    from zoo_core.loading import Source
    from zoo_core.registry import list_entries
    from zoo_core.tasks import TASKS

    if task not in TASKS or TASKS[task].protocol != "Scored":
        return ""
    data = origin.metadata.get("data") if isinstance(origin, Source) else origin.data
    able = sorted(
        (entry for entry in list_entries() if task in entry.tasks),
        key=lambda entry: entry.data != data,
    )
    names = ", ".join(entry.name for entry in able[:_NAMED])
    return (
        " It draws, but has no likelihood: it gives no probability of an input, nor a bound of one."
        + (f" Models that {task}: {names}." if names else "")
    )


def _check_used(task: str, job: Task, context: click.Context) -> None:
    """Refuse options that were given and that the task would ignore.

    Those that no task names are for all of them.
    """
    from zoo_core.tasks import TASKS

    for option in context.command.params:
        takers = [name for name, other in TASKS.items() if option.name in other.options]
        ignored = takers and option.name not in job.options
        if ignored and context.get_parameter_source(option.name) is not ParameterSource.DEFAULT:
            raise InvalidInput(
                f"the task {task} does not use {option.opts[0]}: "
                f"name one that does, as --task {' or '.join(takers)}."
            )


def _unknown_suffix(path: Path, known: Sequence[str]) -> str:
    given = f"suffix '{path.suffix}'" if path.suffix else "a name without a suffix"
    near = did_you_mean(path.suffix, known)
    return (
        f"--output {path}: {given} names no format that can be written here.{near} "
        f"Known are {', '.join(known)}."
    )


def _paths(
    task: str, job: Task, source: Source, model: nn.Module, outputs: Sequence[Path], as_json: bool
) -> list[Path]:
    """The files to write: those that were named, else free ones in the current folder."""
    from zoo_core.output import check_free, free_names

    suffixes = job.suffixes(cast("tuple[int, ...]", model.event_shape))
    for path in outputs:
        if path.suffix.lower() not in suffixes:
            raise InvalidInput(_unknown_suffix(path, suffixes))
    if outputs:
        return list(dict.fromkeys(outputs))
    if as_json and ".json" in suffixes:
        return []  # the rows go to the standard output
    free = free_names(f"{Path(source.name).name}-{task}", suffixes[: job.defaults])
    for path in free:
        check_free(path)
    return free


def _random_seed() -> int:
    import secrets

    return secrets.randbelow(10**6)


def _provenance(
    context: click.Context, task: str, source: Source, family: Family, model: nn.Module, seed: int
) -> dict[str, Any]:
    """Everything that it takes to make a result again."""
    import platform
    from datetime import UTC, datetime

    import torch

    from zoo_core import __version__

    tensor = next(model.parameters(), torch.empty(0))
    return {
        "entry": source.name,
        "architecture": source.architecture,
        "task": task,
        "sha256": source.sha256,
        "seed": seed,
        "device": str(tensor.device),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "versions": {
            "zoo-core": __version__,
            family.distribution: family.version,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "command": _command_line(context, seed),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _command_line(context: click.Context, seed: int) -> str:
    """The command that repeats this one, with the seed that was drawn."""
    words = ["zoo", "run", context.params["name"]]
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if option.name in ("name", "seed") or given is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = context.params[option.name or ""]
        for one in value if isinstance(value, tuple) else (value,):
            words += [option.opts[0]] if one is True else [option.opts[0], str(one)]
    return shlex.join([*words, "--seed", str(seed)])


def _as_json(
    result: Result, provenance: Mapping[str, Any], paths: Sequence[Path]
) -> dict[str, Any]:
    from zoo_core.output import finite

    return {
        "summary": result.summary,
        "figures": list(result.figures),
        "notes": list(result.notes),
        "outputs": [str(path) for path in paths],
        "rows": finite(result.rows),
        "provenance": dict(provenance),
    }


def _show(result: Result) -> None:
    """A picture, or the first rows, on the terminal."""
    if result.images is not None:
        from zoo_core.output import show

        shown, n = show(result.images, columns=result.columns)
        if shown < n:
            click.echo(f"{shown} of {n} pictures fit here; the file holds all.", err=True)
        return
    if result.rows:
        for line in _preview(result.rows):
            click.echo(line)


def _preview(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    head, limit = list(rows[0]), text.width()
    cells = [[_text(value) for value in row.values()] for row in rows[:_PREVIEW]]
    if len(head) > 8:
        lines = [_side_by_side(row) for row in cells]
        lines = [line if len(line) <= limit else line[: limit - 1] + "…" for line in lines]
    else:
        lines = text.table(head, cells, limit)
    more = len(rows) - _PREVIEW
    return [*lines, f"… and {more:,} more"] if more > 0 else lines


def _side_by_side(row: Sequence[str]) -> str:
    """Cells in a line; digits need no space between them."""
    runs = groupby(row, key=lambda cell: len(cell) == 1)
    return " ".join(("" if digits else " ").join(run) for digits, run in runs)


def _text(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _tell(result: Result, more: Sequence[str], paths: Sequence[Path]) -> None:
    for note in result.notes:
        click.echo(note, err=True)
    said = ", ".join([*result.figures, *more])
    where = f" -> {', '.join(map(str, paths))}" if paths else ""
    click.echo(f"{result.summary} ({said}){where}", err=True)
