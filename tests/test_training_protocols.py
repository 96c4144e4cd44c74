"""Trainers of the former signature go on working."""

from pathlib import Path

import torch
from toy_training import Listener, listen

from zoo_core.data import Dataset


class Numbered(Listener):
    """Remembers the numbers of its steps."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def training_step(
        self,
        x: torch.Tensor,
        update: object,
        generator: object,
        labels: torch.Tensor | None,
        step: int,
    ) -> dict[str, torch.Tensor]:
        self.steps.append(step)
        return super().training_step(x, update, generator, labels, step)


class Former(Listener):
    """Has the signature of before steps had a number."""

    def training_step(  # type: ignore[override]
        self, x: torch.Tensor, update: object, generator: object, labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        return super().training_step(x, update, generator, labels, 0)


def test_a_trainer_is_told_the_number_of_its_step(tmp_path: Path) -> None:
    rows = Dataset("numbers", "train", torch.zeros(20, 1, dtype=torch.uint8), levels=2)
    listener = Numbered()
    listen(rows, tmp_path, listener)
    assert listener.steps == [1, 2, 3]


def test_a_trainer_that_takes_no_number_of_a_step_goes_on_working(tmp_path: Path) -> None:
    x = torch.arange(20, dtype=torch.uint8).unsqueeze(1)
    rows = Dataset("numbers", "train", x, levels=256, labels=torch.arange(20))
    given = listen(rows, tmp_path, Former()).heard["training"]
    assert sorted(int(y) for _, labels in given if labels is not None for y in labels) == list(
        range(20)
    )
