"""Metrics of pixels against closed forms."""

import math

import pytest
import torch

from zoo_core.errors import InvalidInput
from zoo_core.metrics.pixels import distance, scales, similarity


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_sliced_distance_of_a_shift_is_the_mean_of_its_projections() -> None:
    x, D, c = torch.rand(200, 1, 3, 3, generator=seeded()), 9, 0.3
    assert distance(x, x, seeded()).value == 0.0
    # E |θ₁| of a random direction in D dimensions, times the shift's length
    expected = c * math.sqrt(D) * math.gamma(D / 2) / math.gamma((D + 1) / 2) / math.sqrt(math.pi)
    measured = distance(x, x + c, seeded(), 4096)
    assert measured.value == pytest.approx(expected, abs=4 * measured.error)
    assert measured.n == 200


def test_pairs_of_equal_images_are_alike_and_noise_is_not() -> None:
    one = torch.rand(1, 3, 28, 28, generator=seeded())
    assert similarity(one.expand(10, -1, -1, -1)).value == pytest.approx(1.0)
    assert similarity(torch.rand(40, 3, 28, 28, generator=seeded())).value < 0.1


def test_every_side_has_scales_that_fit() -> None:
    assert [scales(side) for side in (6, 7, 16, 28, 64, 128)] == [0, 1, 2, 3, 4, 5]
    for side in (7, 13, 14, 20, 27, 28, 32, 45, 56, 63, 64, 100, 111, 112):
        value = similarity(torch.rand(4, 1, side, side, generator=seeded())).value
        assert math.isfinite(value), side


def test_images_that_are_too_small_or_none() -> None:
    for x in (torch.rand(8, 1, 6, 6), torch.rand(8, 5)):
        with pytest.raises(InvalidInput, match="structural similarity is of images"):
            similarity(x)
    with pytest.raises(InvalidInput, match="3 samples are too few to pair"):
        similarity(torch.rand(3, 1, 7, 7))
