"""Which weights of a run are published."""

from pathlib import Path

import pytest
from toy_training import ScriptedLoop, loop_of

from zoo_core.training.publishing import Publishing


@pytest.mark.parametrize("keep, expected", [("best", [2.0, 1.0]), ("last", [2.0, 3.0, 1.0, 1.5])])
def test_the_best_weights_are_published_or_the_last(
    keep: str, expected: list[float], tmp_path: Path
) -> None:
    published: list[float] = []
    run = loop_of(
        tmp_path,
        Publishing(lambda networks, values: published.append(values["error"]), keep),
        cls=ScriptedLoop,
        epochs=4,
    )
    run.found = [2.0, 3.0, 1.0, 1.5]  # type: ignore[attr-defined]
    run.run()
    assert published == expected
