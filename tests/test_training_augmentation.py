"""Images that are moved, turned and scaled a little; variables that become noise."""

import pytest
import torch

from zoo_core.training.augmentation import jitter, mutate


def test_images_are_moved_each_by_an_amount_of_its_own() -> None:
    x = torch.zeros(200, 1, 9, 9)
    x[:, :, 4, 4] = 1.0
    moved = jitter(x, 1 / 9, 0.0, 0.0, torch.Generator().manual_seed(0))
    places = torch.arange(9.0) - 4
    centre = (moved.sum(2) * places).sum(2).squeeze(1)
    assert centre.abs().max() <= 1.0 + 1e-5 and centre.std() == pytest.approx(3**-0.5, rel=0.1)
    torch.testing.assert_close(moved.sum((1, 2, 3)), torch.ones(200))


def test_images_are_turned_about_the_middle_and_scaled() -> None:
    x, random = torch.rand(20, 1, 8, 8), torch.Generator().manual_seed(0)
    assert jitter(x, 0.0, 0.0, 0.0, random) is x
    square = torch.zeros(50, 1, 33, 33)
    square[..., 10:23, 10:23] = 1.0
    turned = jitter(square, 0.0, 45.0, 0.0, random)
    assert turned[:, 0, 16, 16].min() == 1 and (turned - square).abs().sum((1, 2, 3)).max() > 20
    torch.testing.assert_close(turned.sum((1, 2, 3)), square.sum((1, 2, 3)), rtol=0.03, atol=0)
    areas = jitter(square, 0.0, 0.0, 0.2, random).sum((1, 2, 3))
    assert 169 / 1.2**2 * 0.95 < areas.min() < 140 < 200 < areas.max() < 169 / 0.8**2 * 1.05


@pytest.mark.parametrize(("levels", "left"), [(2, 0.85), (256, 0.7 + 0.3 / 256), (None, 0.7)])
def test_a_share_of_the_variables_becomes_noise(levels: int | None, left: float) -> None:
    x = torch.rand(400, 10, generator=torch.Generator().manual_seed(0))
    x = x if levels is None else (x * (levels - 1)).round() / (levels - 1)
    noisy = mutate(x, 0.3, levels, torch.Generator().manual_seed(1))
    assert float((noisy == x).float().mean()) == pytest.approx(left, abs=0.02)
    assert noisy.min() >= 0 and noisy.max() <= 1
    if levels is not None:
        torch.testing.assert_close(noisy * (levels - 1), (noisy * (levels - 1)).round())


def test_without_noise_no_random_number_is_taken() -> None:
    generator = torch.Generator().manual_seed(0)
    before, x = generator.get_state(), torch.rand(3, 4)
    assert mutate(x, 0.0, 2, generator) is x
    assert torch.equal(generator.get_state(), before)
