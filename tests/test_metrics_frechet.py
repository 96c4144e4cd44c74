"""Distances of features against closed forms."""

import pytest
import torch
from torch import Tensor

from zoo_core.metrics.frechet import frechet, kernel_distance


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


def test_fid_of_equal_sets_is_zero() -> None:
    x = normal(500, 6)
    assert frechet(x, x, seeded()).value == pytest.approx(0, abs=1e-6)


def test_fid_of_two_normal_sets_is_the_closed_form() -> None:
    n, deviation, shift = 40_000, torch.tensor([1.0, 2.0, 0.5]).double(), 3.0
    x, y = normal(n, 3) * deviation, normal(n, 3, 1) + shift
    # with independent dimensions: (μ₁ − μ₂)² + (σ₁ − σ₂)² of each
    expected = 3 * shift**2 + float((deviation - 1).square().sum())
    measured = frechet(x, y, seeded())
    assert measured.value == pytest.approx(expected, abs=4 * measured.error)
    assert 0 < measured.error < 0.2 and measured.n == n


def test_fid_knows_correlated_dimensions() -> None:
    x = normal(40_000, 2)
    mixing = torch.tensor([[1.0, 0.9], [0.0, 0.5]]).double()
    y = normal(40_000, 2, 1) @ mixing
    eigenvalues = torch.linalg.eigvalsh(mixing.T @ mixing)
    expected = float((eigenvalues.sqrt() - 1).square().sum())  # against the unit covariance
    assert frechet(x, y, seeded()).value == pytest.approx(expected, abs=0.01)


def test_kid_is_unbiased_and_grows_with_the_shift() -> None:
    x, same, apart = normal(2000, 4), normal(2000, 4, 1), normal(2000, 4, 2) + 1
    alike = kernel_distance(x, same, seeded(), 8)
    assert abs(alike.value) < 4 * alike.error
    # E (x·y/d + 1)³ of normal x, y with means a, b: (1 + a·b/d)³ + 3 (1 + a·b/d) Var(x·y)/d²
    mean, variance = 2.0, (4 + 4 + 4) / 16
    yy, xx, xy = mean**3 + 3 * mean * variance, 1 + 3 * 4 / 16, 1 + 3 * (4 + 4) / 16
    third = 6 * 4 / 64  # the third moment of x·y between two such means, E ∏ over d dimensions
    expected = yy + third - 2 * xy + xx
    measured = kernel_distance(x, apart, seeded(), 8)
    assert measured.value == pytest.approx(expected, abs=5 * measured.error)


def test_kid_of_few_rows_has_a_spread() -> None:
    measured = kernel_distance(normal(60, 2), normal(80, 2, 1), seeded(), 8)
    assert 0.001 < measured.error < 1 and measured.n == 80


def test_kid_leaves_the_default_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x, y = normal(50, 2), normal(60, 2, 1)
    values = [kernel_distance(x, y, seeded(seed), 8).value for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert values[0] == values[1] != values[2]
