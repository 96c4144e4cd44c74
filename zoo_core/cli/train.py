"""`zoo train`: a recipe or an architecture becomes weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, columns_option
from zoo_core.errors import CheckFailed, InvalidInput
from zoo_core.text import command_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]


@click.command("train")
@click.argument("what", metavar="RECIPE|ARCHITECTURE", default="")
@click.option("--data", help="Data set: a name, a folder or a table. Replaces the recipe's.")
@click.option("--data-root", type=UserPath(), help="Folder of the data sets.")
@columns_option()
@click.option("--size", type=click.IntRange(min=1), help="Resize and crop images to this side.")
@click.option("--gray", is_flag=True, default=None, help="Convert colour images to grey.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training data.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Inputs per step, of all processes.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--seed", type=int, help="Seed of every random stream of the run.")
@click.option(
    "--precision",
    type=click.Choice(["32-true", "bf16-mixed", "16-mixed"]),
    help="Of the arithmetic; mixed precision keeps the weights in float32.",
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Any field of the recipe, such as config.hidden=200 or schedule.sched=cosine.",
)
@click.option(
    "-o",
    "--output",
    type=UserPath(),
    help="Run folder. [default: runs/ARCHITECTURE.DATA]",
)
@click.option("--like", metavar="ENTRY|FOLDER", help="Train by the recipe of an entry, or a run.")
@click.option(
    "--replay",
    metavar="ENTRY",
    help="Train an entry again by its own recipe, and say whether its weights come out.",
)
@click.option(
    "--from",
    "start",
    metavar="ENTRY",
    help="Begin from the weights of an entry, a run folder or a file. Architecture and config are "
    "its own unless they are given.",
)
@click.option(
    "--resume",
    type=UserPath(exists=True, file_okay=False),
    help="Go on with the run in this folder.",
)
@click.option(
    "--resume-if-any",
    is_flag=True,
    default=None,
    help="Go on with the run that the folder holds, or start it where there is none.",
)
@click.option("--force", is_flag=True, help="Replace the run that the folder holds.")
@click.option(
    "--over-memory",
    is_flag=True,
    help="Train also what is estimated to take more memory than there is.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option(
    "--devices",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes on this machine, one for each device.",
)
@click.option(
    "--nodes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Machines (start each with torchrun).",
)
@click.option(
    "--strategy",
    type=click.Choice(["ddp", "fsdp"]),
    default="ddp",
    show_default=True,
    help="Of several processes: ddp, each has all weights; fsdp, each keeps a share of them, of "
    "their gradients and of the optimiser's moments.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads of torch.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(what: str, assignments: tuple[str, ...], **options: Any) -> None:
    """Train weights from a recipe file, or an architecture on any data.

    The run folder holds the recipe, metrics, a curve, checkpoints and the best weights so far,
    which `zoo run FOLDER` uses as they are. A run that was stopped or killed goes on with --resume
    and gives the weights that it would have given.

    \b
    zoo train --like nade.mnist
    zoo train my-recipe.toml
    zoo train nade --data my-folder/ --size 28 --gray
    zoo train mixed-tree --data my.csv --columns age=real,id=skip
    zoo train --from nade.mnist --data my-folder/ --size 28 --gray
    zoo train --resume runs/nade.mnist
    zoo train --replay bernoulli.nltcs
    """  # noqa: D301 - click looks for the character backspace
    from zoo_core.training.train import train

    given = {key: value for key, value in options.items() if value is not None}
    if again := given.pop("replay", None):
        _replay(again, given, [what, *assignments])
        return
    run = train(what, **given | dict(map(_assignment, assignments)))
    if run.entry:  # one of several processes speaks for all
        rows = [(m["name"], str(m["value"]), m["unit"]) for m in run.entry.get("metrics", ())]
        if rows:
            click.echo("\n".join(text.table(("METRIC", "MEASURED", "UNIT"), rows)))
        # a bare name is an entry's
        where = f"./{run.folder}" if len(run.folder.parts) == 1 else run.folder
        again = command_line("zoo", "run", where, *_inputs(run.entry))
        click.echo(f"{run.name} is trained. Try it: {again}", err=True)


_OF_THE_MACHINE = {"data_root", "device", "devices", "force", "nodes", "output", "over_memory"}
_OF_THE_MACHINE |= {"quiet", "strategy", "threads"}
"""Options that a replay takes: the others change what is trained."""


def _replay(name: str, given: dict[str, object], words: list[str]) -> None:
    """Train an entry again; say what came of it, and fail where it is other weights."""
    from zoo_core.training.replay import replay

    others = [f"--{key.replace('_', '-')}" for key in given if key not in _OF_THE_MACHINE]
    if others := [*filter(None, words), *others]:
        raise InvalidInput(
            f"--replay trains by the entry's own recipe, and {others[0]} would change it: use "
            f"--like {name} to train with other settings."
        )
    result = replay(name, **given)
    for line in filter(None, [*result.parted, result.step]):
        click.echo(line)
    click.echo(result.verdict)
    if not result.same_weights:
        why = "what differs is listed above" if result.parted else _UNEXPLAINED
        raise CheckFailed(f"{name}: {why}. Here: {result.machine}.")


_UNEXPLAINED = (
    "data, recipe and versions are those of the registry, so what is left is the machine, which is "
    "not recorded: the number of threads (--threads), or the processor (with the environment's "
    "ATEN_CPU_CAPABILITY=avx2 torch computes as on one without AVX-512)"
)


def _assignment(text: str) -> tuple[str, Any]:
    """The field and the value of a `--set`."""
    from zoo_core.training.recipe import check_field, value

    key, equals, typed = text.partition("=")
    if not equals:
        raise InvalidInput(f"--set {text!r} has no value; expected FIELD=VALUE.")
    check_field(key.partition(".")[0], f"--set {text!r}")
    return key, value(typed)


def _inputs(entry: Mapping[str, Any]) -> list[str]:
    """The inputs that the entry's first task cannot do without, as an option."""
    from zoo_core.tasks import find, first, options_of

    task = first(entry["tasks"])
    if task is None or "inputs" not in options_of(find(task)):
        return []
    return ["--input", f"{entry['data']}:test[0:16]"]
