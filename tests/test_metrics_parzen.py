"""The Parzen window against closed forms, and k-means against what it must find."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.metrics.parzen import kmeans, log_likelihood

BARS = {"data": "bars-and-stripes:test", "samples": 4000}


class Half(nn.Module):
    """Samples whose variables are N(1/2, deviation²)."""

    def __init__(self, deviation: float, shape: tuple[int, ...] = (1, 3, 3)) -> None:
        super().__init__()
        self.event_shape, self.deviation = shape, deviation
        self.register_parameter("w", nn.Parameter(torch.zeros(1)))

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return 0.5 + self.deviation * torch.randn(n, *self.event_shape, generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(squares: Tensor, variance: Tensor | float, D: int) -> Tensor:
    """log N of a squared distance from the mean."""
    v = torch.as_tensor(variance, dtype=torch.float64)
    return -squares / (2 * v) - D / 2 * (2 * math.pi * v).log()


def test_one_sample_is_a_gaussian() -> None:
    x, sigmas = torch.rand(7, 5, generator=seeded()), torch.tensor([0.2, 1.3], dtype=torch.float64)
    expected = gaussian(x.double().square().sum(1, keepdim=True), sigmas**2, 5)
    torch.testing.assert_close(log_likelihood(x, torch.zeros(1, 5), sigmas), expected)


def test_many_samples_of_a_gaussian_are_a_wider_one() -> None:
    samples = 0.6 * torch.randn(20_000, 2, generator=seeded())
    x, sigma = torch.randn(600, 2, generator=seeded(1)), torch.tensor([0.5], dtype=torch.float64)
    expected = gaussian(x.double().square().sum(1), 0.6**2 + 0.5**2, 2)
    measured = log_likelihood(x, samples, sigma).squeeze(1)
    assert float((measured - expected).mean().abs()) < 0.01


def test_the_metric_is_the_mean_at_the_best_width() -> None:
    # every state is at the squared distance 9/4 from the middle, and so are the rows that choose σ
    value, error, n, *_ = measure("parzen", Half(0.0), BARS)
    sigmas = torch.logspace(-1, 0, 30, dtype=torch.float64)
    best = gaussian(torch.tensor(2.25), sigmas**2, 9).max()
    assert value == pytest.approx(float(best), abs=1e-4)
    assert error == pytest.approx(0.0, abs=1e-5)
    assert n == 16


def test_the_seed_decides_the_draw() -> None:
    values = {measure("parzen", Half(0.3), BARS | {"seed": seed}).value for seed in (0, 0, 1)}
    assert len(values) == 2


def test_training_rows_score_what_their_window_says() -> None:
    value = measure("parzen_data", nn.Identity(), BARS).value
    assert value == pytest.approx(9 * -math.log(0.1 * math.sqrt(2 * math.pi)) - math.log(16), 0.02)


def test_kmeans_finds_the_middles_of_separate_heaps() -> None:
    middles = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    x = (middles.unsqueeze(1) + 0.1 * torch.randn(3, 50, 2, generator=seeded())).flatten(0, 1)
    places = (torch.randperm(150, generator=seeded(s))[:3] for s in range(99))
    # it can get stuck unless it starts in each heap once
    seed = next(s for s, rows in enumerate(places) if len((rows // 50).unique()) == 3)
    centres = kmeans(x, torch.randperm(150, generator=seeded(seed))[:3], 4)
    expected = x.view(3, 50, 2).mean(1)
    order = torch.cdist(expected, centres).argmin(1)
    torch.testing.assert_close(centres[order], expected)


def test_kmeans_lowers_the_squared_distance() -> None:
    x = torch.rand(400, 6, generator=seeded())
    errors = [
        float(torch.cdist(x, kmeans(x, torch.arange(20), i)).amin(1).square().mean())
        for i in range(4)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.8 * errors[0]


def test_centres_score_at_least_as_the_rows_do() -> None:
    both = [measure(f"parzen_{k}", nn.Identity(), BARS).value for k in ("data", "kmeans")]
    assert both[1] >= both[0] - 1e-3  # here every row is one of 14 states, and so is every centre


@pytest.mark.parametrize(
    ("model", "changes", "text"),
    [
        (nn.Linear(2, 2), {}, "parzen measures a model that can be sampled, which Linear is not"),
        (Half(0.1), {"sample": 3}, "parzen: unknown option 'sample'. Did you mean samples?"),
        (Half(0.1), {"binarize": "fixed"}, "binarize is 'fixed'; expected none"),
        (Half(0.1, (1, 4, 4)), {}, r"rows of shape \(1, 3, 3\), but the samples have \(1, 4, 4\)"),
    ],
)
def test_what_cannot_be_measured(model: nn.Module, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("parzen", model, BARS | changes)


def test_a_protocol_without_data() -> None:
    with pytest.raises(InvalidInput, match="the protocol names no data"):
        measure("parzen", Half(0.1), {"samples": 10})


def test_validation_rows_choose_the_width(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    for name, rows in (("train", "0,0\n0,1\n"), ("valid", "1,1\n1,1\n"), ("test", "0,0\n0,0\n")):
        (folder / f"{name}.csv").write_text(rows)
    at_zero = Half(0.0, (2,))
    at_zero.sample = lambda n, **_: torch.zeros(n, 2)  # type: ignore[method-assign]
    value = measure("parzen", at_zero, {"data": f"{folder}:test", "samples": 5}).value
    # validation is far from the samples, so σ is as wide as the grid goes, or σ² = 1
    assert value == pytest.approx(float(gaussian(torch.tensor(0.0), 1.0, 2)), abs=1e-4)
