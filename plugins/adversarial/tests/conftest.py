"""Runs of the training loop that can be stopped on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.protocols import Trainer
from zoo_core.training.averages import MovingAverages
from zoo_core.training.batches import Batches
from zoo_core.training.callbacks import Callback
from zoo_core.training.loop import Loop
from zoo_core.training.recipe import Recipe


class Stopped(Exception):
    """The run was stopped on purpose."""


class Stop(Callback):
    """Stops a run after some steps, with a checkpoint."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        if loop.progress.step == self.step:
            loop.save()
            raise Stopped


def everything(loop: Loop) -> dict[str, Tensor]:
    """What a checkpoint holds of the networks and their averages."""
    return {
        f"{name}.{key}": value
        for name, module in loop.state.items()
        for key, value in module.state_dict().items()
    }


@pytest.fixture
def start() -> Callable[..., Loop]:
    """Make a run with Adam: of a trainer, on data, in a folder, that stops after some steps."""

    def make(
        trainer: Trainer, data: Dataset, folder: Path, stop: int | None, **settings: Any
    ) -> Loop:
        folder.mkdir(exist_ok=True)
        adam = {"opt": "adam", "betas": [0.5, 0.999], **settings.pop("optimizer")}
        settings = {"epochs": 1, "batch_size": 8, **settings}
        recipe = Recipe(data=data.name, binarize="none", ema=0.9, optimizer=adam, **settings)
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.launch()
        callbacks = [MovingAverages(0.9), Stop(stop)]
        batches = Batches(recipe, data, data, trainer, fabric)
        return Loop(trainer, batches, recipe, folder, fabric=fabric, callbacks=callbacks)

    return make


@pytest.fixture
def ends_alike(tmp_path: Path) -> Callable[..., dict[str, Tensor]]:
    """Hold a run that was stopped and resumed against one that was not; return what both end with.

    It is given what makes a run in a folder that stops after some steps, or does not stop.
    """

    def check(make: Callable[[Path, int | None], Loop], stop: int) -> dict[str, Tensor]:
        whole, stopped = make(tmp_path / "whole", None), make(tmp_path / "stopped", stop)
        whole.run()
        with pytest.raises(Stopped):
            stopped.run()
        resumed = make(tmp_path / "stopped", None)
        resumed.run(resume=True)
        left, right = everything(whole), everything(resumed)
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
        return left

    return check
