"""The usual trainer, and the one that the documentation shows."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from zoo_core.errors import PluginError
from zoo_core.protocols import Trainer
from zoo_core.training.objective import Objective, unwrapped

PAGE = Path(__file__).parents[1] / "docs" / "plugins" / "trainers.md"


class Line(nn.Module):
    """An autoencoder with one latent."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 1), nn.Linear(1, 3)
        self.begun: Tensor | None = None

    def begin(self, mean: Tensor) -> None:
        self.begun = mean

    def encode(self, x: Tensor, *, generator: torch.Generator) -> Tensor:
        z: Tensor = self.encoder(x)
        return z

    def decode(self, z: Tensor) -> Tensor:
        x: Tensor = self.decoder(z)
        return x


class Weighed(Objective):
    """Two values, of which the second counts thrice in the loss."""

    monitor = "a"

    def values(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        y = self.model(x).squeeze(1)
        return {"a": y, "b": y.square() if labels is None else y * labels}

    def loss(self, means: Mapping[str, Tensor]) -> Tensor:
        return super().loss(means) + 3 * means["b"]


def shown() -> type[Objective]:
    title = 'title="zoo_bottleneck/trainer.py"'
    (block,) = re.findall(rf"^```python {title}\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    names: dict[str, Any] = {}
    exec(block, names)
    cls: type[Objective] = names["SquaredError"]
    return cls


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def applied(to: dict[str, Tensor]) -> dict[str, Callable[[Tensor], None]]:
    return {"model": lambda loss: to.update(loss=loss)}


def test_an_objective_is_abstract() -> None:
    with pytest.raises(TypeError, match="values"):
        Objective(nn.Identity())  # type: ignore[abstract]


def test_the_mean_of_the_monitored_value_is_applied() -> None:
    torch.manual_seed(0)
    trainer, x, losses = shown()(Line()), torch.rand(8, 3), dict[str, Tensor]()
    assert isinstance(trainer, Trainer)
    told = trainer.training_step(x, applied(losses), seeded())
    each = trainer.validation_step(x, seeded())["squares"]
    assert each.shape == (8,)
    assert torch.equal(losses["loss"], each.mean())
    assert torch.equal(told["squares"], losses["loss"])
    assert not any(value.requires_grad for value in told.values())
    losses["loss"].backward()
    assert all(p.grad is not None for p in trainer.networks["model"].parameters())


def test_a_loss_may_weigh_several_values_and_labels_reach_them() -> None:
    trainer, losses = Weighed(nn.Linear(2, 1)), dict[str, Tensor]()
    x, labels = torch.rand(5, 2), torch.arange(5)
    told = trainer.training_step(x, applied(losses), seeded(), labels)
    each = trainer.validation_step(x, seeded(), labels)
    assert torch.equal(told["b"], (each["a"] * labels).mean())
    torch.testing.assert_close(losses["loss"].detach(), told["a"] + 3 * told["b"])


def test_a_model_begins_from_the_mean_where_it_can() -> None:
    trainer, mean = shown()(Line()), torch.rand(3)
    trainer.begin(mean)
    assert trainer.model.begun is mean
    shown()(nn.Identity()).begin(mean)


def test_the_network_is_the_one_that_the_loop_put_in_place() -> None:
    trainer, other = shown()(Line()), Line()
    trainer.networks["model"] = other
    assert trainer.model is other


def test_slopes_are_taken_of_a_network_without_its_wrapper() -> None:
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    wrapped = fabric.setup_module(nn.Linear(3, 1))
    networks: dict[str, nn.Module] = {"model": wrapped}
    x = torch.ones(2, 3, requires_grad=True)
    with unwrapped(networks, "model"):
        (slope,) = torch.autograd.grad(networks["model"](x).sum(), x, create_graph=True)
    torch.testing.assert_close(slope, wrapped.weight.expand(2, -1))
    assert networks["model"] is wrapped
    plain: dict[str, nn.Module] = {"model": nn.Linear(3, 1)}
    with unwrapped(plain, "model"):
        assert isinstance(plain["model"], nn.Linear)


def test_objectives_import_no_training_loop() -> None:
    """A model beside its objective is loaded without Fabric, which takes seconds to import."""
    program = (
        "import sys, zoo_core.training.likelihood\n"
        "print({'lightning_fabric', 'torchvision', 'timm'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


@pytest.mark.parametrize("shape", [(), (4, 1)])
def test_values_that_are_not_one_for_each_input_are_refused(shape: tuple[int, ...]) -> None:
    class Slip(Objective):
        monitor = "nll"

        def values(
            self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
        ) -> dict[str, Tensor]:
            return {"nll": torch.zeros(shape)}

    step = Slip(Line()).training_step
    with pytest.raises(PluginError, match=r"Slip of a Line: nll has the shape .*; expected \(4,\)"):
        step(torch.zeros(4, 3), {}, torch.Generator())
