"""Optimisers: tables of one network, schedules, clipping, and what is not trained."""

from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.training.optimizers import Optimizers
from zoo_core.training.recipe import Recipe


def made(optimizer: dict[str, Any], **settings: Any) -> Optimizers:
    torch.manual_seed(0)
    networks = {
        "model": nn.Linear(2, 1),
        "critic": nn.Linear(2, 1),
        "memory": nn.BatchNorm1d(2, affine=False),
    }
    recipe = Recipe("x", "y", optimizer=optimizer, **settings)
    return Optimizers(networks, recipe, Fabric(accelerator="cpu", devices=1), 10)


def rate(optimizers: Optimizers, name: str) -> float:
    return float(optimizers.of[name].param_groups[0]["lr"])


def test_a_table_of_a_networks_name_is_for_that_one() -> None:
    optimizers = made({"opt": "sgd", "lr": 0.5, "critic": {"lr": 0.1}})
    assert (rate(optimizers, "model"), rate(optimizers, "critic")) == (0.5, 0.1)
    assert optimizers.rates == {"lr": 0.5}


def test_what_has_no_trainable_parameters_has_no_optimiser() -> None:
    optimizers = made({"opt": "sgd", "lr": 0.5})
    assert {*optimizers.of} == {"model", "critic"}
    assert {*optimizers.networks} == {"model", "critic", "memory"}


def test_a_schedule_is_a_function_of_the_step() -> None:
    rates = []
    for steps in ([0, 5, 19], [19]):
        optimizers = made({"opt": "sgd", "lr": 0.5}, epochs=2, schedule={"sched": "cosine"})
        for step in steps:
            optimizers.begin_step(step)
        rates.append(rate(optimizers, "model"))
    assert rates[0] == rates[1] < 0.1


def test_an_update_moves_its_network_says_so_and_clips() -> None:
    moved: list[str] = []
    optimizers = made({"opt": "momentum", "momentum": 0.0, "lr": 1.0}, clip=0.5)
    before = {name: parameters(network) for name, network in optimizers.networks.items()}
    loss = 1000 * optimizers.networks["model"](torch.ones(3, 2)).sum()
    optimizers.updates(moved.append)["model"](loss)
    assert moved == ["model"]
    change = parameters(optimizers.networks["model"]) - before["model"]
    assert float(change.norm()) == pytest.approx(0.5, rel=1e-3)
    assert torch.equal(parameters(optimizers.networks["critic"]), before["critic"])


def test_optimisers_forget() -> None:
    optimizers = made({"opt": "adam", "lr": 0.1})
    update = optimizers.updates(lambda name: None)["model"]
    update(optimizers.networks["model"](torch.ones(3, 2)).sum())
    assert optimizers.of["model"].state
    optimizers.forget()
    assert not optimizers.of["model"].state


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": {"opt": "nope", "lr": 1}}, r"the recipe's \[optimizer\] .*nope.* does not"),
        ({"optimizer": {"opt": "sgd", "speed": 1}}, r"the recipe's \[optimizer\] .* does not work"),
        (
            {"optimizer": {"opt": "sgd"}, "schedule": {"sched": "plateau"}},
            "schedule.sched is 'plateau'; expected one that is a function of the step",
        ),
    ],
)
def test_settings_that_do_not_work(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        made(**settings)


def parameters(network: nn.Module) -> Tensor:
    """All of a network's parameters in one row."""
    return torch.cat(
        [p.detach().flatten().clone() for p in network.parameters()] or [torch.ones(0)]
    )
