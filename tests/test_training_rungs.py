"""The rungs of a ladder: what is tried, and the mean of what several seeds reach."""

from pathlib import Path

import pytest
import torch

from zoo_core.metrics.comparison import Standing
from zoo_core.metrics.measured import Measured
from zoo_core.training.run import Run
from zoo_core.training.rungs import Rung, candidates, difference, mean_of, to_use
from zoo_core.training.train import settings


def test_the_figures_of_several_seeds_are_their_means() -> None:
    def standing(nats: float, bits: float | None) -> Standing:
        return Standing("a", 1, "binary", "exact", Measured(nats, 0.1, 9), bits, "", None)

    mean = mean_of([standing(2.0, 1.0), standing(3.0, 2.0)])
    assert mean.nats == Measured(2.5, 0.1, 9)
    assert mean.bits_per_dim == 1.5
    assert mean_of([standing(2.0, None)]) == standing(2.0, None)


def test_settings_name_fields_of_a_recipe() -> None:
    """Of every architecture that is on a ladder; those that are fitted by counting come first."""
    rungs = candidates()
    assert [rung.counted for rung in rungs] == sorted((r.counted for r in rungs), reverse=True)
    tried = [(rung.record.name, one) for rung in rungs for one in rung.settings]
    assert tried
    for name, one in tried:
        assert settings(name, {"data": "t", **one}).architecture == name


def rung(name: str, parameters: int, *nats: float) -> Rung:
    each = torch.tensor(nats).double()
    measured = Measured.of(each)
    figure = Standing(name, parameters, "binary", "exact", measured, None, "", None, each)
    return Rung(name, Run(Path(name), {}), {}, figure, figure, (measured.value,), 1.0)


def test_a_difference_is_of_the_same_rows() -> None:
    """Its error is that of the differences; figures vary far more from row to row."""
    small, large = rung("a", 1, 10.0, 20.0, 31.0, 40.0, 99.0), rung("b", 2, 9.0, 18.0, 30.0, 38.0)
    lost = difference(small.validation, large.validation)
    assert lost.value == pytest.approx(1.5)
    assert lost.error == pytest.approx((1 / 3) ** 0.5 / 2), "of 1, 2, 1 and 2"
    assert lost.n == 4


def test_the_smaller_rung_is_used_where_the_best_is_better_by_chance() -> None:
    small, better = rung("a", 1, 10.0, 20.0, 30.0), rung("b", 9, 9.0, 19.0, 29.5)
    by_chance = rung("c", 9, 9.0, 20.5, 30.2)
    assert to_use([small, better]) is better, "0.83 nats, with an error of 0.17"
    assert to_use([small, by_chance]) is small, "0.1 nats, with an error of 0.46"
    assert to_use([rung("d", 1, 1.0, 2.0), rung("e", 2, 1.0, 2.0)]).name == "d"
    assert to_use([rung("f", 9, 1.0, 2.0), rung("g", 5, 1.5, 2.5)]).name == "f"
    first, last = rung("h", 1, 2.0, 3.0), rung("i", 1, 1.9, 3.05)
    assert to_use([first, last]).name == "h", "as many numbers, and no better but for chance"
