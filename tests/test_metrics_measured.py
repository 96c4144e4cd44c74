"""A mean with its standard error."""

import math

import pytest
import torch

from zoo_core.metrics.measured import Measured


def test_the_standard_error_is_that_of_the_mean() -> None:
    values = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert Measured.of(values)[:3] == pytest.approx((2.5, math.sqrt(5 / 3) / 2, 4))
    assert math.isnan(Measured.of(values[:1]).error)
