"""A model is loaded, created and saved."""

import errno
import inspect
import json
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo_core
from factories import METADATA, save_nade
from zoo_core import loading, plugins
from zoo_core.config import check_trainer
from zoo_core.errors import DiskError, InvalidInput, OutputExists, PluginError, UnknownName
from zoo_core.loading import models
from zoo_core.loading.meta import build_blank
from zoo_core.protocols import Bound, Decoder, DensityModel, Generator
from zoo_core.testing import Case, cases


def test_a_model_is_loaded_for_use(tmp_path: Path) -> None:
    model = loading.load(save_nade(tmp_path / "small.safetensors"))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_a_trainable_model_learns_and_its_file_stays(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    path.chmod(0o444)  # as in the store
    before = path.read_bytes()
    model = loading.load(path, trainable=True)
    assert model.training
    assert all(p.requires_grad for p in model.parameters())
    x = torch.ones(4, 1, 3, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = -model.log_prob(x).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    assert path.read_bytes() == before


def test_a_model_is_loaded_as_a_protocol(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    model = loading.load(path, as_=DensityModel)
    assert model.log_prob(torch.zeros(2, *model.event_shape)).shape == (2,)
    with pytest.raises(InvalidInput) as caught:
        loading.load(path, as_=Decoder)
    assert str(caught.value) == (
        "small is not a generator that maps latent variables to samples: it has no latent_dim, "
        "latent, decode. It implements Autoregressive, Completer, DensityModel, Generator."
    )


def test_a_model_is_created_untrained() -> None:
    model = zoo_core.create("nade", shape=(1, 3, 3), hidden=4)
    assert model.training
    assert model.sample(2).shape == (2, 1, 3, 3)
    config = {"shape": [1, 3, 3], "hidden": 4}
    known = zoo_core.info(model)
    assert (known.name, known.family, known.config) == ("nade", "autoregressive", config)
    assert (known.sha256, known.requires) == ("", "zoo-autoregressive>=0.1,<0.2")


def test_a_seed_decides_the_initial_weights() -> None:
    first, again, other = (
        zoo_core.create("autoregressive/nade", seed=seed, shape=(1, 3, 3), hidden=4).state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_a_seed_leaves_the_default_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    zoo_core.create("nade", seed=1, shape=(1, 3, 3))
    assert torch.equal(torch.get_rng_state(), before)
    first = zoo_core.create("nade", shape=(1, 3, 3)).state_dict()
    torch.manual_seed(0)
    again = zoo_core.create("nade", shape=(1, 3, 3)).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hiden": 4}, "unknown key 'hiden'. Did you mean hidden? Allowed: shape, hidden, "),
        ({"hidden": "4"}, "the config of NADE: hidden is '4'; expected a whole number."),
        ({"hidden": True}, "the config of NADE: hidden is True; expected a whole number."),
        ({"shape": 3}, "the config of NADE: shape is 3; expected a list (a whole number each)."),
        ({"shape": "28"}, "of NADE: shape is '28'; expected a list (a whole number each)."),
        ({"order": 1}, "order is 1; expected text or a list (a whole number each)."),
        ({"hidden": -3}, "of NADE: hidden is -3; expected a whole number of at least 1."),
        ({"hidden": 0}, "of NADE: hidden is 0; expected a whole number of at least 1."),
        (
            {"shape": (1, -3)},
            "shape is (1, -3); expected a list (a whole number of at least 1",
        ),
        ({"shape": None}, "the config of NADE: shape is None; expected a list"),
    ],
)
def test_a_wrong_config_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        zoo_core.create("nade", **({"shape": (1, 3, 3)} | config))
    assert message in str(caught.value)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_size_below_zero_is_named_by_every_architecture(case: Case) -> None:
    defaults = {key: one.default for key, one in inspect.signature(case.cls).parameters.items()}
    for key, value in {**defaults, **case.config}.items():
        if type(value) is int or (isinstance(value, list | tuple) and {*map(type, value)} == {int}):
            low = -1 if isinstance(value, int) else [*value[:-1], -1]
            with pytest.raises(InvalidInput, match=key) as caught:
                build_blank(case.cls, {**case.config, key: low})
            assert "-1" in str(caught.value)
            assert "Error" not in str(caught.value)


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_number_out_of_range_is_named_by_every_architecture_and_trainer(case: Case) -> None:
    for key, one in inspect.signature(case.cls).parameters.items():
        for value in (-1.0, math.nan, math.inf) if isinstance(one.default, float) else ():
            with pytest.raises(InvalidInput, match=f"{key} is {value}"):
                build_blank(case.cls, {**case.config, key: value})
    trainer = plugins.import_class(case.architecture.trainer)
    for key, one in inspect.signature(trainer).parameters.items():
        if type(one.default) in (int, float):
            with pytest.raises(InvalidInput, match=f"trainer.{key} is -1; expected a .*number "):
                check_trainer(trainer, {key: -1})


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean nade"):
        zoo_core.create("nadee", shape=(1, 3, 3))
    with pytest.raises(PluginError, match="autoregresive"):
        zoo_core.create("autoregresive/nade", shape=(1, 3, 3))


def test_a_changed_model_is_saved_with_its_start(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    model = loading.load(path, trainable=True)
    with torch.no_grad():
        model.get_parameter("W").add_(1.0)
    zoo_core.save(model, tmp_path / "tuned.safetensors", {"data": "mine"})
    tuned = zoo_core.load(tmp_path / "tuned.safetensors")
    known = zoo_core.info(tuned)
    assert torch.equal(tuned.get_parameter("W"), model.get_parameter("W"))
    assert (known.name, known.data, known.metrics) == ("tuned", "mine", {})
    start = {"name": "small", "sha256": zoo_core.info(model).sha256}
    assert loading.open_source(tmp_path / "tuned.safetensors").metadata["start"] == start


def test_a_created_model_is_saved(tmp_path: Path) -> None:
    model = zoo_core.create("nade", shape=(1, 3, 3), hidden=4)
    zoo_core.save(model, tmp_path / "new.safetensors")
    again = zoo_core.load(tmp_path / "new.safetensors", as_=Generator)
    assert again.event_shape == (1, 3, 3)
    with pytest.raises(InvalidInput, match=r"new is not a model whose likelihood is bounded"):
        zoo_core.load(tmp_path / "new.safetensors", as_=Bound)


def test_a_stranger_is_saved_only_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"this Linear\. Give save its family, requires, arch"):
        zoo_core.save(nn.Linear(1, 1), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_config_of_far_more_layers_than_its_file_lists_is_refused(tmp_path: Path) -> None:
    config = {"shape": [1, 3, 3], "layers": 10**5}
    said = {"zoo": json.dumps(METADATA | {"architecture": "pixelcnn", "config": config})}
    save_file({"b": torch.zeros(1)}, path := tmp_path / "deep.safetensors", said)
    assert path.stat().st_size < 1000
    start = time.process_time()
    with pytest.raises(InvalidInput, match=r"deep\.safetensors: the config asks PixelCNN for far"):
        loading.load(path)
    assert time.process_time() - start < 2


def test_a_folder_is_no_file_to_save_to(tmp_path: Path) -> None:
    model = zoo_core.create("bernoulli", shape=(1, 2, 2))
    with pytest.raises(InvalidInput, match=r"it is a folder\. Give the path of a file"):
        zoo_core.save(model, tmp_path)
    with pytest.raises(InvalidInput, match=r"the folder .*none does not exist\. Make it first"):
        zoo_core.save(model, tmp_path / "none" / "a.safetensors")


def test_a_disk_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(models, "write", full)
    with pytest.raises(DiskError, match=r"cannot write .*a\.safetensors: No space left on device"):
        zoo_core.save(zoo_core.create("bernoulli", shape=(1, 2, 2)), tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zoo_core.load(3), "name is 3; expected a name or a path."),
        (lambda: zoo_core.load("x", trainable="no"), "trainable is 'no'; expected true or false."),
        (lambda: zoo_core.create(3), "architecture is 3; expected text."),
        (lambda: zoo_core.create("nade", seed="a"), "seed is 'a'; expected a whole number of at l"),
        (lambda: zoo_core.create("nade", seed=-1), "seed is -1; expected a whole number of at le"),
        (lambda: zoo_core.create("nade", device=[]), "device is []; expected cpu, cuda, cuda:1 or"),
        (lambda: zoo_core.save(nn.Linear(1, 1), 3), "path is 3; expected a name or a path."),
    ],
)
def test_an_argument_of_another_type_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_what_is_no_protocol_is_named(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    with pytest.raises(InvalidInput, match=r"is not a model of the class str\. It implements Auto"):
        zoo_core.load(path, as_=str)


def test_a_file_is_overwritten_only_by_force_and_ends_as_weights_do(tmp_path: Path) -> None:
    model = zoo_core.create("bernoulli", shape=(1, 2, 2))
    zoo_core.save(model, path := tmp_path / "a.safetensors")
    with pytest.raises(OutputExists, match=r"a\.safetensors exists\. Give .* force=True to overwr"):
        zoo_core.save(model, path)
    zoo_core.save(model, path, force=True)
    with pytest.raises(InvalidInput, match=r"a\.pt: weights are files that end in \.safetensors"):
        zoo_core.save(model, tmp_path / "a.pt")


def test_a_config_is_the_same_created_and_loaded(tmp_path: Path) -> None:
    created = zoo_core.create("nade", shape=(1, 3, 3), hidden=4)
    zoo_core.save(created, path := tmp_path / "a.safetensors")
    configs = [zoo_core.info(model).config for model in (created, zoo_core.load(path))]
    assert configs == [{"shape": [1, 3, 3], "hidden": 4}] * 2


def test_threads_create_what_a_seed_gives_alone() -> None:
    def weights(seed: int) -> torch.Tensor:
        return zoo_core.create("nade", seed=seed, shape=(30,), hidden=50).W.detach()

    alone = [weights(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for expected, found in zip(alone, pool.map(weights, range(8)), strict=True):
            assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ({"licence": "MIT"}, "licence"),
        ({"name": "../x"}, "name"),
        ({"data": 5}, "data"),
        ({"metrics": {"nll": torch.ones(())}}, "metrics"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(
    tmp_path: Path, said: dict[str, Any], key: str
) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    before = path.read_bytes()
    with pytest.raises(InvalidInput, match=f"metadata has no sound {key}"):
        zoo_core.save(zoo_core.load(path), path, said, force=True)
    assert path.read_bytes() == before


def test_a_device_without_memory_is_named(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
    assert str(loading.load(path, device="cpu:1").W.device) == "cpu"
    with pytest.raises(InvalidInput, match="device 'meta' holds no weights"):
        loading.load(path, device="meta")
