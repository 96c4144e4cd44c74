"""Training from Python: what `zoo train` does, with the same settings and the same weights.

Over 400 lines: a hundred of them are the arguments of `train` and what each one means.
"""

from __future__ import annotations

import dataclasses
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from lightning_fabric import Fabric

from zoo_core import loading, plugins
from zoo_core.columns import Column, set_columns
from zoo_core.config import check_trainer
from zoo_core.data import Dataset, load_dataset
from zoo_core.data.cells import variant
from zoo_core.data.columns import in_columns, kept_columns
from zoo_core.data.notes import list_names, note
from zoo_core.data.resolve import absolute_spec, check_fitted, data_name, parse_spec
from zoo_core.errors import InvalidInput, PluginError, UnknownName, naming
from zoo_core.files import exists
from zoo_core.loading.meta import build_blank
from zoo_core.memory import in_words
from zoo_core.metrics.comparison import parameters
from zoo_core.registry import Entry, Registry, is_path
from zoo_core.text import argument, hidden, printable, quoted
from zoo_core.training import memory
from zoo_core.training import recipe as recipes
from zoo_core.training import start as starts
from zoo_core.training.defaults import complete, levels_for
from zoo_core.training.entry import Publisher
from zoo_core.training.fit import make_loop
from zoo_core.training.host import host_of
from zoo_core.training.patience import TimeLimit
from zoo_core.training.processes import is_first, together
from zoo_core.training.recipe import Recipe
from zoo_core.training.report import say
from zoo_core.training.run import Run, claim, prepare
from zoo_core.training.seeds import seed_for
from zoo_core.training.sharding import make_strategy, shares_of

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.hookspecs import Architecture
    from zoo_core.protocols import Trainer
    from zoo_core.training.callbacks import Callback

__all__ = ["recipe_of", "settings", "train"]


def train(
    what: str | Path | Recipe = "",
    /,
    *,
    data: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    size: int | None = None,
    gray: bool | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int | None = None,
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] | None = None,
    threads: int | None = None,
    like: str | None = None,
    start: str | Path | None = None,
    resume: str | Path | None = None,
    resume_if_any: bool = False,
    output: str | Path | None = None,
    force: bool = False,
    over_memory: bool = False,
    data_root: str | Path | None = None,
    device: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    strategy: Literal["ddp", "fsdp"] = "ddp",
    quiet: bool = False,
    callbacks: Sequence[Callback] = (),
    **fields: object,
) -> Run:
    """Train weights, and return the run that made them: `run.model`, `run.metrics`, `run.entry`.

    Args:
        what: an architecture as `nade`, the path of a recipe file, or a Recipe. It can be left out
            where `start` or `resume` says it.
        data: a data set: a name, a folder or a table.
        columns: what columns of a table are, where the guess is wrong, by their names.
        size: side to which images are resized and cropped.
        gray: whether colour images become grey.
        epochs: passes over the training data.
        batch_size: inputs of a step, of all processes.
        lr: learning rate.
        seed: of every random stream of the run.
        precision: of the arithmetic; mixed precision keeps the weights in float32.
        threads: processor threads of torch.
        like: an entry, or the folder of a run, whose recipe is `what`.
        start: an entry, a run folder or a weights file to begin from, instead of random weights.
            Architecture and config are its own unless they are given. Layers of other shapes begin
            anew, and are named on stderr.
        resume: a run folder to resume.
        resume_if_any: resume the run that the folder holds, or start it where there is none.
        output: the run folder; `runs/ARCHITECTURE.DATA` by default.
        force: replace the run that the folder holds.
        over_memory: train also what is estimated to take more memory than there is.
        data_root: folder of the data sets.
        device: auto, cpu, cuda or mps.
        devices: processes on this machine, one for each device.
        nodes: machines, each started with torchrun.
        strategy: `ddp`, where each process has all weights, or `fsdp`, where each keeps a share of
            them, of their gradients and of the optimiser's moments.
        quiet: whether to show no progress.
        callbacks: what is done beside the steps, before what the recipe asks for.
        fields: any other field of a Recipe; a table, as `config={"hidden": 200}`, is merged into
            the recipe's.

    Raises InvalidInput for settings that cannot be used, OutputExists for a folder that holds a run
    and what `zoo_core.load` raises.
    """
    if resume_if_any and force:
        raise InvalidInput("a run is either gone on with (resume_if_any) or replaced (force).")
    if like is not None:
        if what:
            raise InvalidInput(f"give either {str(what)!r} or like = {like!r}: both name a recipe.")
        entry = _like(like)
        what = recipe_of(entry)
        fields = {"family": entry.family, **fields}
    _check_names(what=what, like=like, start=start, resume=resume, output=output)
    given = {
        "data": None if data is None else data_name(data),
        "columns": columns,
        "size": size,
        "gray": gray,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer.lr": lr,
        "seed": seed,
        "precision": precision,
        "threads": threads,
        "start": start if start is None else str(start),
    }
    changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    if twice := sorted(changes.keys() & fields.keys()):
        raise InvalidInput(
            f"{twice[0]} is given twice, as an argument and as a field: leave one out."
        )
    changes |= fields
    with _naming_recipe(resume or what):
        recipe = settings(what, changes, resume=resume)
    folder = Path(resume or output or Path("runs") / _name(what, recipe))
    if resume is None:  # a run is evaluated from other folders too
        recipe = dataclasses.replace(recipe, data=absolute_spec(recipe.data))
    with _settings_of_torch(recipe):
        return _train(
            recipe,
            folder,
            resume or what,
            fabric=_fabric(recipe, device, devices, nodes, strategy),
            nodes=nodes,
            resume=resume is not None or resume_if_any,
            force=force,
            over_memory=over_memory,
            data_root=None if data_root is None else Path(data_root),
            quiet=quiet,
            callbacks=callbacks,
        )


def _like(name: str) -> Entry:
    """The entry that a name stands for, or that a run wrote when it ended."""
    if is_path(name):
        return loading.entry_of_run(loading.open_source(name))
    return Registry.load().lookup(name)


def _check_names(**given: object) -> None:
    """Refuse what stands in the place of a name or a path, as a model that is to go on training."""
    for name, value in given.items():
        if not isinstance(value, str | Path | Recipe | None):
            advice = ""
            if isinstance(value, torch.nn.Module):
                advice = " Save the model with zoo_core.save, and give the path of its file."
            kind = type(value).__name__
            raise InvalidInput(f"{name} is of the type {kind}; expected a name or a path.{advice}")


def recipe_of(entry: Entry) -> Path:
    """The recipe file of an entry, beside the code or beside the entry's registry.

    Raises InvalidInput where the entry has none, or where it is not on this machine.
    """
    place = entry.recipe_file if entry.recipe else ""
    if not Path(place).is_file():
        where = f"its recipe is {hidden(place)}" if place else "its registry names no recipe"
        raise InvalidInput(
            f"cannot train like {entry.name}: {where}, and no file of this machine. Give a recipe "
            "file, or an architecture with settings."
        )
    return Path(place)


def settings(
    what: str | Path | Recipe, changes: Mapping[str, Any], *, resume: str | Path | None = None
) -> Recipe:
    """The settings of a run: those of a recipe, an architecture or a run, with some replaced.

    what, resume: as `train` takes them.
    changes: dotted field to value.

    Raises InvalidInput for a recipe that is not sound, and where nothing says what to train.
    """
    if bool(what) and resume is not None:
        raise InvalidInput("give either a recipe or an architecture to train, or a run to resume.")
    where = str(resume or what or "the settings")
    if isinstance(what, Recipe):
        table, where = dataclasses.asdict(what), "the recipe"
        table = {key: value for key, value in table.items() if value is not None}
    elif resume is not None:
        table = recipes.read_table(Path(resume) / "recipe.toml")
    elif Path(what).suffix == ".toml" or (exists(Path(what)) and not Path(what).is_dir()):
        table = recipes.read_table(Path(what))
    elif what:
        # a name that is none is said before what else is missing
        try:
            plugins.find(str(what), changes.get("family"))
        except UnknownName as error:
            if str(what) not in Registry.load().entries:
                raise
            again = f"`zoo train --like {what}` trains it again"
            raise UnknownName(f"{what} is an entry, not an architecture: {again}.") from error
        table = {"architecture": str(what)}
    else:
        table = {}
    of_data = table.get("data")
    table = recipes.override(table, changes)
    if table.get("start") and resume is None:
        table = starts.defaults(table)
    elif not table:
        raise InvalidInput("give either a recipe or an architecture to train, or a run to resume.")
    recipe = recipes.parse(table, where)
    if of_data in (None, recipe.data) or "entry" in changes:
        return recipe
    entry = recipes.entry_without_data(recipe.entry)
    if entry != recipe.entry:
        say(
            f"{where} is of {of_data}, not of {recipe.data}: its summary, tags and published "
            "figures are left out"
        )
    return dataclasses.replace(recipe, entry=entry)


def _train(
    recipe: Recipe,
    folder: Path,
    what: str | Path | Recipe,
    *,
    fabric: Fabric,
    nodes: int,
    resume: bool,
    force: bool,
    over_memory: bool,
    data_root: Path | None,
    quiet: bool,
    callbacks: Sequence[Callback],
) -> Run:
    with _naming_recipe(what):
        family, architecture = plugins.find(recipe.architecture, recipe.family or None)
        cls = plugins.import_class(architecture.path)
        if shares_of(fabric) > 1:
            _check_sharded(plugins.import_class(architecture.trainer))
        host = host_of(fabric, folder)
        data, validation = (
            host.load(split, partial(_load, recipe, split, data_root))
            for split in ("train", "validation")
        )
        if columns := _columns_of_start(recipe, data):
            with naming(recipe.start, InvalidInput, "It takes the columns of its own training."):
                data, validation = in_columns(data, columns), in_columns(validation, columns)
        recipe = complete(dataclasses.replace(recipe, family=family.name), cls, data)
        said = tuple(map(Column.of, recipe.config.get("columns", ())))
        if columns := said or columns or _kept_columns(recipe, cls, data):
            data, validation = in_columns(data, columns), in_columns(validation, columns)
        elif made := _without_columns(architecture.name, data):
            note(f"{printable(recipe.data_name)}: {made}")
        if recipe.start and not recipe.start_sha256:
            sha256 = loading.open_source(recipe.start).sha256
            recipe = dataclasses.replace(recipe, start_sha256=sha256)
    limits = (each.tests_in for each in callbacks if isinstance(each, TimeLimit))
    tests_in = min(limits, default=math.inf)
    publisher = Publisher(recipe, folder, family, architecture, data, data_root, tests_in)

    def check_memory(needed: int) -> None:
        memory.check(publisher.name, needed, fabric.device, forced=over_memory)

    # a GPU's memory is that of one process
    sharing = 1 if fabric.device.type == "cuda" else fabric.world_size // nodes

    # before it is built, and before anything is written
    with _naming_recipe(what):
        blank = [build_blank(cls, recipe.config)]
        check_memory(sharing * memory.of_weights(blank, recipe, shares_of(fabric)))
    # of several processes the first one writes
    with claim(folder) if is_first(fabric) else nullcontext(), ExitStack() as stack:
        if is_first(fabric):
            stack.enter_context(prepare(folder, recipe, resume=resume, force=force))
        stack.enter_context(together(fabric, folder))
        torch.manual_seed(seed_for(recipe.seed, "initialise"))
        model = loading.build(cls, recipe.config)
        set_columns(model, columns)
        with _naming_recipe(what):
            trainer = _trainer(architecture, model, recipe)
        loop = make_loop(
            trainer,
            recipe,
            data,
            validation,
            folder,
            fabric=fabric,
            publish=publisher.publish,
            callbacks=[*([starts.Start(recipe)] if recipe.start else []), *callbacks],
            quiet=quiet,
            hold=host.load,
        )
        fabric.barrier()
        host.close()  # all have the data
        needed = memory.of_loop(loop, sharing, together=host.kept)
        with _naming_recipe(what):
            check_memory(needed)
        if fabric.is_global_zero and not quiet:
            say(_introduction(publisher.name, trainer, needed))
        loop.run(resume=resume)
        if copy := loop.optimizers.whole.get("model"):
            model = copy.network
        entry = {}
        if fabric.is_global_zero:
            progress = loop.progress
            kept = (recipe.keep == "best" and progress.best_step) or progress.step
            entry = publisher.finish(model, fabric.device, loop.batches.seen(kept))
    return Run(folder, entry, str(fabric.device))


def _load(recipe: Recipe, split: str, root: Path | None) -> Dataset:
    """A split of the recipe's data, in its size, colours and columns.

    Rows that the data name are those of the training split; validation has all of its own.

    Raises InvalidInput for data with a split.
    """
    spec = parse_spec(recipe.data, root)
    if spec.split:
        raise InvalidInput(
            f"data {quoted(recipe.data)} names a split, and a training takes two, train and "
            f"validation: give {quoted(spec.name)}, or some rows of its training split as "
            f"{quoted(spec.name + '[0:1000]')}."
        )
    data = load_dataset(
        recipe.data if split == "train" else spec.name,
        split=split,
        root=root,
        size=recipe.size,
        gray=recipe.gray,
        columns=recipe.columns,
    )
    check_fitted(data, recipe.size, recipe.gray)
    return data


def _columns_of_start(recipe: Recipe, data: Dataset) -> tuple[Column, ...]:
    """The columns of the weights that a training starts from, where the data have their names."""
    start = loading.Info.of(loading.open_source(recipe.start)).columns if recipe.start else ()
    before = tuple(map(Column.of, start))
    if {column.name for column in before} <= {column.name for column in data.columns}:
        return before
    names = list_names([column.name for column in before])
    note(
        f"{printable(recipe.start)} has other columns ({names}): those of {printable(data.name)} "
        "take their places"
    )
    return ()


def _kept_columns(recipe: Recipe, cls: type, data: Dataset) -> tuple[Column, ...]:
    """The columns that a model of binary variables keeps beside its config."""
    return kept_columns(data) if levels_for(cls, recipe.config) == 2 else ()


def _without_columns(architecture: str, data: Dataset) -> str:
    """What a model that keeps no columns makes of a table's; empty where that is nothing else."""
    numbered = [
        f"{c.name} {' and '.join(c.categories)}"
        for c in data.columns
        if data.levels == 2 and len(c.categories) == 2 and c.categories != ("0", "1")
    ]
    if not numbered and all(c.name == f"x{i}" for i, c in enumerate(data.columns)):
        return ""
    as_numbers = f"; 0 and 1 stand for {list_names(numbered)}" if numbered else ""
    return (
        f"{architecture} keeps no columns: it takes them in their order, whatever their names"
        f"{as_numbers}. mixed-nade and the like keep names and categories."
    )


@contextmanager
def _naming_recipe(what: str | Path | Recipe) -> Iterator[None]:
    """Name the recipe file or the run folder in whatever its settings bring about."""
    if isinstance(what, Recipe) or not what or not Path(what).exists():
        yield
        return
    try:
        with naming(what, InvalidInput, "Correct its recipe."):
            yield
    except PluginError as error:
        raise PluginError(f"{printable(what)}: {error}") from error


def _trainer(architecture: Architecture, model: nn.Module, recipe: Recipe) -> Trainer:
    """The architecture's objective, with the arguments of the recipe's `[trainer]`."""
    cls = plugins.import_class(architecture.trainer)
    check_trainer(cls, recipe.trainer)
    trainer: Trainer = cls(model, **recipe.trainer)
    return trainer


def _check_sharded(trainer: type) -> None:
    """Raise InvalidInput for a trainer whose networks cannot be shared out."""
    if reason := getattr(trainer, "unsharded", ""):
        raise InvalidInput(
            f"{trainer.__name__} does not train with strategy = 'fsdp': {reason}. Use 'ddp', where "
            "each process has all weights."
        )


def _introduction(name: str, trainer: Trainer, needed: int) -> str:
    """What is about to be trained: the parameters of each network, and the bytes of memory."""
    counts = {key: parameters(network) for key, network in trainer.networks.items()}
    others = [f"{key} {count:,}" for key, count in counts.items() if key != "model" and count]
    beside = f" ({', '.join(others)})" if others else ""
    of_memory = f"about {in_words(needed)} of memory"
    plural = "" if counts["model"] == 1 else "s"
    return f"{name}: {counts['model']:,} parameter{plural}{beside}, {of_memory}"


def _fabric(recipe: Recipe, device: str, devices: int, nodes: int, strategy: str) -> Fabric:
    if strategy not in ("ddp", "fsdp"):
        raise InvalidInput(f"strategy is {strategy!r}; expected ddp or fsdp.")
    precision: Any = recipe.precision  # one of Fabric's own names
    shared: Any = "auto"
    if strategy == "fsdp" and devices * nodes > 1:
        shared = make_strategy(devices * nodes)
    try:
        with warnings.catch_warnings():  # what Fabric takes instead is said below
            warnings.filterwarnings("ignore", "You passed `Fabric.* but AMP with fp16")
            fabric = Fabric(
                accelerator=device,
                strategy=shared,
                devices=devices,
                num_nodes=nodes,
                precision=precision,
            )
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"cannot train on {devices} x {device!r} with precision {recipe.precision} "
            f"({error}). Expected the device auto, cpu, cuda or mps, and as many devices as there "
            "are."
        ) from None
    taken = fabric.strategy.precision.precision
    if recipe.precision == "16-mixed" and taken != recipe.precision:
        say(f"precision 16-mixed needs a GPU: on {fabric.device.type} {taken} takes its place")
    environment = getattr(fabric.strategy, "cluster_environment", None)
    started = environment is None or environment.creates_processes_externally
    if nodes > 1 and not started and "MASTER_ADDR" not in os.environ:
        raise InvalidInput(
            f"{argument('nodes', nodes)}: nothing says where the machines meet. Start each with "
            "torchrun or srun, or set MASTER_ADDR, MASTER_PORT and NODE_RANK on each."
        )
    return fabric


@contextmanager
def _settings_of_torch(recipe: Recipe) -> Iterator[None]:
    """The threads of a run, and no denormal numbers; torch's own random stream is given back."""
    threads = torch.get_num_threads()
    flushed = not float(torch.tensor(1e-40) * 1)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    # Adam's moments of weights that rest decay to numbers that a processor is slow with. A thread
    # has this from the one that starts it, so it comes before any work.
    torch.set_flush_denormal(True)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)


def _name(what: str | Path | Recipe, recipe: Recipe) -> str:
    """A run's name: a recipe file's stem where the data is its own, or architecture and data."""
    path = Path(what) if isinstance(what, str | Path) else Path()
    if path.suffix == ".toml" and recipes.read_table(path).get("data") in (None, recipe.data):
        return path.stem
    return f"{recipe.architecture}.{variant(recipe.data)}"
