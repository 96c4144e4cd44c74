"""`zoo plugin`: create a plugin family, and check it against the laws."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, json_option
from zoo_core.errors import PluginError
from zoo_core.files import user_path
from zoo_core.text import command_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo_core.testing import Verdict

__all__ = ["command"]


@click.group("plugin")
def command() -> None:
    """Create a plugin family, and check it."""


@command.command("new")
@click.argument("name")
@click.option("--path", type=UserPath(), help="Folder to write. [default: zoo-NAME, here]")
def new(name: str, path: Path | None) -> None:
    """Write a complete package: one toy architecture, a recipe, tests.

    It installs and keeps every law as it is; put your model in place of the toy. Nothing is
    overwritten.
    """
    from zoo_core.cli import project

    name = project.check_name(name)
    folder = path or Path(f"zoo-{name}")
    for file in project.write(name, folder):
        click.echo(folder / file)
    click.echo(
        f"\nNext:\n  {command_line('cd', folder)}\n  zoo plugin check .\n"
        "  pip install -e '.[test]'\n"
        f"  zoo train recipes/{name}.bars-and-stripes.toml\n"
        f"  zoo run runs/{name}.bars-and-stripes",
        err=True,
    )


def _complete(
    context: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from zoo_core.plugins import installed

    if incomplete.startswith((".", "/", "~")):
        return [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(name) for name in installed() if name.startswith(incomplete)]


@command.command("check")
@click.argument("what", metavar="[PATH|NAME]", default=".", shell_complete=_complete)
@click.option("--law", "laws", multiple=True, help="Check this law alone. Repeatable.")
@click.option(
    "--architecture",
    "architectures",
    multiple=True,
    metavar="NAME",
    help="Check this architecture alone. Repeatable.",
)
@click.option("--verbose", "-v", is_flag=True, help="Print the sentence of each law.")
@json_option()
def check(
    what: str,
    laws: tuple[str, ...],
    architectures: tuple[str, ...],
    verbose: bool,
    as_json: bool,
) -> int:
    """Check a family against the laws of every family.

    PATH is the folder of a project, which need not be installed; NAME that of an installed
    family. A law that a model does not keep is declared in its record, with the reason, and shown
    as skipped. Exit code 4 when a law is broken.
    """
    if Path(what).is_dir() or os.sep in what:
        options = [word for law in laws for word in ("--law", law)]
        options += [word for name in architectures for word in ("--architecture", name)]
        options += ["--verbose"] * verbose + ["--json"] * as_json
        return _check_project(user_path(what), options)
    _check_laws(what, laws)
    from zoo_core.testing import check

    verdicts: list[Verdict] = []
    for verdict in check(what, laws or None, architectures or None):
        if not as_json:
            _show(verdict, verbose, verdicts)
        verdicts.append(verdict)
    if as_json:
        text.echo_json([asdict(verdict) for verdict in verdicts])
    _conclude(what, verdicts)
    return 0


def _check_project(folder: Path, options: list[str]) -> int:
    """Check each family of a project, in a process that finds it as if it were installed."""
    from zoo_core.cli.project import read_project, stage
    from zoo_core.hookspecs import GROUP

    project = read_project(folder)
    code = 0
    with tempfile.TemporaryDirectory() as site:
        path = stage(folder, project, Path(site))
        for name in project["entry-points"][GROUP]:
            done = subprocess.run(
                [sys.executable, "-m", "zoo_core", "plugin", "check", name, *options],
                env={**os.environ, "PYTHONPATH": path},
                check=False,
            )
            code = code or done.returncode
    return code


def _check_laws(family: str, laws: Iterable[str]) -> None:
    from zoo_core import plugins
    from zoo_core.errors import UnknownName, did_you_mean
    from zoo_core.testing import FAMILY_LAWS, LAWS

    records = plugins.load(family).architectures.values()
    own = [path.rpartition(":")[2] for record in records for path in record.check.laws]
    known = [*FAMILY_LAWS, *LAWS, *own]
    for law in laws:
        if law not in known:
            raise UnknownName(f"there is no law '{law}'.{did_you_mean(law, known)}")


_MARKS = {
    "passed": ("ok  ", "green"),
    "failed": ("FAIL", "red"),
    "skipped": ("skip", "yellow"),
}


def _show(verdict: Verdict, verbose: bool, before: Iterable[Verdict]) -> None:
    """Print the outcome of a law; a cause that was printed before is not repeated."""
    mark, colour = _MARKS[verdict.outcome]
    said = verdict.outcome != "passed" or verbose
    lines = verdict.text.splitlines() if said else []
    same = (each.law for each in before if each.cause and each.cause == verdict.cause)
    if (first := next(same, None)) and not verbose:
        lines = [f"for the same cause as {first}: {verdict.cause}"]
    click.echo(f"{click.style(mark, fg=colour)}  {verdict.law}  {verdict.case}")
    for line in lines:
        click.echo(f"      {line.strip()}")


def _conclude(name: str, verdicts: list[Verdict]) -> None:
    """Count, and fail when a law is broken."""
    counts = {
        outcome: sum(verdict.outcome == outcome for verdict in verdicts) for outcome in _MARKS
    }
    said = ", ".join(f"{n} {outcome}" for outcome, n in counts.items() if n)
    if counts["failed"]:
        broken = dict.fromkeys(v.law for v in verdicts if v.outcome == "failed")
        raise PluginError(f"family '{name}' breaks {', '.join(broken)} ({said}).")
    if not verdicts:
        raise PluginError(
            f"no architecture of family '{name}' could be checked against a law; without --law, "
            f"{command_line('zoo', 'plugin', 'check', name)} says why."
        )
    click.echo(f"{name}: {said}", err=True)
