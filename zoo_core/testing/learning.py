"""The laws of trainers: they learn, and a run that was stopped ends as one that was not."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from zoo_core.data import Dataset, load_dataset
from zoo_core.testing.case import Case
from zoo_core.testing.law import LawSkipped, expect, law

if TYPE_CHECKING:
    from zoo_core.training.loop import Loop

__all__ = ["Stopped", "make_loop", "rows_of"]  # the laws are reached through LAWS

_ROWS = 128
_BATCH = 32
_EPOCHS = 10
_STOP = 2
"""The step after which a run is stopped: in the middle of its first epoch."""
_PROGRESS = 0.01
_HIGHEST_RATE = 0.01


@law(nn.Module)
def training_makes_progress(case: Case) -> None:
    """Trained for forty short steps, the model's validation value falls."""
    data = rows_of(case)
    with tempfile.TemporaryDirectory() as folder:
        loop = make_loop(case, data, Path(folder), epochs=_EPOCHS)
        name = loop.trainer.monitor
        before = loop.measure()[name]
        loop.run()
        after = loop.measure()[name]
    expect(
        after < before - _PROGRESS,
        f"{name} {before:.3f} -> {after:.3f} on {case.data}",
        f"less by {_PROGRESS} or more: does `training_step` call update[network](loss) with a loss "
        f"that depends on the network? If so, {_rate(case):g} is no rate for it: give another in "
        "the record, as Check(lr=0.001)",
    )


@law(nn.Module)
def resumed_training_ends_the_same(case: Case) -> None:
    """A run that was stopped and resumed has the same weights, bit for bit, as one that was not."""
    data = rows_of(case)
    with tempfile.TemporaryDirectory() as whole, tempfile.TemporaryDirectory() as stopped:
        straight = make_loop(case, data, Path(whole), epochs=1)
        straight.run()
        with suppress(Stopped):
            make_loop(case, data, Path(stopped), epochs=1, stop=_STOP).run()
        resumed = make_loop(case, data, Path(stopped), epochs=1)
        resumed.run(resume=True)
    differing = [
        f"{name}.{key}"
        for name, network in straight.networks.items()
        for key, tensor in network.state_dict().items()
        if not torch.equal(tensor, resumed.networks[name].state_dict()[key])
    ]
    expect(
        not differing,
        f"differing tensors: {', '.join(differing)}",
        "equal ones: what a trainer carries from step to step must be a parameter or buffer of its "
        "networks, and its randomness the generator that it is given",
    )


class Stopped(Exception):
    """The run was stopped on purpose."""


def make_loop(
    case: Case,
    data: Dataset,
    folder: Path,
    *,
    epochs: int,
    stop: int | None = None,
    accelerator: str = "cpu",
    precision: str = "32-true",
) -> Loop:
    """The training loop without curves, which can be stopped after some steps."""
    # imported here: timm takes seconds, and most laws need none of it
    from lightning_fabric import Fabric

    from zoo_core.training.batches import Batches
    from zoo_core.training.callbacks import Callback
    from zoo_core.training.loop import Loop
    from zoo_core.training.recipe import Recipe

    class Stop(Callback):
        def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
            if loop.progress.step == stop:
                loop.save()
                raise Stopped

    recipe = Recipe(
        architecture=case.architecture.name,
        data=case.data,
        epochs=epochs,
        validate_every=epochs,
        batch_size=_BATCH,
        binarize="none",
        precision=precision,
        # fused as recipes have it: it goes through weights and moments as they lie in memory
        optimizer={"opt": "adam", "lr": _rate(case), "fused": True},
    )
    fabric = Fabric(accelerator=accelerator, devices=1, precision=precision)  # type: ignore[arg-type] # a name
    fabric.launch()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # a trainer may have networks of its own, as a run seeds them
        trainer = case.trainer(case.fresh().train())
    batches = Batches(recipe, data, data, trainer, fabric)
    return Loop(trainer, batches, recipe, folder, fabric=fabric, callbacks=[Stop()])


def _rate(case: Case) -> float:
    return min(case.lr, _HIGHEST_RATE)


def rows_of(case: Case) -> Dataset:
    """The rows to learn from; raises LawSkipped where the case takes others than they are."""
    rows = load_dataset(case.data)[:_ROWS]
    shape, levels = tuple(case.config["shape"]), getattr(case.fresh(), "levels", None)
    if rows.event_shape != shape or levels not in (None, rows.levels):
        raise LawSkipped(
            f"{case.data} has rows of shape {rows.event_shape} that hold {rows.holds}, and this "
            f"model takes {shape} with {levels or 'any number of'} levels: name data that fit, as "
            "Check(data=...), to have it tried."
        )
    return rows
