"""Optimisers: tables of one network, schedules, clipping, and what is not trained."""

import os
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core.errors import InvalidInput
from zoo_core.training.optimizers import Optimizers, quick_steps
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


def test_a_gradient_that_is_not_finite_is_left_to_the_report() -> None:
    optimizers = made({"opt": "momentum", "momentum": 0.0, "lr": 1.0}, clip=0.5)
    loss = float("inf") * optimizers.networks["model"](torch.ones(3, 2)).sum()
    optimizers.updates(lambda name: None)["model"](loss)
    assert not parameters(optimizers.networks["model"]).isfinite().all()


def test_a_fused_optimiser_does_not_clip_scaled_gradients() -> None:
    with pytest.raises(InvalidInput, match=r"Leave optimizer\.fused or clip out"):
        made({"opt": "adam", "fused": True}, clip=0.5, precision="16-mixed")


@pytest.mark.parametrize("name", ["adam", "lamb", "adan", "lookahead_adam"])
def test_optimisers_forget(name: str) -> None:
    optimizers = made({"opt": name, "lr": 0.1})
    network = optimizers.networks["model"]
    update, before = optimizers.updates(lambda name: None)["model"], parameters(network)

    def step(scale: float) -> Tensor:
        nn.utils.vector_to_parameters(before.clone(), network.parameters())
        update((scale * network(torch.ones(3, 2))).square().sum())
        return parameters(network)

    first, second = step(1.0), step(3.0)
    assert not torch.equal(first, second)
    optimizers.of["model"].param_groups[0]["lr"] = 0.05
    optimizers.forget()
    assert optimizers.rates == {"lr": 0.05}
    optimizers.of["model"].param_groups[0]["lr"] = 0.1
    assert torch.equal(step(1.0), first)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": {"opt": "nope", "lr": 1}}, r"the recipe's \[optimizer\] .*nope.* does not"),
        (
            {"optimizer": {}, "schedule": {"sched": "cosine", "num_epochs": -3}},
            r"the recipe's schedule\.num_epochs is -3; expected a finite number of at least 0",
        ),
        (
            {"optimizer": {}, "schedule": {"sched": "cosine", "num_epochs": 0}},
            r"the recipe's \[schedule\] .*num_epochs.* does not work: ",
        ),
        (
            {"optimizer": {"opt": "adamw", "weight_decay": "x"}},
            r"the recipe's optimizer\.weight_decay is 'x'; expected a finite number of at least 0",
        ),
        (
            {"optimizer": {}, "schedule": {"sched": "cosine", "warm_up": 1}},
            r"the recipe: unknown key 'schedule\.warm_up'\.",
        ),
        ({"optimizer": {"opt": "sgd", "momentum": []}}, r"optimizer\.momentum is \[\]; expected a"),
        (
            {"optimizer": {"opt": "adam", "lr": float("nan")}},
            r"optimizer\.lr is nan; expected a fin",
        ),
        (
            {"optimizer": {"opt": "adam", "lr": True}},
            r"optimizer\.lr is True; expected a finite num",
        ),
        ({"optimizer": {"opt": 5}}, r"optimizer\.opt is 5; expected text"),
        ({"optimizer": {"foreach": "no"}}, r"optimizer\.foreach is 'no'; expected true or false"),
        (
            {"optimizer": {"opt": "adam", "betas": [0.9, float("inf")]}},
            r"optimizer\.betas is \[0\.9, inf\]; expected text, true or false, finite numbers",
        ),
        (
            {"optimizer": {}, "schedule": {"sched": "cosine", "warmup_epochs": float("nan")}},
            r"schedule\.warmup_epochs is nan; expected a finite number of at least 0",
        ),
        (
            {"optimizer": {}, "schedule": {"sched": "poly", "decay_rate": -float("inf")}},
            r"schedule\.decay_rate is -inf; expected a finite number of at least 0",
        ),
        (
            {"optimizer": {"opt": "adahessian"}},
            r"'adahessian', .*} does not work: it takes gradients of gradients, which are not",
        ),
        ({"optimizer": {"opt": "mu0n"}}, r"not work: [^.]*\. Did you mean .*muon"),
        (
            {"optimizer": {}, "schedule": {"sched": "cosin"}},
            r"not work: [^.]*\. Did you mean cosine\?",
        ),
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


def gradients(accumulate: int) -> list[Tensor]:
    """Weights after two steps on the same six rows, of two networks whose losses share both."""
    optimizers = made({"opt": "sgd", "lr": 0.5}, accumulate=accumulate)
    model, critic = optimizers.networks["model"], optimizers.networks["critic"]
    x = torch.arange(12.0).view(6, 2) / 12
    for _ in range(2):
        parts = x.chunk(accumulate)
        for part in parts:
            update = optimizers.updates(
                lambda name: None, len(part) / len(x), last=part is parts[-1]
            )
            with optimizers.reduced(part is parts[-1]):
                fixed = critic(part).detach()
                update["model"]((model(part) * fixed + critic(part)).mean())  # reaches the critic
                update["critic"](critic(part).square().mean())
    return [*model.parameters(), *critic.parameters()]


@pytest.mark.parametrize("accumulate", [2, 4, 6])
def test_gradients_of_parts_add_up_to_those_of_the_step(accumulate: int) -> None:
    for ours, whole in zip(gradients(accumulate), gradients(1), strict=True):
        torch.testing.assert_close(ours, whole)


def test_a_network_that_is_updated_twice_in_a_step_cannot_accumulate() -> None:
    optimizers = made({"opt": "sgd", "lr": 0.5}, accumulate=2)
    update = optimizers.updates(lambda name: None, 0.5, last=False)
    update["model"](optimizers.networks["model"](torch.ones(3, 2)).sum())
    with pytest.raises(InvalidInput, match=r"updates 'model' several times .* Leave accumulate"):
        update["model"](optimizers.networks["model"](torch.ones(3, 2)).sum())


@pytest.mark.parametrize("gpu", [False, True])
def test_steps_ask_no_driver_for_a_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, gpu: bool
) -> None:
    name = "PYTORCH_NVML_BASED_CUDA_CHECK"
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    with quick_steps():
        assert (name in os.environ) == gpu
    assert os.environ[name] == "1"
