"""`zoo train`: a recipe or an architecture becomes weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["command"]


@click.command("train")
@click.argument("what", metavar="RECIPE|ARCHITECTURE", required=False)
@click.option("--data", help="Data set: a name, a folder or a table. Replaces the recipe's.")
@click.option("--data-root", type=click.Path(path_type=Path), help="Folder of the data sets.")
@click.option("--size", type=click.IntRange(min=1), help="Resize and crop images to this side.")
@click.option("--gray", is_flag=True, help="Turn colour images grey.")
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training data.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Inputs per step, of all processes.")
@click.option("--lr", type=float, help="Learning rate.")
@click.option("--seed", type=int, help="Seed of every random stream of the run.")
@click.option("--precision", help="32-true, bf16-mixed or 16-mixed.")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Any field of the recipe, as config.hidden=200 or schedule.sched=cosine.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Run folder. [default: runs/ARCHITECTURE.DATA]",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Go on with the run in this folder.",
)
@click.option("--force", is_flag=True, help="Replace the run that the folder holds.")
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
@click.option("--threads", type=click.IntRange(min=1), help="Processor threads of torch.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    what: str | None,
    data: str | None,
    data_root: Path | None,
    size: int | None,
    gray: bool,
    epochs: int | None,
    batch_size: int | None,
    lr: float | None,
    seed: int | None,
    precision: str | None,
    assignments: tuple[str, ...],
    output: Path | None,
    resume: Path | None,
    force: bool,
    device: str,
    devices: int,
    nodes: int,
    threads: int | None,
    quiet: bool,
) -> None:
    """Train weights from a recipe file, or an architecture on any data.

    The run folder holds the recipe, metrics, a curve, checkpoints and the best weights so far,
    which `zoo run FOLDER` uses as they are. A run that was stopped or killed goes on with --resume
    and gives the weights that it would have given.

    \b
    zoo train plugins/autoregressive/recipes/nade.mnist.toml
    zoo train nade --data my-folder/ --size 28 --gray
    zoo train --resume runs/nade.mnist
    """  # noqa: D301 - click looks for the character backspace
    flags = {
        "data": data, "size": size, "gray": gray or None, "epochs": epochs, "seed": seed,
        "batch_size": batch_size, "optimizer.lr": lr, "precision": precision, "threads": threads,
    }  # fmt: skip
    raw = _settings(what, resume, {k: v for k, v in flags.items() if v is not None}, assignments)
    from zoo_core import plugins
    from zoo_core.training import recipe as recipes

    recipe = recipes.parse(raw, what or str(resume))
    family, architecture = plugins.find(recipe.architecture, recipe.family or None)
    folder = resume or output or Path("runs") / _name(what, recipe)
    from zoo_core.training.run import Run

    run = Run(recipe, folder, family, architecture, data_root=data_root)
    entry = run.execute(
        resume=resume is not None,
        device=device,
        devices=devices,
        nodes=nodes,
        quiet=quiet,
        force=force,
    )
    if entry:  # one of several processes speaks for all
        click.echo((folder / "entry.toml").read_text("utf-8"))
        where = f"./{folder}" if len(folder.parts) == 1 else folder  # a bare name is an entry's
        click.echo(f"{entry['name']} is trained. Try it: zoo run {where}{_inputs(entry)}", err=True)


def _inputs(entry: Mapping[str, Any]) -> str:
    """The inputs that the entry's first task cannot do without, as an option."""
    from zoo_core.tasks import TASKS, default

    if "inputs" not in TASKS[default(entry["tasks"])].options:
        return ""
    return f" --input '{entry['data']}:test[0:16]'"


def _settings(
    what: str | None, resume: Path | None, flags: dict[str, Any], assignments: tuple[str, ...]
) -> dict[str, Any]:
    """The recipe's fields: of a file, of a run that goes on, or of an architecture by name."""
    import tomllib

    from zoo_core.training import recipe as recipes

    if (what is None) == (resume is None):
        raise InvalidInput("give either a recipe or an architecture to train, or --resume FOLDER.")
    path = resume / "recipe.toml" if resume else Path(what or "")
    if path.suffix == ".toml" or path.is_file():
        raw = tomllib.loads(path.read_text("utf-8")) if recipes.read(path) else {}
    else:
        raw = {"architecture": what}
    pairs = {
        key: str(value).lower() if value is True else str(value) for key, value in flags.items()
    }
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise InvalidInput(f"--set {assignment!r} has no value; expected FIELD=VALUE.")
        pairs[key] = value
    return recipes.override(raw, pairs)


def _name(what: str | None, recipe: Any) -> str:
    """A recipe file's stem, or the architecture and the data."""
    if what and what.endswith(".toml"):
        return Path(what).stem
    data = Path(recipe.data.split("[")[0].replace(":", "-").rstrip("/")).name.lower()
    return f"{recipe.architecture}.{data.replace('_', '-')}"
