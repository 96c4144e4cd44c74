"""`zoo run -o FOLDER/`: a task over rows of any number, in parts."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.pull import fetch_source
from zoo_core.errors import InvalidInput
from zoo_core.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo_core.loading import Source
    from zoo_core.registry import Entry

__all__ = ["run_in_parts"]

_QUIET_SECONDS = 60.0
"""Between two lines of progress in a log."""


def run_in_parts(
    origin: Entry | Source,
    task: str,
    folder: Path,
    *,
    as_json: bool,
    quiet: bool,
    devices: int | None,
    engine: str | None,
    device: str,
    dtype: str | None,
    **settings: Any,
) -> None:
    """Do this process's share of a task, and start the other processes where `devices` says so.

    engine: `ray` where its workers do all shares.
    settings: those of `zoo_core.bulk.run_parts`, and the task's own.
    """
    from zoo_core.bulk import Share, run_parts
    from zoo_core.bulk.shares import find_step, of_array, own_device, together

    step = find_step()
    source, share = fetch_source(origin, quiet=quiet), of_array(step)
    if engine == "ray":
        from zoo_core.bulk.on_ray import run_on_ray

        share, workers = Share(), devices or 1
        # by its name, since another machine has its own copy
        name = source.path.absolute() if source.entry is None else source.name
        done = run_on_ray(
            name, task, folder, workers=workers, device=device, dtype=dtype, **settings
        )
    else:
        from zoo_core import loading

        start = devices and devices > 1 and step.processes == 1
        with together(devices or 1) if start else nullcontext(step) as step:
            share = of_array(step)
            model = loading.load(source, device=own_device(device, share.local), dtype=dtype)
            progress = None if quiet or share.local else _progress()
            done = run_parts(model, task, folder, share=share, progress=progress, **settings)
    if as_json:
        place = {"process": share.rank + 1, "processes": share.processes}
        said = {
            "output": str(folder),
            **(place if share.processes > 1 else {}),
            "rows": done.rows,
            "parts": done.parts,
            "missing": done.missing,
            "seconds": round(done.seconds, 3),
            "notes": list(done.notes),
            **({"figures": list(done.figures)} if done.figures else {}),
        }
        if not share.local:  # the processes of a machine share one output, which is one document
            text.echo_json(said)
    elif not sys.stdout.isatty() and not share.rank:
        click.echo(folder)
    if not quiet:
        for line in (*done.notes, *done.figures):
            click.echo(line, err=True)
        of = f"process {share.rank + 1} of {share.processes}: " if share.processes > 1 else ""
        missing = done.missing
        are = "is" if missing == 1 else "are"
        left = f"; {counted(missing, 'part')} {are} missing yet" if missing else ""
        click.echo(
            f"{of}{counted(done.rows, 'row')} in {counted(done.parts, 'part')} "
            f"({done.seconds:.2f} s, {done.rows / done.seconds:,.0f} rows/s) -> {folder}{left}",
            err=True,
        )
    if done.failed:
        raise InvalidInput(
            f"{len(done.failed)} of the inputs could not be read as images: "
            f"{', '.join(done.failed[:16])}. The others are done."
        )


def _progress() -> Callable[[int, int], None]:
    """Show rows, rows per second and the time that is left: a line a minute in a log."""
    start, live = time.monotonic(), sys.stderr.isatty()
    said = start

    def show(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if live and done == total:
            click.echo("\r\033[K", err=True, nl=False)
        elif live or now - said >= _QUIET_SECONDS:
            said, speed = now, done / max(now - start, 1e-9)
            line = f"{done:,} of {total:,} rows, {speed:,.0f} rows/s, "
            line += f"{_span((total - done) / speed)} left"
            click.echo(f"\r\033[K{line}" if live else line, err=True, nl=not live)

    return show


def _span(seconds: float) -> str:
    """A time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
