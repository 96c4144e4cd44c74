"""The code without training: its nats are those of a code that can be decoded."""

import itertools
import math

import torch
from torch import Tensor

from zoo_core.tasks.complexity import complexity

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1), (0, 2), (1, 2), (1, -2))


def one_by_one(x: Tensor) -> float:
    """The nats of an image, (H, W), when each pixel is coded after those before it."""
    H, W = x.shape
    counts: dict[tuple[float, ...], list[float]] = {}
    nats = 0.0
    for i, j in itertools.product(range(H), range(W)):
        places = [(i - up, j - left) for up, left in NEIGHBOURS]
        context = tuple(float(x[a, b]) if a >= 0 and 0 <= b < W else 0.0 for a, b in places)
        seen = counts.setdefault(context, [0.5, 0.5])
        value = int(x[i, j])
        nats -= math.log(seen[value] / sum(seen))
        seen[value] += 1
    return nats


def test_it_is_what_coding_pixel_by_pixel_takes() -> None:
    x = torch.rand(3, 1, 6, 5, generator=torch.Generator().manual_seed(0)).round()
    found = complexity(x, 2)
    assert torch.allclose(found, torch.tensor([one_by_one(one[0]) for one in x]).double())


def test_all_images_of_a_size_are_a_distribution() -> None:
    states = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).view(-1, 1, 3, 3)
    total = float((-complexity(states, 2)).exp().sum())
    assert abs(total - 1) < 1e-9


def test_channels_are_coded_one_by_one() -> None:
    x = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)).round()
    each = torch.stack([complexity(x[:, c : c + 1], 2) for c in range(3)])
    assert torch.allclose(complexity(x, 2), each.sum(0))


def test_stripes_cost_less_than_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    stripes = torch.zeros(1, 1, 16, 16)
    stripes[..., ::2] = 1
    noise = torch.rand(1, 1, 16, 16, generator=generator)
    for levels in (2, 256):
        plain, rich = complexity(torch.cat([stripes, noise]), levels)
        assert plain < rich / 3


def test_grey_levels_and_colours_are_coded_by_png() -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    bytes_of = complexity(x, 256) / (8 * math.log(2))
    assert torch.allclose(bytes_of, bytes_of.round()) and (bytes_of > 192).all()
    assert (complexity(x[:, :1], None) < complexity(x, None)).all()
