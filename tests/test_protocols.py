"""Protocols are capabilities: a class has one if it has its methods."""

import inspect
from importlib import import_module

import pytest
import torch
from torch import nn

from toy_models import Invertible, Logistic, Sampler, nade
from zoo_core import protocols
from zoo_core.errors import InvalidInput


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Sampler(), {"Generator"}),
        (Logistic(), {"Generator", "Decoder"}),
        (Invertible(), {"Generator", "Decoder", "Encoder", "LatentVariable"}),
        (nade(), {"Generator", "DensityModel", "Autoregressive", "Completer"}),
        (nn.Linear(1, 1), set()),
    ],
)
def test_what_a_class_is_follows_from_its_methods(model: nn.Module, names: set[str]) -> None:
    known = ("Generator", "Conditional", "Prompted", "DensityModel", "Autoregressive", "Completer",
             "Encoder", "Decoder", "LatentVariable", "Bound", "Classifier", "Featurizer",
             "Translator", "PartCompleter")  # fmt: skip
    held = {name for name in known if isinstance(model, getattr(protocols, name))}
    assert held - {"Conditional"} == names


@pytest.mark.parametrize(
    "module", ["zoo_core.protocols", "zoo_core.export.function", "zoo_core.training.protocols"]
)
def test_no_protocol_asks_for_a_tensor(module: str) -> None:
    """It may be a buffer, which from Python 3.12 on isinstance does not see."""
    every = [each for each in vars(import_module(module)).values() if inspect.isclass(each)]
    checked = [each for each in every if getattr(each, "_is_runtime_protocol", False)]
    assert checked
    for each in checked:
        assert "Tensor" not in inspect.get_annotations(each).values(), each


def test_a_bound_is_its_reconstruction_less_the_second_term() -> None:
    elbo = protocols.ELBO(torch.tensor([-4.0]), torch.tensor([3.0]))
    assert elbo.bound.tolist() == [-7.0]


def test_a_model_is_narrowed_to_a_protocol_or_refused() -> None:
    model = Sampler()
    assert protocols.narrow(model, protocols.Generator) is model
    with pytest.raises(
        InvalidInput,
        match=r"gan\.x is not a model .* any input: it has no levels, log_prob",
    ):
        protocols.narrow(model, protocols.DensityModel, "gan.x")
    assert protocols.shape_of(model) == (1, 2, 2)


def test_a_chain_rule_whose_order_is_a_buffer_is_seen_by_each_python() -> None:
    model = nade()
    assert "order" in dict(model.named_buffers())
    assert isinstance(model, protocols.Autoregressive)
    assert not hasattr(protocols.Autoregressive, "order")  # or isinstance would look for it


def test_a_model_is_narrowed_to_one_of_two_protocols() -> None:
    model = nade()
    assert protocols.narrow(model, protocols.Scored) is model
    with pytest.raises(InvalidInput, match=r"it has no levels, log_prob or levels, elbo, log_prob"):
        protocols.narrow(Sampler(), protocols.Scored)
