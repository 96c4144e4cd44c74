"""What a training takes of memory is estimated, said and held against what there is."""

from pathlib import Path

import pytest
from torch import nn

import zoo_core
from zoo_core.errors import InvalidInput
from zoo_core.training import memory
from zoo_core.training.loop import Loop
from zoo_core.training.recipe import Recipe


def test_weights_count_with_gradients_moments_and_an_average() -> None:
    network = nn.Linear(10, 10)
    assert memory.of_weights([network], Recipe()) == 4 * 4 * 110
    assert memory.of_weights([network, network], Recipe(ema=0.9)) == 2 * 5 * 4 * 110
    assert memory.of_weights([network], Recipe(), shares=8) == (2 + 4 / 8) * 4 * 110
    network.requires_grad_(False)
    assert memory.of_weights([network], Recipe()) == 4 * 110


def estimate(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    processes: int = 1,
    together: bool = False,
    **settings: object,
) -> int:
    """What is estimated for a NADE; nothing is trained."""
    found: list[int] = []
    of_loop = memory.of_loop

    class Enough(Exception): ...

    def stop(loop: Loop, *, resume: bool = False) -> None:
        found.append(of_loop(loop, processes, together=together))
        raise Enough

    monkeypatch.setattr(Loop, "run", stop)
    with pytest.raises(Enough):
        zoo_core.train(
            "nade", data="bars-and-stripes", output=folder, quiet=True, force=True, **settings
        )
    return found[0]


def test_an_estimate_grows_with_the_batch_and_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, many = (estimate(monkeypatch, tmp_path, batch_size=size) for size in (1000, 2000))
    assert many - one == pytest.approx(one, rel=0.3)
    wide = estimate(monkeypatch, tmp_path, batch_size=1, config={"hidden": 10**5})
    assert wide == pytest.approx(4 * 4 * 10**5 * 19, rel=0.3)


def test_processes_that_hold_the_data_together_count_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, each, once = (
        estimate(monkeypatch, tmp_path, processes, together)
        for processes, together in ((1, False), (3, False), (3, True))
    )
    data = (1024 + 16) * 9  # bytes of both splits
    assert each == 3 * one
    assert each - once == 2 * data


def test_what_exceeds_the_machines_memory_is_refused_before_it_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        InvalidInput, match=r"training nade\.run takes about [\d,]+\.\d GB of memory"
    ):
        zoo_core.train(
            "nade", data="bars-and-stripes", output=tmp_path / "run", config={"hidden": 10**11}
        )
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("zoo_core.memory.machine", lambda device: 1000)
    with pytest.raises(InvalidInput, match=r"or train all the same \(over_memory=True\)"):
        zoo_core.train("nade", data="bars-and-stripes", output=tmp_path / "run")
    run = zoo_core.train(
        "nade", data="bars-and-stripes", output=tmp_path / "run", epochs=1, over_memory=True
    )
    assert run.metrics


def test_a_trainer_that_cannot_try_a_few_rows_is_estimated_by_its_weights() -> None:
    loop = object.__new__(Loop)  # without batches: whatever is asked of it fails
    assert memory._of_batch(loop) == 0
