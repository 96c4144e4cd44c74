"""The laws of trainers, broken."""

from typing import Any

import pytest
from torch import Tensor

from factories import case_of
from zoo_core import plugins
from zoo_core.testing import LAWS, LawBroken
from zoo_core.training.likelihood import MaximumLikelihood


class Idle(MaximumLikelihood):
    """Never applies its loss."""

    def training_step(self, x: Tensor, update: Any, *rest: Any) -> dict[str, Tensor]:
        return super().training_step(x, {"model": lambda loss: None}, *rest)


class Counts(MaximumLikelihood):
    """Trains every third step, and forgets which one it is at when a run is resumed."""

    steps = 0

    def training_step(self, x: Tensor, update: Any, *rest: Any) -> dict[str, Tensor]:
        self.steps += 1
        idle: Any = {"model": lambda loss: None}
        return super().training_step(x, idle if self.steps % 3 else update, *rest)


@pytest.mark.parametrize(
    ("trainer", "name", "text"),
    [
        (Idle, "training_makes_progress", r"nll (\S+) -> \1 on bars-and-stripes"),
        (Counts, "resumed_training_ends_the_same", r"differing tensors: model\."),
    ],
)
def test_a_broken_trainer_breaks_its_law(
    trainer: type, name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of("nade")
    monkeypatch.setattr(plugins, "import_class", lambda path: trainer)
    with pytest.raises(LawBroken, match=text):
        LAWS[name](case)
