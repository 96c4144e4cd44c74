"""Callbacks: when the loop calls them, and what those of a recipe do."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core.data import Dataset
from zoo_core.training.averages import MovingAverages
from zoo_core.training.batches import Batches
from zoo_core.training.callbacks import Callback, Validation
from zoo_core.training.loop import Loop
from zoo_core.training.objective import Objective
from zoo_core.training.patience import Patience
from zoo_core.training.publishing import Publishing
from zoo_core.training.recipe import Recipe


class Bias(nn.Module):
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


class Note(Callback):
    """Writes down when it is called."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def prepare(self, loop: Loop) -> None:
        self.calls.append("prepare")

    def begin(self, loop: Loop) -> None:
        self.calls.append(f"begin {loop.progress.step}")

    def after_update(self, loop: Loop, network: str) -> None:
        self.calls.append(f"update {network}")

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        self.calls.append(f"step {loop.progress.step}: {', '.join(losses)}")

    def after_validation(self, loop: Loop, validation: Validation) -> None:
        self.calls.append(f"validation {loop.progress.step}")

    def end(self, loop: Loop) -> None:
        self.calls.append("end")


class Failure(Callback):
    """Fails after the third step, with a checkpoint."""

    def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
        if loop.progress.step == 3:
            loop.save()
            raise KeyboardInterrupt


class Scripted(Loop):
    """A loop whose validations find what is written."""

    found: list[float]

    def measure(self) -> dict[str, float]:
        return {"error": self.found[self.progress.epoch - 1]}


def loop(folder: Path, *callbacks: Callback, cls: type[Loop] = Loop, **settings: Any) -> Loop:
    rows = Dataset("white", "train", torch.full((4, 1), 255, dtype=torch.uint8), levels=256)
    given = {"epochs": 2, "batch_size": 2, "binarize": "none", **settings}
    recipe = Recipe("x", "white", optimizer={"opt": "momentum", "momentum": 0, "lr": 0.25}, **given)
    fabric = Fabric(accelerator="cpu", devices=1)
    trainer = Brightness(Bias())
    batches = Batches(recipe, rows, rows, trainer, fabric)
    return cls(trainer, batches, recipe, folder, fabric=fabric, callbacks=callbacks)


def test_callbacks_are_called_at_fixed_points(tmp_path: Path) -> None:
    note = Note()
    loop(tmp_path, note).run()
    assert note.calls == [
        "prepare",
        "begin 0",
        *("update model", "step 1: error", "update model", "step 2: error", "validation 2"),
        *("update model", "step 3: error", "update model", "step 4: error", "validation 4"),
        "end",
    ]


def test_a_run_that_failed_ends_its_callbacks_and_a_resumed_one_begins_where_it_was(
    tmp_path: Path,
) -> None:
    failed, resumed = Note(), Note()
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, failed, Failure()).run()
    assert failed.calls[-2:] == ["step 3: error", "end"]
    loop(tmp_path, resumed).run(resume=True)
    assert resumed.calls == [
        "prepare",
        "begin 3",
        *("update model", "step 4: error", "validation 4"),
        "end",
    ]


def test_what_is_validated_and_published_is_the_average(tmp_path: Path) -> None:
    published: list[tuple[float, Mapping[str, float]]] = []

    def publish(networks: Mapping[str, nn.Module], values: Mapping[str, float]) -> None:
        published.append((float(networks["model"].get_parameter("value").detach()), values))

    averages = MovingAverages(0.9)
    run = loop(tmp_path, averages, Publishing(publish))
    run.run()
    trained = float(run.networks["model"].get_parameter("value").detach())
    assert len(published) == 2
    average, values = published[-1]
    assert 0 < average < trained < 1
    assert values["error"] == pytest.approx((1 - average) ** 2, rel=1e-5)
    assert {*run.state} == {"model", "model.ema"}
    assert run.trainer.networks["model"] is not averages.of["model"].module


@pytest.mark.parametrize("keep, expected", [("best", [2.0, 1.0]), ("last", [2.0, 3.0, 1.0, 1.5])])
def test_the_best_weights_are_published_or_the_last(
    keep: str, expected: list[float], tmp_path: Path
) -> None:
    published: list[float] = []
    run = loop(
        tmp_path,
        Publishing(lambda networks, values: published.append(values["error"]), keep),
        cls=Scripted,
        epochs=4,
    )
    run.found = [2.0, 3.0, 1.0, 1.5]  # type: ignore[attr-defined]
    run.run()
    assert published == expected


@pytest.mark.parametrize(
    ("every", "found", "epochs"),
    [
        (1, [2.0, 1.0, 1.5, 1.2, 0.5, 0.4], 4),
        (1, [2.0, 1.0, 1.5, 0.9, 1.2, 1.1], 6),
        (2, [9.0, 2.0, 9.0, 2.5, 9.0, 2.6, 9.0, 1.0], 6),
    ],
)
def test_patience_ends_a_run_and_a_resumed_one_stays_ended(
    every: int, found: list[float], epochs: int, tmp_path: Path
) -> None:
    def run(resume: bool) -> int:
        made = loop(tmp_path, Patience(2), cls=Scripted, epochs=len(found), validate_every=every)
        made.found = found  # type: ignore[attr-defined]
        return made.run(resume=resume).epoch

    assert run(resume=False) == epochs
    assert run(resume=True) == epochs
