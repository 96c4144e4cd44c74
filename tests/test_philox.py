"""The numbers of samples without torch are those with it."""

import pytest
import torch

from zoo_core import draws, philox


@pytest.mark.parametrize("D", [1, 2, 7, 8, 50, 784])
def test_the_first_numbers_of_a_sample_are_those_of_its_stream(D: int) -> None:
    key = philox.scramble(philox.scramble(7))
    for numbers, draw in ((philox.uniforms, draws.rand), (philox.normals, draws.randn)):
        x = draw(5, D, generator=draws.Streams(7))
        assert torch.equal(torch.from_numpy(numbers(key, 0, 5, D)), x)
        assert torch.equal(torch.from_numpy(numbers(key, 2, 3, D)), x[2:])
