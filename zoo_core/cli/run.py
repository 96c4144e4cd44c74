"""`zoo run`: flags become the options of a task, and its result becomes files and a picture.

The command knows no task: its flags, their help and their completion are made from the options of
the one that its arguments name, and `zoo_core.run` does the rest. So the task is chosen before the
weights are fetched: what cannot be done, or is mistyped, costs no download.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, complete_entry, json_option
from zoo_core.cli.pull import fetch_source
from zoo_core.cli.task_flags import Asked, TaskCommand, complete_task
from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.files import exists, user_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn

    from zoo_core.hookspecs import Task
    from zoo_core.loading import Source
    from zoo_core.tasks.result import Result
    from zoo_core.tasks.sampler import Sampler

__all__ = ["command"]

_SLASHES = tuple({"/", os.sep})
"""At the end of an output that is a folder."""
_PREVIEW = 16
"""Rows of a table that a terminal is shown."""


@click.command("run", cls=TaskCommand)
@click.argument("name", metavar="ENTRY|FOLDER|FILE", shell_complete=complete_entry)
@click.option(
    "--task",
    "-t",
    shell_complete=complete_task,
    help="What to do: `--task NAME --help` shows its options. [default: sample, where the model "
    "can]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), help="[default: one at random, which is shown]"
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 or mps.")
@click.option("--dtype", help="Type of the weights, such as bfloat16. [default: the model's own]")
@click.option(
    "--output",
    "-o",
    "outputs",
    multiple=True,
    metavar="FILE|FOLDER/",
    help="File to write, by its suffix: .png, .gif pictures; .csv, .json, .parquet rows; .npz, "
    ".safetensors tensors. Repeatable. A FOLDER/, with the slash, gets the result in parts: for "
    "more rows than fit into memory, by one or several processes; the same command goes on after a "
    "stop. [default: ENTRY-TASK.png or .csv, here]",
)
@click.option("--force", "-f", is_flag=True, help="Overwrite the files of -o, or of its default.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Samples or inputs at a time. [default: 256; for a FOLDER/ by the size of a row]",
)
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    help="Rows of each part in a FOLDER/. [default: by the size of a row]",
)
@click.option(
    "--part-suffix",
    metavar="SUFFIX",
    help="Of the parts in a FOLDER/. [default: .parquet, or .npz of images]",
)
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    help="Processes that share the parts of a FOLDER/, each with a device. [default: 1, or as many "
    "as torchrun or SLURM started]",
)
@click.option(
    "--engine",
    type=click.Choice(["torch", "onnx", "ray"]),
    help="onnx: samples by onnxruntime, which starts several times as fast; the model is exported "
    "for it once. ray: workers of the Ray cluster at RAY_ADDRESS, or of a Ray that is started "
    "here, share the parts of a FOLDER/. [default: torch, or onnx where it has been exported]",
)
@click.option("--data-root", type=UserPath(), help="Folder of the data sets.")
@json_option()
@click.option("--quiet", "-q", is_flag=True, help="No picture, no summary, no progress.")
@click.pass_context
def command(
    context: click.Context,
    /,
    name: str,
    task: str | None,
    seed: int | None,
    device: str,
    dtype: str | None,
    outputs: tuple[str, ...],
    force: bool,
    batch_size: int | None,
    part_rows: int | None,
    part_suffix: str | None,
    devices: int | None,
    engine: str | None,
    data_root: Path | None,
    as_json: bool,
    quiet: bool,
    **options: object,
) -> None:
    """Run a task of a model: sample, score, reconstruct and others.

    An ENTRY is pulled when it is not here yet; instead, the FOLDER of a training run or a
    safetensors FILE can be named. The picture goes to the terminal and into a file, whose path is
    printed where the output is no terminal.
    """
    from zoo_core.output import save_free

    asked = Asked.of(context)
    assert asked.origin is not None and asked.task is not None  # or parsing would have failed
    if any(output.endswith(_SLASHES) for output in outputs):
        if engine == "onnx":
            raise InvalidInput("--engine onnx is for a result in one piece, not for a FOLDER/.")
        from zoo_core.cli.run_parts import run_in_parts

        run_in_parts(
            asked.origin,
            asked.task.name,
            _one_folder(outputs, force),
            as_json=as_json,
            quiet=quiet,
            devices=devices,
            engine="ray" if engine == "ray" else None,
            device=device,
            dtype=dtype,
            seed=seed or 0,
            batch_size=batch_size,
            part_rows=part_rows,
            part_suffix=part_suffix,
            data_root=data_root,
            **options,
        )
        return
    _refuse_parts(
        {
            "--part-rows": part_rows,
            "--part-suffix": part_suffix,
            "--devices": devices,
            "--engine": "ray" if engine == "ray" else None,
        }
    )
    files = [user_path(output) for output in outputs]
    _check_outputs(files, force, options.values())
    source = fetch_source(asked.origin, quiet=quiet)
    model: nn.Module | Sampler | None = None
    if engine != "torch":
        plain = device == "cpu" and dtype is None
        model = _sampler(asked.task, source, options, plain, must=engine == "onnx", quiet=quiet)
    model = model or _load(source, device, dtype)
    paths = _paths(asked.task, source.name, model, files, as_json, force)
    start = time.perf_counter()
    result = _run(
        model,
        asked.task.name,
        seed=seed,
        batch_size=batch_size or 256,
        data_root=data_root,
        progress=_progress if sys.stderr.isatty() and not quiet else None,
        **options,
    )
    seconds = time.perf_counter() - start
    meant, paths = paths, [save_free(p, lambda q: result.save(q, force=force)) for p in paths]
    if as_json:
        text.echo_json(_to_json(result, paths))
    elif sys.stdout.isatty() and not quiet:
        _show(result)
    elif not sys.stdout.isatty():
        click.echo("\n".join(map(str, paths)))
    if not quiet:
        seeded = (f"seed {result.provenance['seed']}",) if asked.task.random else ()
        _summarize(result, (*seeded, f"{seconds:.2f} s"), paths)
    if outputs and paths != meant:
        taken = ", ".join(str(path) for path in meant if path not in paths)
        raise OutputExists(
            f"another process wrote {taken} while this one worked; the result is in "
            f"{', '.join(map(str, paths))}."
        )
    if result.failed:
        raise InvalidInput(
            f"{len(result.failed)} of the inputs could not be read as images: "
            f"{', '.join(result.failed)}. The others are done."
        )


def _sampler(
    task: Task, source: Source, options: Mapping[str, Any], plain: bool, *, must: bool, quiet: bool
) -> Sampler | None:
    """What samples without torch; None where none was exported, or for what it does not know.

    plain: whether neither a device nor a type is asked for.
    must: export what is not there, and refuse what it does not know.
    """
    if not must and (task.name != "sample" or not plain):
        return None
    if task.name != "sample":
        raise InvalidInput(
            f"--engine onnx is for the task sample, and {source.name} would run {task.name}. Use "
            "--engine torch, or leave --engine out."
        )
    from zoo_core.tasks import sampler

    found = sampler.find(source)
    if must and not found:
        if not quiet:
            click.echo(f"exporting {source.name} for onnxruntime, once", err=True)
        found = sampler.export(source)
    if found and plain and found.takes(options):
        return found
    if must:
        raise InvalidInput(
            "--engine onnx samples on the CPU, by -n, --seed and, of a chain-rule model, "
            "--temperature alone. Leave the other options out, or use --engine torch."
        )
    return None


def _load(source: Source, device: str, dtype: str | None) -> nn.Module:
    from zoo_core import loading

    return loading.load(source, device=device, dtype=dtype)


def _run(model: nn.Module | Sampler, task: str, **settings: Any) -> Result:
    from zoo_core.tasks import running, sampler

    if isinstance(model, sampler.Sampler):
        return model.run(**settings)
    return running.run(model, task, **settings)


def _one_folder(outputs: Sequence[str], force: bool) -> Path:
    """The folder that gets the parts; raises InvalidInput where something else is named too."""
    if len(outputs) > 1:
        raise InvalidInput(
            f"--output {', '.join(outputs)}: a folder gets the whole result. Give one --output."
        )
    if force:
        raise InvalidInput(
            f"--force: the parts in {outputs[0]} are not overwritten, the command goes on with "
            "them. Delete the folder, or give another one."
        )
    return user_path(outputs[0])


def _refuse_parts(flags: Mapping[str, object]) -> None:
    """Refuse flags of a folder of parts where none is named."""
    if given := [flag for flag, value in flags.items() if value is not None]:
        raise InvalidInput(
            f"{given[0]} is for a result in parts: give --output FOLDER/, with the slash."
        )


def _check_outputs(outputs: Sequence[Path], force: bool, given: Iterable[object]) -> None:
    """Refuse what cannot be written, before anything is fetched or loaded.

    given: the values of options, among them files that are read.
    """
    from zoo_core import output
    from zoo_core.tasks.result import SUFFIXES, check_suffix

    texts = chain.from_iterable(v if isinstance(v, tuple) else (v,) for v in given)
    read = [Path(text) for text in texts if isinstance(text, str) and exists(Path(text))]
    for path in outputs:
        check_suffix(path, SUFFIXES)
        output.check_free(path, force=force)
        if path.exists() and any(path.samefile(each) for each in read):
            raise InvalidInput(f"--output {path} is read, too, and would be lost: name another.")


def _paths(
    task: Task,
    name: str,
    model: nn.Module | Sampler,
    outputs: Sequence[Path],
    as_json: bool,
    force: bool,
) -> list[Path]:
    """The files to write: those that were named, else free ones here, or with force the first."""
    from zoo_core.output import check_free, free_names
    from zoo_core.tasks import suffixes
    from zoo_core.tasks.result import check_suffix

    known = suffixes(task, model)
    for path in outputs:
        check_suffix(path, known)
    if outputs:
        return list(dict.fromkeys(outputs))
    if as_json and ".json" in known:
        return []  # the rows go to the standard output
    stem, endings = f"{Path(name).name}-{task.name}", known[: task.defaults]
    paths = [Path(stem + each) for each in endings] if force else free_names(stem, endings)
    for path in paths:
        check_free(path, force=force)
    return paths


def _progress(done: int, n: int) -> None:
    """Show how many samples or inputs are done; clear the line when all are."""
    click.echo("\r\033[K" if done == n else f"\r{done:,} of {n:,}", err=True, nl=False)


def _to_json(result: Result, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "summary": result.summary,
        "figures": list(result.figures),
        "notes": list(result.notes),
        "outputs": [str(path) for path in paths],
        "rows": list(result.rows),
        "provenance": dict(result.provenance),
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


def _preview(rows: Sequence[Mapping[str, object]]) -> list[str]:
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


def _summarize(result: Result, more: Sequence[str], paths: Sequence[Path]) -> None:
    for note in result.notes:
        click.echo(note, err=True)
    said = ", ".join([*result.figures, *more])
    where = f" -> {', '.join(map(str, paths))}" if paths else ""
    click.echo(f"{result.summary} ({said}){where}", err=True)
