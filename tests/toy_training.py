"""A model and an objective that train in two steps, and trainers that note what they are given."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core.data import Dataset
from zoo_core.protocols import Trainer
from zoo_core.training.batches import Batches
from zoo_core.training.callbacks import Callback
from zoo_core.training.fit import make_loop
from zoo_core.training.loop import Loop
from zoo_core.training.objective import Objective
from zoo_core.training.recipe import Recipe

TINY = ["nade", "--data", "bars-and-stripes", "--set", "config.hidden=8", "--threads", "1"]
"""What `zoo train` is given to train in a second."""
SMALL: dict[str, Any] = {"data": "bars-and-stripes", "config": {"hidden": 8}, "threads": 1}
"""The same for `zoo_core.train`."""


class Bias(nn.Module):
    """One number."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))


class Brightness(Objective):
    """Learns how bright images are."""

    monitor = "error"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        return {"error": (self.model.value - x.flatten(1).mean(1)).square()}


class ScriptedLoop(Loop):
    """A loop whose validations find what is written."""

    found: list[float]

    def measure(self) -> dict[str, float]:
        return {"error": self.found[self.progress.epoch - 1]}


class Listener:
    """Learns nothing, and remembers which labels came with which inputs."""

    monitor = "nll"

    def __init__(self) -> None:
        self.networks = {"model": nn.Linear(1, 1).requires_grad_(False)}
        self.heard: dict[str, list[tuple[Tensor, Tensor | None]]] = {
            "training": [],
            "validation": [],
        }

    def begin(self, mean: Tensor) -> None: ...

    def training_step(
        self,
        x: Tensor,
        update: Any,
        generator: torch.Generator,
        labels: Tensor | None,
        step: int,
    ) -> dict[str, Tensor]:
        self.heard["training"].append((x, labels))
        return {"nll": torch.zeros(())}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        self.heard["validation"].append((x, labels))
        return {"nll": torch.zeros(len(x))}


def listen(
    rows: Dataset, folder: Path, listener: Listener | None = None, precision: Any = "32-true"
) -> Listener:
    """A listener after an epoch on rows."""
    listener = listener or Listener()
    recipe = Recipe("nade", "x", binarize="none", epochs=1, batch_size=7)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    make_loop(listener, recipe, rows, rows, folder, fabric=fabric, quiet=True).run()
    return listener


def loop_of(folder: Path, *callbacks: Callback, cls: type[Loop] = Loop, **settings: Any) -> Loop:
    """A loop of two epochs of two steps each, which learns that white is 1."""
    rows = Dataset("white", "train", torch.full((4, 1), 255, dtype=torch.uint8), levels=256)
    given: Mapping[str, Any] = {"epochs": 2, "batch_size": 2, "binarize": "none", **settings}
    recipe = Recipe("x", "white", optimizer={"opt": "momentum", "momentum": 0, "lr": 0.25}, **given)
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Brightness(Bias())
    batches = Batches(recipe, rows, rows, trainer, fabric)
    return cls(trainer, batches, recipe, folder, fabric=fabric, callbacks=callbacks)


def moved(
    trainer: Trainer, x: Tensor, labels: Tensor | None = None, step: int = 1
) -> tuple[dict[str, set[str]], dict[str, Any]]:
    """Which parts the loss of each network's update reaches; the values of a step, with losses."""
    reached: dict[str, set[str]] = {}
    losses: dict[str, float] = {}

    def update(name: str) -> Callable[[Tensor], None]:
        def note(loss: Tensor) -> None:
            for network in trainer.networks.values():
                network.zero_grad()
            loss.backward()
            losses[name] = float(loss.detach())
            reached[name] = {
                f"{network}.{key.split('.')[0]}"
                for network, module in trainer.networks.items()
                for key, p in module.named_parameters()
                if p.grad is not None and p.grad.any()
            }

        return note

    updates = {name: update(name) for name in trainer.networks}
    random = torch.Generator().manual_seed(0)
    values = trainer.training_step(x, updates, random, labels, step)
    return reached, {**values, **losses}
