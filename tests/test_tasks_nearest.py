"""The copy check: samples beside the nearest training rows."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from toy_models import Copyist, Table, run, save_feature_net
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.tasks.nearest import neighbours

BARS = "bars-and-stripes-4"


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


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
    net = save_feature_net(tmp_path)
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
    assert [heading.split("@")[0] for heading in result.headings] == [
        "sample",
        *["nearest in pixels"] * 2,
        *[f"nearest in {net}"] * 2,
    ]
    spaces = {row["space"].rpartition("@")[0] or row["space"] for row in result.rows}
    assert spaces == {"pixels", net}
    assert "2 nearest in pixels, 2 nearest in " in result.notes[-2]


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


class MixedTable(Table):
    """A model of mixed columns, whose samples are one row: 3, y."""

    event_shape = (2,)
    columns = (Column("a", "ordinal", ("1", "2", "3")), Column("b", "binary", ("x", "y")))

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        return torch.tensor([[2.0, 1.0]]).expand(n, -1)


def test_rows_are_in_the_columns_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("b,a\nx,1\ny,\nx,3\ny,3\ny,1\n")
    path = str(tmp_path / "t.csv")
    result = run("nearest", MixedTable(), inputs=(path,), n=1, k=4)
    assert [(row["row"], row["distance"]) for row in result.rows] == [
        (f"{path}[3]", 0.0),
        (f"{path}[2]", 1.0),
        (f"{path}[4]", 2.0),
        (f"{path}[0]", pytest.approx(5**0.5)),
    ]
    assert result.notes[0].endswith("t.csv: left out 1 of 5 rows: a cell is missing")
    with pytest.raises(InvalidInput, match="a cell is missing in each of 1 row"):
        run("nearest", MixedTable(), inputs=(f"{path}[1:2]",), n=1, k=1)


def test_rows_of_whole_numbers_are_in_the_columns_of_the_model(tmp_path: Path) -> None:
    """As the model's samples are: not over their greatest number."""
    (tmp_path / "t.csv").write_text("a,b\n1,0\n3,1\n2,1\n")
    model = MixedTable()
    model.columns = (model.columns[0], Column("b", "binary", ("0", "1")))
    result = run("nearest", model, inputs=(str(tmp_path / "t.csv"),), n=1, k=2)
    assert [row["distance"] for row in result.rows] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "m does not say which data it was trained on: name them, as inputs='mnist:train'"),
        ({"data": BARS, "k": 0}, "k is 0; expected a whole number of at least 1"),
        ({"data": BARS, "k": 9999}, f"k=9999: {BARS}:train has 1024 rows"),
    ],
)
def test_what_cannot_be_held_beside_is_said(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        run("nearest", Copyist(), **options)


def test_a_net_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"takes \(1, 4, 4\), but m samples \(3,\)"):
        run("nearest", Table(), data=BARS, features=save_feature_net(tmp_path))


def test_held_out_rows_that_there_are_not_are_said(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("1,0,0\n0,1,1\n")
    result = run("nearest", Table(), data=str(tmp_path), n=2, k=1)
    assert "no held-out rows stand beside" in result.notes[0]


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
