"""The laws that every family keeps, and what is special to this one."""

import math

import pytest
import torch

from zoo_core.testing import Case, Law
from zoo_my_family import model


@pytest.mark.zoo_family("my-family")
def test_law(law: Law, case: Case) -> None:
    law(case)


def test_at_its_start_all_images_are_equally_probable() -> None:
    untrained = model.MyFamily((1, 2, 2))
    nats = untrained.log_prob(untrained.sample(5))
    assert torch.allclose(nats, torch.full((5,), -4 * math.log(2)))
