"""Log-probabilities are summed in single precision, whatever the network computes in."""

import pytest
import torch
from torch import nn

import zoo_core
from zoo_core.precision import single, single_type, weight_of


def test_half_becomes_single_and_the_rest_stays() -> None:
    assert single(torch.ones(1, dtype=torch.bfloat16)).dtype == torch.float32
    for kind in (torch.float32, torch.float64):
        x = torch.ones(1, dtype=kind)
        assert single(x) is x
        assert single_type(kind) == kind


def test_a_model_in_bfloat16_gives_the_nats_of_its_weights() -> None:
    """Digits of NADE had 80.52 nats in bfloat16 where their weights give 81.14."""
    half = zoo_core.load("nade.mnist", dtype="bfloat16")
    x = half.sample(64, generator=torch.Generator().manual_seed(0))
    found = half.log_prob(x)
    wanted = half.float().log_prob(x.float())
    assert found.dtype == torch.float32
    assert found.mean() == pytest.approx(float(wanted.mean()), abs=0.1)


def test_a_weight_is_the_first_floating_point_parameter() -> None:
    count = nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False)
    model = nn.ParameterList([count, torch.zeros(2, dtype=torch.float64)])
    assert weight_of(model) is model[1]
    nested = nn.Sequential(nn.ReLU(), nn.Sequential(model))
    nested.register_module("none", None)
    nested.register_parameter("no_parameter", None)
    assert weight_of(nested) is model[1]


def test_a_model_without_weights_has_one_of_the_default_kind() -> None:
    x = torch.zeros(1, dtype=torch.float64)
    assert weight_of(object()).device.type == "cpu"
    assert weight_of(nn.ReLU(), default=x) is x
