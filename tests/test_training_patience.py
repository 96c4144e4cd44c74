"""When a run ends before its last epoch."""

from pathlib import Path

import pytest
from toy_training import ScriptedLoop, loop_of

from zoo_core.training.patience import Patience


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
