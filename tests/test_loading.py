"""What a name becomes, and what a model in memory knows of itself."""

import copy
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import zoo_core
from zoo_core import loading
from zoo_core.errors import InvalidInput, InvalidWeights, PluginError, UnknownName
from zoo_core.plugins import architecture, import_class
from zoo_core.protocols import Bound, Decoder, DensityModel, Generator
from zoo_core.registry import Licence

CONFIG = {"shape": [1, 3, 3], "hidden": 4}
METADATA: dict[str, Any] = {
    "family": "autoregressive",
    "requires": "zoo-autoregressive",
    "architecture": "nade",
    "config": CONFIG,
    "data": "bars",
    "data_sha256": "d" * 64,
    "licence": {"code": "Apache-2.0"},
    "metrics": {"test_nll": 3.5},
    "recipe_sha256": "r" * 64,
    "versions": {"zoo-core": "0.1.0"},
}


def save(path: Path, **changes: Any) -> Path:
    """Write the weights of a small NADE, untrained."""
    model = loading.build(import_class(architecture("nade").path), CONFIG)
    loading.save(model, path, METADATA | changes)
    return path


# Load


def test_a_model_is_loaded_for_use(tmp_path: Path) -> None:
    model = loading.load(save(tmp_path / "small.safetensors"))
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())


def test_a_trainable_model_learns_and_its_file_stays(tmp_path: Path) -> None:
    path = save(tmp_path / "small.safetensors")
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
    path = save(tmp_path / "small.safetensors")
    model = loading.load(path, as_=DensityModel)
    assert model.log_prob(torch.zeros(2, *model.event_shape)).shape == (2,)
    with pytest.raises(InvalidInput) as caught:
        loading.load(path, as_=Decoder)
    assert str(caught.value) == (
        "small is not a Decoder: it has no latent_dim, latent, decode. "
        "It implements Autoregressive, Completer, DensityModel, Generator."
    )


# Create and save


def test_a_model_is_created_untrained() -> None:
    model = zoo_core.create("nade", shape=(1, 3, 3), hidden=4)
    assert model.training
    assert model.sample(2).shape == (2, 1, 3, 3)
    config = {"shape": (1, 3, 3), "hidden": 4}
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
        ({"hidden": -3}, "NADE cannot be built with shape = (1, 3, 3), hidden = -3: RuntimeError"),
        ({"shape": None}, "the config of NADE: shape is None; expected a list"),
    ],
)
def test_a_wrong_config_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        zoo_core.create("nade", **({"shape": (1, 3, 3)} | config))
    assert message in str(caught.value)


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UnknownName, match="Did you mean nade"):
        zoo_core.create("nadee", shape=(1, 3, 3))
    with pytest.raises(PluginError, match="autoregresive"):
        zoo_core.create("autoregresive/nade", shape=(1, 3, 3))


def test_a_changed_model_is_saved_with_its_start(tmp_path: Path) -> None:
    path = save(tmp_path / "small.safetensors")
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
    with pytest.raises(InvalidInput, match=r"new is not a Bound"):
        zoo_core.load(tmp_path / "new.safetensors", as_=Bound)


def test_a_stranger_is_saved_only_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"this Linear\. Give save its family, requires, arch"):
        zoo_core.save(nn.Linear(1, 1), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


# Info


def test_a_loaded_model_knows_where_it_comes_from(tmp_path: Path) -> None:
    path = save(tmp_path / "small.safetensors")
    known = zoo_core.info(loading.load(path))
    assert known == loading.Info(
        name="small",
        architecture="nade",
        family="autoregressive",
        requires="zoo-autoregressive",
        config=CONFIG,
        sha256=loading.open_source(path).sha256,
        data="bars",
        licence=Licence("Apache-2.0", "unknown"),
        metrics={"test_nll": 3.5},
        versions={"zoo-core": "0.1.0"},
        recipe_sha256="r" * 64,
        data_sha256="d" * 64,
        path=path,
    )


def test_of_an_entry_the_registry_speaks_first() -> None:
    known = zoo_core.info(zoo_core.load("bernoulli.nltcs"))
    entry = zoo_core.Registry.load().lookup("bernoulli.nltcs")
    assert (known.name, known.architecture, known.entry) == (entry.name, "bernoulli", entry)
    assert known.sha256 == entry.weights.sha256
    assert known.metrics["test_nll"] == entry.metric("test_nll").value
    assert known.licence == entry.licence
    assert "torch" in known.versions  # which only the file says


@pytest.mark.parametrize(
    "change",
    [
        copy.deepcopy,
        copy.copy,
        lambda model: model.to(torch.float64),
        lambda model: model.train().requires_grad_(True),
        lambda model: pickle.loads(pickle.dumps(model)),
    ],
    ids=["deepcopy", "copy", "to", "train", "pickle"],
)
def test_what_is_known_stays_with_a_model(change: Any, tmp_path: Path) -> None:
    model = loading.load(save(tmp_path / "small.safetensors"))
    known, keys = zoo_core.info(model), list(model.state_dict())
    changed = change(model)
    assert zoo_core.info(changed) == known
    assert list(changed.state_dict()) == keys


def test_of_a_stranger_the_class_is_known() -> None:
    assert zoo_core.info(nn.Linear(1, 1)) == loading.Info(name="Linear", architecture="Linear")


@pytest.mark.parametrize(
    ("key", "value"), [("name", 3), ("metrics", [1]), ("versions", "1"), ("licence", "MIT")]
)
def test_metadata_of_the_wrong_kind_are_refused(key: str, value: object, tmp_path: Path) -> None:
    path = save(tmp_path / "small.safetensors", **{key: value})
    with pytest.raises(InvalidWeights, match=f"no sound {key}"):
        loading.load(path)


# Weights that are not a model's


def test_weights_with_nan_are_refused_by_name(tmp_path: Path) -> None:
    model = loading.load(save(tmp_path / "small.safetensors"))
    model.b[3] = float("nan")
    loading.save(model, path := tmp_path / "nan.safetensors", METADATA)
    with pytest.raises(InvalidWeights, match=r"nan\.safetensors does not fit .*: b holds NaN"):
        loading.load(path)
    model.b[3] = float("inf")
    loading.save(model, path, METADATA)
    assert loading.load(path).b.isinf().any()


def test_weights_whose_order_is_no_permutation_are_refused(tmp_path: Path) -> None:
    model = loading.load(save(tmp_path / "small.safetensors"))
    model.order[0] = 5
    loading.save(model, path := tmp_path / "twice.safetensors", METADATA)
    message = r"twice\.safetensors cannot be used: ValueError: order is no permutation .* the file"
    with pytest.raises(InvalidWeights, match=message):
        loading.load(path)


def test_a_config_of_far_more_layers_than_its_file_lists_is_refused(tmp_path: Path) -> None:
    config = {"shape": [1, 3, 3], "layers": 10**5}
    said = {"zoo": json.dumps(METADATA | {"architecture": "pixelcnn", "config": config})}
    save_file({"b": torch.zeros(1)}, path := tmp_path / "deep.safetensors", said)
    assert path.stat().st_size < 1000
    start = time.process_time()
    with pytest.raises(InvalidInput, match=r"deep\.safetensors: the config asks PixelCNN for far"):
        loading.load(path)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "said",
    ["[" * 10**5, '{"config": ' + "9" * 5000 + "}", json.dumps(METADATA | {"name": "\x1b[2J"})],
)
def test_metadata_that_are_none_are_refused(tmp_path: Path, said: str) -> None:
    save_file({"b": torch.zeros(1)}, path := tmp_path / "odd.safetensors", {"zoo": said})
    with pytest.raises(InvalidWeights, match=r"odd\.safetensors") as caught:
        loading.load(path)
    assert str(caught.value).isprintable()
