import numpy as np
import pytest
import torch

from zoo_core import output


def test_grid_holds_every_pixel_of_every_image() -> None:
    x = torch.rand(5, 1, 3, 4, generator=torch.Generator().manual_seed(0)).round()
    picture = np.asarray(output.grid(x, columns=2, pad=1, scale=1))
    assert picture.shape == (3 * 3 + 2, 2 * 4 + 1)
    for i in range(5):
        top, left = i // 2 * 4, i % 2 * 5
        tile = picture[top : top + 3, left : left + 4]
        assert np.array_equal(tile, 255 * x[i, 0].numpy())


def test_grid_keeps_colour_and_clamps() -> None:
    x = torch.tensor([1.5, 0.5, -1.0]).view(1, 3, 1, 1)
    assert output.grid(x, scale=1).getpixel((0, 0)) == (255, 128, 0)


def test_grid_enlarges_small_images_only() -> None:
    assert output.grid(torch.zeros(1, 1, 28, 28)).size == (84, 84)
    assert output.grid(torch.zeros(1, 3, 128, 128)).size == (128, 128)
    assert output.grid(torch.zeros(1024, 1, 28, 28)).size[0] < 1200


def test_names_stand_left_of_their_rows() -> None:
    x = torch.zeros(6, 1, 28, 28)
    plain, named = output.grid(x, columns=2), output.grid(x, columns=2, names=["z0", "", "z2"])
    margin = named.width - plain.width
    assert np.array_equal(np.asarray(named)[:, margin:], np.asarray(plain))
    rows = np.asarray(named)[:, :margin].max(1).reshape(-1)
    written = [bool((part > 200).any()) for part in np.array_split(rows, 3)]
    assert written == [True, False, True]


@pytest.mark.parametrize(
    "headings", [["input", "", "red hair"], ["input", "", "straightforwardly"]]
)
def test_headings_stand_above_their_columns(headings: list[str]) -> None:
    x = torch.zeros(6, 1, 28, 28)
    plain, headed = output.grid(x, columns=3), output.grid(x, columns=3, headings=headings)
    margin = headed.height - plain.height
    assert np.array_equal(np.asarray(headed)[margin:], np.asarray(plain))
    above = np.asarray(headed)[:margin].max(0)
    written = [bool((part > 200).any()) for part in np.array_split(above, 3)]
    assert written == [True, False, True]


def test_names_and_headings_stand_together() -> None:
    x = torch.zeros(4, 1, 28, 28)
    headed = output.grid(x, columns=2, headings=["a", "b"])
    both = output.grid(x, columns=2, headings=["a", "b"], names=["one", "two"])
    assert both.height == headed.height
    assert np.array_equal(np.asarray(both)[:, both.width - headed.width :], np.asarray(headed))


def test_what_fills_a_row_looks_like_the_space_between() -> None:
    x = torch.ones(3, 3, 2, 2)
    full = torch.cat([x, output.blank(x, 1)])
    assert np.array_equal(np.asarray(output.grid(full, 2)), np.asarray(output.grid(x, 2)))


def test_grid_takes_half_precision() -> None:
    assert output.grid(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16)).getpixel((0, 0)) == 255


def test_parts_stand_one_above_the_other() -> None:
    x = torch.arange(3.0).view(3, 1, 1, 1)
    images, names = output.stacked((x, 10 + x), 2, ("a", "b"))
    space = float(output.blank(x, 1))
    assert images.flatten().tolist() == [0, 1, 10, 11, 2, space, 12, space]
    assert names == ["a", "b", "a", "b"]


def test_heat_rises_from_black_and_ends_at_the_highest() -> None:
    colours = output.heat(torch.tensor([[[-1.0, 0.0, 1.0, 2.0, 9.0]]]), 2.0)
    assert colours.shape == (1, 3, 1, 5)
    brightness = colours.sum(1).flatten()
    assert brightness[0] == brightness[1] < 0.1 < brightness[2] < brightness[3] == brightness[4]
    assert output.heat(torch.zeros(1, 2, 2), 0.0).max() < 0.1
