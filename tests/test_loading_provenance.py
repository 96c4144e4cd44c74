"""What is known of a model, and where it is known from."""

import copy
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import zoo_core
from factories import save_nade
from zoo_core import loading
from zoo_core.errors import InvalidInput, InvalidWeights
from zoo_core.loading.provenance import requirement
from zoo_core.registry import Licence

CONFIG = {"shape": [1, 3, 3], "hidden": 4}


def test_a_loaded_model_knows_where_it_comes_from(tmp_path: Path) -> None:
    path = save_nade(tmp_path / "small.safetensors")
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
    model = loading.load(save_nade(tmp_path / "small.safetensors"))
    known, keys = zoo_core.info(model), list(model.state_dict())
    changed = change(model)
    assert zoo_core.info(changed) == known
    assert list(changed.state_dict()) == keys


def test_of_a_stranger_the_class_is_known() -> None:
    with pytest.raises(InvalidInput, match=r"'nade\.nltcs' is no model: expected what zoo_core"):
        zoo_core.info("nade.nltcs")  # type: ignore[arg-type]
    assert zoo_core.info(nn.Linear(1, 1)) == loading.Info(name="Linear", architecture="Linear")


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("0.1.0", "zoo-x>=0.1,<0.2"),
        ("1", "zoo-x>=1.0,<2"),
        ("2.3", "zoo-x>=2.3,<3"),
        ("0.2b1", "zoo-x>=0.2,<0.3"),
        ("1.0rc1", "zoo-x>=1.0,<2"),
    ],
)
def test_any_version_of_a_family_can_be_needed(version: str, wanted: str) -> None:
    family: Any = SimpleNamespace(distribution="zoo-x", version=version)
    assert requirement(family) == wanted


def test_each_part_of_a_model_keeps_its_mode() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout())
    model[0].eval()
    with loading.ready(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, False, True]


def test_parameters_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    model = loading.load(save_nade(tmp_path / "small.safetensors"))
    with torch.no_grad():
        model.get_parameter("b")[2] = torch.nan
    with pytest.raises(InvalidWeights, match=r"small\.safetensors: b holds NaN"):
        zoo_core.run(model, "sample", n=2)
    with pytest.raises(InvalidWeights, match=r"small\.safetensors: b holds NaN"):
        zoo_core.evaluate(model, ["test_nll"], data="bars-and-stripes:test")
