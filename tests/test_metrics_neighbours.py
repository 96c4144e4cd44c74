"""Metrics of nearest neighbours against sets of which the answer is known."""

import math
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from zoo_core.metrics import Measured, measure
from zoo_core.metrics.neighbours import radii


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


class Unasked(nn.Module):
    """A generator whose samples nobody needs."""

    event_shape = (1,)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        raise NotImplementedError


def test_radii_on_a_line() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    assert radii(x, 1).tolist() == [1, 1, 2, 4]
    assert radii(x, 3).tolist() == [7, 6, 4, 7]


def by_features(monkeypatch: pytest.MonkeyPatch, x: Tensor, y: Tensor, name: str) -> Measured:
    """A metric of features that are given, against themselves in the place of training rows."""

    def compared(*arguments: Any, **keywords: Any) -> Measured:
        return cast("Measured", arguments[3](x, y, seeded()))

    monkeypatch.setattr("zoo_core.metrics.neighbours.compare_features", compared)
    return measure(name, Unasked(), {})


@pytest.mark.parametrize(
    ("name", "alike", "apart"),
    [
        ("precision", 0.97, 0.0),
        ("recall", 0.97, 0.0),
        ("density", 1.0, 0.0),
        ("coverage", 0.97, 0.0),
        ("one_nn", 0.5, 1.0),
    ],
)
def test_sets_that_are_alike_and_sets_that_are_apart(
    name: str, alike: float, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = normal(1000, 2), normal(1000, 2, 1)
    assert by_features(monkeypatch, x, y, name).value == pytest.approx(alike, abs=0.04)
    assert by_features(monkeypatch, x, y + 100, name).value == apart


def test_coverage_of_the_same_distribution_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    # Naeem et al. 2020: 1 − ∏ (n − i)/(2n − i) over the k nearest, whatever the distribution
    n, k = 1500, 5
    missed = math.prod((n - i) / (2 * n - 1 - i) for i in range(k))
    measured = by_features(monkeypatch, normal(n, 3), normal(n, 3, 1), "coverage")
    assert measured.value == pytest.approx(1 - missed, abs=4 * measured.error)


def test_samples_of_one_mode_are_precise_but_do_not_recall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.cat([normal(500, 2), normal(500, 2, 1) + 100])[torch.randperm(1000)]
    y = normal(1000, 2, 2)
    assert by_features(monkeypatch, x, y, "precision").value > 0.9
    assert by_features(monkeypatch, x, y, "recall").value == pytest.approx(0.5, abs=0.08)
    assert by_features(monkeypatch, x, y, "coverage").value == pytest.approx(0.5, abs=0.08)


def test_an_outlier_among_samples_widens_recall_and_not_coverage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = normal(300, 2), torch.full((300, 2), 50.0, dtype=torch.float64)
    y[:4] = -1000.0 * torch.arange(1, 5).unsqueeze(1)
    assert by_features(monkeypatch, x, y, "recall").value == 1.0
    assert by_features(monkeypatch, x, y, "coverage").value == 0.0


def test_copies_of_the_data_are_nearest_to_the_other_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = normal(400, 2)
    copies = x[torch.randperm(400, generator=seeded(1))] + 1e-9
    assert by_features(monkeypatch, x, copies, "one_nn").value == 0.0
