"""Runs of the training loop that can be stopped on purpose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from zoo_core.data import Dataset
from zoo_core.protocols import Trainer
from zoo_core.training.loop import Loop
from zoo_core.training.recipe import Recipe


class Stopped(Exception):
    """The run was stopped on purpose."""


class Stoppable(Loop):
    """The training loop without validation on the way, which can be stopped before a step."""

    stop: int | None = None

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        return self._measure()

    def everything(self) -> dict[str, Tensor]:
        """What a checkpoint holds of the networks and their averages."""
        return {
            f"{name}.{key}": value
            for name, module in self._modules().items()
            for key, value in module.state_dict().items()
        }

    def _validate(self) -> None:
        pass

    def _step(self, batch: Tensor) -> None:
        if self.progress.step == self.stop:
            self._save()
            raise Stopped
        super()._step(batch)


@pytest.fixture
def start() -> Callable[..., Stoppable]:
    """Make a run with Adam: of a trainer, on data, in a folder, that stops before a step."""

    def make(
        trainer: Trainer, data: Dataset, folder: Path, stop: int | None, **settings: Any
    ) -> Stoppable:
        folder.mkdir(exist_ok=True)
        adam = {"opt": "adam", "betas": [0.5, 0.999], **settings.pop("optimizer")}
        settings = {"epochs": 1, "batch_size": 8, **settings}
        recipe = Recipe(data=data.name, binarize="none", ema=0.9, optimizer=adam, **settings)
        fabric = Fabric(accelerator="cpu", devices=1)
        fabric.launch()
        loop = Stoppable(
            trainer, recipe, data, data, folder, publish=lambda *_: None, fabric=fabric, quiet=True
        )
        loop.stop = stop
        return loop

    return make


@pytest.fixture
def ends_alike(tmp_path: Path) -> Callable[..., dict[str, Tensor]]:
    """Hold a run that was stopped and resumed against one that was not; return what both end with.

    It is given what makes a run in a folder that stops before a step, or does not stop.
    """

    def check(make: Callable[[Path, int | None], Stoppable], stop: int) -> dict[str, Tensor]:
        whole, stopped = make(tmp_path / "whole", None), make(tmp_path / "stopped", stop)
        whole.run()
        with pytest.raises(Stopped):
            stopped.run()
        resumed = make(tmp_path / "stopped", None)
        resumed.run(resume=True)
        left, right = whole.everything(), resumed.everything()
        assert [key for key in left if not torch.equal(left[key], right[key])] == []
        return left

    return check
