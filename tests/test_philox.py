"""The numbers of samples without torch are those with it."""

import sys

import numpy as np
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


@pytest.mark.parametrize("counter", [0, 5 << 128 | 3 * 98, 2**64 - 2, 2**256 - 1])
@pytest.mark.parametrize("n", [0, 1, 3, 1000])
def test_few_numbers_are_those_of_numpy_without_its_package(
    monkeypatch: pytest.MonkeyPatch, counter: int, n: int
) -> None:
    key = philox.scramble(7) | 784 << 64
    wanted = np.random.Philox(key=key, counter=counter).random_raw(4 * n)
    monkeypatch.delitem(sys.modules, "numpy.random")
    monkeypatch.setattr(np, "random", None)
    monkeypatch.setattr(philox, "_computed", 0)
    assert np.array_equal(philox._raw(key, counter, n), wanted)


def test_a_process_that_goes_on_takes_numpys_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "numpy.random")
    monkeypatch.setattr(philox, "_computed", 0)
    calls = []
    monkeypatch.setattr(philox, "_rounds", lambda *given: calls.append(given) or np.zeros(0))
    for _ in range(100):
        philox._raw(1, 2, 40)
    assert len(calls) == 40  # each counts 104 of 4096
