"""Every public name of `zoo_core`, used as its types allow: read by type checkers, never run."""

from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor, nn

import zoo_core as zoo
from zoo_core.loading import Source, open_source
from zoo_core.protocols import ELBO, Bound, Conditional, DensityModel, Generator, Prompted
from zoo_core.registry import Entry, Licence
from zoo_core.tasks.result import Result

version: str = zoo.__version__


def load() -> None:
    model = zoo.load("vae.mnist", device="cuda", dtype=torch.bfloat16)
    assert_type(model, zoo.Model)
    random = torch.Generator().manual_seed(0)
    assert_type(model.sample(16, generator=random, temperature=0.5), Tensor)
    assert_type(model.elbo(model.decode(model.latent(3))), ELBO)
    assert_type(model.log_prob(model.sample(2, label=3)), Tensor)
    assert_type(model.sample(1, prompt="a red car"), Tensor)
    assert_type(model.event_shape, tuple[int, ...])
    assert_type(model.to("cpu").eval().encode(torch.zeros(1, *model.event_shape)), Tensor)


def load_as_a_protocol(path: Path) -> None:
    assert_type(zoo.load("nade.mnist", as_=DensityModel), DensityModel)
    assert_type(zoo.load(path, as_=Bound, trainable=True).levels, int | None)
    assert_type(zoo.load("attention.mnist", as_=Conditional).classes, int)
    model = zoo.load("nade.mnist", as_=DensityModel)
    assert_type(zoo.info(model).name, str)
    assert_type(zoo.run(model, "score", inputs=[path]), Result)
    assert_type(zoo.evaluate(model)["test_nll"].value, float)
    assert_type(zoo.compare(model, zoo.load("vae.mnist", as_=Bound))[0].name, str)
    zoo.save(model, path)
    source: Source = open_source(path)
    assert_type(zoo.load(source, as_=Prompted).read(["a", "b"]), Tensor)


def ask_what_it_is(model: nn.Module) -> Tensor | None:
    if isinstance(model, DensityModel) and isinstance(model, Generator):
        return model.log_prob(model.sample(4))
    return None


def create_and_save(folder: Path) -> None:
    model = zoo.create("nade", shape=(1, 28, 28), hidden=500, seed=0, device="cpu")
    assert_type(model, zoo.Model)
    optimizer = torch.optim.Adam(model.parameters())
    loss = -model.log_prob(torch.zeros(8, 1, 28, 28)).mean()
    optimizer.zero_grad()
    zoo.save(model, folder / "new.safetensors", {"data": "mnist"}, dtype="float16")
    assert_type(loss, Tensor)


def run(model: nn.Module, folder: Path) -> None:
    result = zoo.run(model, "interpolate", steps=9, seed=0, batch_size=16, data_root=folder)
    assert_type(result, Result)
    assert_type(zoo.run("nade.mnist").images, Tensor | None)
    result.save(folder / "a.png")
    result.save("a.gif", force=True)


def inform(model: nn.Module) -> None:
    known = zoo.info(model)
    assert_type(known, zoo.Info)
    assert_type(known.name, str)
    assert_type(known.metrics["test_nll"], float)
    assert_type(known.licence, Licence | None)
    assert_type(known.entry, Entry | None)


def look_up() -> None:
    assert_type(zoo.list_entries("nade*"), list[Entry])
    assert_type(zoo.pull("nade.mnist"), Path)
    assert_type(zoo.Registry.load().lookup("nade.mnist").metric("test_nll").value, float)


def train(folder: Path) -> None:
    recipe = zoo.Recipe("nade", "mnist", epochs=3)
    run = zoo.train("nade", data=folder, size=28, lr=1e-3, config={"hidden": 200}, ema=0.999)
    assert_type(run, zoo.Run)
    assert_type(zoo.train(recipe, start="nade.mnist", output=folder).folder, Path)
    assert_type(run.metrics["test_nll"], float)
    assert_type(run.model, zoo.Model)


def measure(model: nn.Module) -> None:
    figures = zoo.evaluate("nade.mnist", metrics=["test_nll"])
    assert_type(figures["test_nll"], zoo.Figure)
    assert_type(zoo.evaluate(model, ["fid"], data="mnist:test", samples=100)["fid"].value, float)
    standings = zoo.compare("nade.nltcs", model, data="nltcs:test")
    assert_type(standings[0].parameters, int)
    rung = min(zoo.ladder("my.csv", budget=60, columns={"id": "skip"}), key=lambda rung: rung.nats)
    assert_type(rung.run, zoo.Run)
    assert_type(rung.nats, float)


def data() -> None:
    rows = zoo.dataset("mnist:train", size=14)
    assert_type(rows[:10], zoo.Dataset)
    assert_type(rows[torch.tensor([1, 2])], zoo.Dataset)
    assert_type(rows[0], Tensor | tuple[Tensor, int | Tensor])
