"""Rows of a protocol: which, in which order, and that they fit the model."""

import pytest
import torch

from toy_models import Coins
from zoo_core import errors
from zoo_core.data import load_dataset
from zoo_core.metrics import measure, rows


@pytest.mark.parametrize("at_once", [1, 5, 16, 500])
def test_each_row_is_given_once_and_in_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", at_once)
    data = load_dataset("bars-and-stripes:test")
    assert torch.equal(rows.each(Coins(), data, lambda x: x), data.floats())


def test_a_protocol_without_data() -> None:
    with pytest.raises(errors.InvalidInput, match="the protocol names no data"):
        measure("test_nll", Coins(), {"seed": 0})


def test_grey_rows_do_not_fit_a_binary_model(grey: str) -> None:
    with pytest.raises(errors.InvalidInput, match="has 256 levels, but the model is binary"):
        measure("test_nll", Coins(), {"data": grey})
