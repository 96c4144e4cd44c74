"""Moving averages of the weights are validated and published."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import nn
from toy_training import loop_of

from zoo_core.training.averages import MovingAverages
from zoo_core.training.publishing import Publishing


def test_what_is_validated_and_published_is_the_average(tmp_path: Path) -> None:
    published: list[tuple[float, Mapping[str, float]]] = []

    def publish(networks: Mapping[str, nn.Module], values: Mapping[str, float]) -> None:
        published.append((float(networks["model"].get_parameter("value").detach()), values))

    averages = MovingAverages(0.9)
    run = loop_of(tmp_path, averages, Publishing(publish))
    run.run()
    trained = float(run.networks["model"].get_parameter("value").detach())
    assert len(published) == 2
    average, values = published[-1]
    assert 0 < average < trained < 1
    assert values["error"] == pytest.approx((1 - average) ** 2, rel=1e-5)
    assert {*run.state} == {"model", "model.ema"}
    assert run.trainer.networks["model"] is not averages.of["model"].module
