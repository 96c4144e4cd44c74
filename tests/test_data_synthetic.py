"""Bars and stripes: the entropy that is known, rows and sizes."""

import pytest
import torch

from zoo_core import errors
from zoo_core.data import bars_and_stripes_entropy, load_dataset


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_entropy_is_that_of_the_rows(n: int) -> None:
    x = load_dataset(f"bars-and-stripes-{n}:test").x.flatten(1)
    _, counts = x.unique(dim=0, return_counts=True)
    p = counts / counts.sum()
    assert len(counts) == 2 ** (n + 1) - 2
    assert bars_and_stripes_entropy(n) == pytest.approx(float(-(p * p.log()).sum()), abs=1e-5)


def test_train_holds_the_same_distribution_many_times() -> None:
    train, test = (load_dataset("bars-and-stripes", split=split) for split in ("train", "test"))
    assert len(train) == 1024
    assert train.event_shape == (1, 3, 3)
    assert torch.equal(train.floats().mean(0), test.floats().mean(0))


def test_bars_and_stripes_of_another_size_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="give a size from 2 to 12"):
        load_dataset("bars-and-stripes-99")
