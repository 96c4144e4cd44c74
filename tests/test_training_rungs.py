"""The rungs of a ladder: what is tried, and the mean of what several seeds reach."""

from zoo_core.metrics.comparison import Standing
from zoo_core.metrics.measured import Measured
from zoo_core.training.rungs import candidates, mean_of
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
