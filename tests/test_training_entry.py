"""The entry of a run: its name, its metrics, and what its weights say."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo_core as zoo
from zoo_core import loading, plugins
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.training.entry import Publisher
from zoo_core.training.recipe import Recipe


def publisher(folder: Path, **entry: Any) -> Publisher:
    family, architecture = plugins.find("bernoulli")
    config = {"shape": [1, 3, 3]}
    recipe = Recipe("bernoulli", "bars-and-stripes", config=config, entry=entry)
    folder.mkdir(exist_ok=True)
    return Publisher(recipe, folder, family, architecture, load_dataset("bars-and-stripes"))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("bernoulli.mine", "bernoulli.mine"),
        ("mine", "bernoulli.mine"),
        ("My_Run (2)", "bernoulli.my-run-2"),
        ("bernoulli.Größe", "bernoulli.gr-e"),
        ("модель", "bernoulli.data"),
    ],
)
def test_a_run_is_named_after_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    assert publisher(tmp_path / folder).name == name


def test_a_model_with_a_likelihood_is_measured_on_the_test_split(tmp_path: Path) -> None:
    run = publisher(tmp_path / "bernoulli.bars", summary="Nine coins", tags=["small"])
    model = zoo.create("bernoulli", seed=0, shape=[1, 3, 3])
    run.publish({"model": model}, {"nll": 6.5})
    assert loading.open_source(run.folder).metadata["metrics"] == {"val_nll": 6.5}
    entry = run.finish(model, torch.device("cpu"), seen=9)
    assert entry["weights"]["seen"] == 9
    (metric,) = entry["metrics"]
    measured = zoo.evaluate(run.folder)["test_nll"]
    assert metric["value"] == pytest.approx(measured.value, abs=0.0006)
    assert metric["protocol"]["data"] == "bars-and-stripes:test"
    assert (entry["summary"], entry["tags"]) == ("Nine coins", ["small"])
    assert entry["weights"]["sha256"] == loading.open_source(run.folder).sha256
    written = tomllib.loads((run.folder / "entry.toml").read_text())["entry"]
    assert written[0]["name"] == "bernoulli.bars" and written[0]["metrics"] == [metric]
    source = loading.open_source(run.folder)
    assert source.metadata["metrics"] == {"test_nll": metric["value"]}
    assert source.metadata["data_sha256"] == run.data.digest


def test_a_measurement_that_fails_loses_no_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = publisher(tmp_path / "bernoulli.bars", protocol={"fid": {"features": "nowhere.net"}})
    model = zoo.create("bernoulli", seed=0, shape=[1, 3, 3])
    run.publish({"model": model}, {"nll": 6.5})
    assert "metrics" not in run.finish(model, torch.device("cpu"), seen=9)
    assert "the entry has no metrics: " in capsys.readouterr().err
    assert (run.folder / loading.WEIGHTS).is_file()


def test_rows_of_the_data_are_those_of_training(tmp_path: Path) -> None:
    run = zoo.train("bernoulli", data="bars-and-stripes-4[0:5]", epochs=1, output=tmp_path / "few")
    (metric,) = run.entry["metrics"]
    assert metric["protocol"]["data"] == "bars-and-stripes-4:test"
    assert run.entry["weights"]["seen"] == 5
    source, rows = loading.open_source(run.folder), load_dataset("bars-and-stripes-4")
    assert (run.entry["data"], source.metadata["data"]) == ("bars-and-stripes-4",) * 2
    assert source.metadata["data_sha256"] == rows[:5].digest
    assert zoo.evaluate(run.folder)["test_nll"].value == pytest.approx(metric["value"], abs=0.0006)
    assert 'data = "bars-and-stripes-4[0:5]"' in (run.folder / "recipe.toml").read_text()


def test_data_with_a_split_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    words = r"'bars-and-stripes-4:train\[0:5\]' names a split.* as 'bars-and-stripes-4\[0:1000\]'"
    with pytest.raises(InvalidInput, match=words):
        zoo.train("bernoulli", data="bars-and-stripes-4:train[0:5]", output=tmp_path / "few")
    assert not (tmp_path / "few").exists()
