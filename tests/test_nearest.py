"""The copy check, and features: of models whose samples and features are known."""

import csv
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

import zoo_core
from zoo_core import loading, tasks
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.tasks.nearest import neighbours
from zoo_core.tasks.result import Result

BARS = "bars-and-stripes-4"


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Copyist(nn.Module):
    """It draws rows of the training data by heart, each a little darker."""

    event_shape = (1, 4, 4)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        x = load_dataset(f"{BARS}:train").floats()
        return 0.9 * x[torch.randint(len(x), (n,), generator=generator)]


class Table(nn.Module):
    event_shape = (3,)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.tensor([[0.0, 1.0, 1.0]]).expand(n, -1)


def run(task: str, model: nn.Module, data: str = "", **options: Any) -> Result:
    loading.set_info(model, loading.Info(name="m", architecture="", data=data))
    return zoo_core.run(model, task, **{"seed": 0, **options})


def saved(path: Path) -> str:
    """A small feature net's weights."""
    config = {"shape": [1, 4, 4], "heads": [2], "channels": [4, 4, 4, 8], "stem": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = loading.build(FeatureNet, config).eval()
    record = {"family": "features", "requires": "zoo-core", "architecture": "features"}
    weights = path / "features.small.safetensors"
    loading.save(model, weights, {**record, "name": "features.small", "config": config})
    return str(weights)


# The copy check


def test_the_nearest_rows_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo_core.tasks.nearest._BLOCK", 3)
    x, rows = (torch.randn(n, 5, generator=random(n)).double() for n in (4, 11))
    distances, places = neighbours(x, rows, 5)
    expected = torch.cdist(x, rows).sort(1)
    assert torch.equal(places, expected.indices[:, :5])
    torch.testing.assert_close(distances, expected.values[:, :5])


def test_a_copy_is_beside_its_original() -> None:
    result = run("nearest", Copyist(), data=BARS, n=5, k=2)
    x, train = result.tensors["samples"], load_dataset(f"{BARS}:train").floats()
    first = result.tensors["places_pixels"][:, 0]
    torch.testing.assert_close(0.9 * train[first], x)
    distances = result.tensors["distances_pixels"]
    torch.testing.assert_close(distances[:, 0], 0.1 * train[first].flatten(1).norm(dim=1).double())
    assert result.images is not None and result.columns == 3
    torch.testing.assert_close(result.images.unflatten(0, (5, 3))[:, 1], train[first])
    assert result.figures[0].startswith("in pixels 0.") and "(held-out rows " in result.figures[0]
    assert result.summary.endswith(f"m, each beside the nearest of 1,024 rows of {BARS}:train")
    assert [row["rank"] for row in result.rows] == [1, 2] * 5
    assert result.rows[0]["row"] == f"{BARS}:train[{int(first[0])}]"


def test_rows_are_found_in_the_features_of_a_net_too(tmp_path: Path) -> None:
    net = saved(tmp_path)
    result = run("nearest", Copyist(), data=BARS, n=3, k=2, features=net)
    model = loading.load(net)
    train = load_dataset(f"{BARS}:train").floats()
    with torch.no_grad():
        expected = torch.cdist(model.features(result.tensors["samples"]), model.features(train))
    torch.testing.assert_close(
        result.tensors["distances_features"],
        expected.sort(1).values[:, :2].double(),
        atol=1e-3,
        rtol=1e-3,
    )
    assert result.columns == 5
    spaces = {row["space"].rpartition("@")[0] or row["space"] for row in result.rows}
    assert spaces == {"pixels", net}
    assert "2 nearest in pixels, 2 nearest in " in result.notes[-1]


def test_inputs_take_the_place_of_the_training_data() -> None:
    result = run("nearest", Copyist(), data=BARS, inputs=(f"{BARS}:test[0:4]",), n=2)
    assert int(result.tensors["places_pixels"].max()) < 4
    assert "held-out" not in result.figures[0]
    assert "inputs were given in the training data's place" in result.notes[0]


def test_samples_of_a_table_have_no_picture(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,0,0\n0,1,1\n0,1,0\n")
    result = run("nearest", Table(), inputs=(str(tmp_path / "t.csv"),), n=2, k=2)
    assert result.images is None
    assert [(row["space"], row["distance"]) for row in result.rows[:2]] == [
        ("variables", 0.0),
        ("variables", 1.0),
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "m does not say which data it was trained on: name them, as --input mnist:train"),
        ({"data": BARS, "k": 0}, "k is 0; expected a whole number of at least 1"),
        ({"data": BARS, "k": 9999}, f"--k 9999: {BARS}:train has 1024 rows"),
    ],
)
def test_what_cannot_be_held_beside_is_said(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        run("nearest", Copyist(), **options)


def test_a_net_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"takes \(1, 4, 4\), but m draws \(3,\)"):
        run("nearest", Table(), data=BARS, features=saved(tmp_path))


def test_held_out_rows_that_there_are_not_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("1,0,0\n0,1,1\n")
    result = run("nearest", Table(), data=str(tmp_path), n=2, k=1)
    assert "no held-out rows stand beside" in result.notes[0]


def test_no_architecture_declares_the_copy_check() -> None:
    assert not tasks.find("nearest").declared
    assert tasks.able(Copyist()) == ("sample", "nearest")
    assert tasks.choose("nearest", Copyist(), "m").name == "nearest"
    assert not tasks.implements(tasks.find("nearest"), nn.Linear(1, 1))


# Features


def test_a_feature_net_gives_its_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    weights = saved(tmp_path)
    result = CliRunner().invoke(root, ["run", weights, "-i", f"{BARS}:test[0:5]", "--seed", "0"])
    assert result.exit_code == 0, result.output
    held = np.load("features.small-features.npz")
    x = load_dataset(f"{BARS}:test[0:5]")
    with torch.no_grad():
        expected = loading.load(weights).features(x.floats())
    np.testing.assert_allclose(held["features"], expected.numpy(), rtol=1e-5)
    assert x.labels is not None and held["labels"].tolist() == x.labels.tolist()
    assert held["names"].tolist()[0] == f"{BARS}:test[0]"


def test_the_copy_check_writes_a_picture_and_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_adversarial.gan import GAN

    monkeypatch.chdir(tmp_path)
    config = {"shape": [1, 4, 4], "z": 2, "hidden": [4]}
    record = {"family": "adversarial", "requires": "zoo-adversarial", "architecture": "gan"}
    more = {"name": "gan.small", "config": config, "data": BARS}
    loading.save(loading.build(GAN, config), tmp_path / "gan.safetensors", {**record, **more})
    command = ["run", "./gan.safetensors", "--task", "nearest", "-n", "3", "--k", "2"]
    result = CliRunner().invoke(root, command)
    assert result.exit_code == 0, result.output
    assert Path("gan.small-nearest.png").is_file()
    with Path("gan.small-nearest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6 and set(rows[0]) == {"sample", "space", "rank", "row", "distance"}


def test_training_a_feature_net_ends_with_a_command_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["config.heads=[2]", "config.channels=[4,4,4,8]", "config.stem=4"]
    options = [word for setting in small for word in ("--set", setting)]
    trained = CliRunner().invoke(
        root, ["train", "features", "--data", BARS, "--epochs", "1", "-o", "run", "-q", *options]
    )
    assert trained.exit_code == 0, trained.output
    said = trained.stderr.partition("Try it: zoo ")[2]
    assert said.strip() == f"run ./run --input '{BARS}:test[0:16]'"
    again = CliRunner().invoke(root, shlex.split(said))
    assert again.exit_code == 0, again.output
