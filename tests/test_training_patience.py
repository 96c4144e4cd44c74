"""When a run ends before its last epoch."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import Tensor
from toy_training import ScriptedLoop, loop_of

from zoo_core.training.loop import Loop
from zoo_core.training.patience import Patience, TimeLimit


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
        made = loop_of(
            tmp_path, Patience(2), cls=ScriptedLoop, epochs=len(found), validate_every=every
        )
        made.found = found  # type: ignore[attr-defined]
        return made.run(resume=resume).epoch

    assert run(resume=False) == epochs
    assert run(resume=True) == epochs


def test_a_time_limit_ends_a_run_within_an_epoch_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    limit = TimeLimit(-math.inf)
    progress = loop_of(tmp_path, limit, Patience(9), epochs=3).run()
    assert (progress.step, progress.epoch) == (1, 0), "an epoch has two steps"
    assert progress.best_step == 1, "it is validated all the same"
    assert (limit.reached, limit.epochs) == (True, 0.5)
    limit = TimeLimit(math.inf)
    progress = loop_of(tmp_path, limit, epochs=3).run(resume=True)
    assert (progress.step, progress.epoch) == (6, 3)
    assert (limit.reached, limit.epochs) == (False, 2.5)


def test_a_time_limit_at_the_last_step_stops_nothing(tmp_path: Path) -> None:
    class Late(TimeLimit):
        def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
            self.ends = math.inf if loop.progress.step < 2 else 0.0
            super().after_step(loop, losses)

    limit = Late(0.0)
    assert loop_of(tmp_path, limit, epochs=1).run().epoch == 1
    assert not limit.reached
