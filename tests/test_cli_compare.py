"""The command compare: a table, a plot, and what cannot be compared."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from zoo_core import loading, plugins
from zoo_core.cli import root
from zoo_core.data.resolve import parse_spec
from zoo_core.metrics import measure
from zoo_core.metrics.comparison import parameters, with_split
from zoo_core.output import read_provenance

BARS = "bars-and-stripes:test"


def table_of_four() -> str:
    Path("four").mkdir()
    for split in ("train", "valid", "test"):
        (Path("four") / f"{split}.csv").write_text("0,1,1,0\n1,1,0,0\n")
    return "four:test"


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


Publish = Callable[..., None]


@pytest.fixture
def publish(
    entry: Callable[..., dict[str, Any]],
    write_registry: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Publish:
    """Publish untrained models by name: architecture and config."""

    def published(data: str = "bars-and-stripes", **models: dict[str, Any]) -> None:
        (tmp_path / "registry").mkdir()
        tables = []
        for architecture, config in models.items():
            name = f"{architecture}.bars"
            record = plugins.architecture(architecture, "autoregressive")
            config = {"shape": [1, 3, 3], **config}
            model = loading.build(plugins.import_class(record.path), config)
            path = tmp_path / "registry" / f"{name}.safetensors"
            metadata = {"requires": "zoo-autoregressive", "config": config}
            metadata |= {"family": "autoregressive", "architecture": architecture}
            loading.save(model, path, metadata)
            weights = {
                "url": path.name,
                "sha256": sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
                "parameters": parameters(model),
            }
            table = entry(
                name=name, architecture=architecture, config=config, weights=weights, data=data
            )
            tables.append(table)
        monkeypatch.setenv("ZOO_REGISTRY", str(write_registry(*tables)))

    return published


def zoo(*args: str) -> Result:
    return CliRunner().invoke(root, args, prog_name="zoo")


def test_the_table_has_a_line_for_each_model_in_their_order(publish: Publish) -> None:
    publish(markov={}, bernoulli={}, joint={})
    result = zoo("compare", "joint", "*.bars", "-n", "2")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    columns = ["NAME", "PARAMETERS", "VALUES", "LIKELIHOOD", "TEST NATS", "BITS/DIM"]
    assert re.split("  +", head) == columns
    assert [row.split()[:4] for row in rows] == [
        ["joint.bars", "511", "binary", "exact"],
        ["markov.bars", "17", "binary", "exact"],
        ["bernoulli.bars", "9", "binary", "exact"],
    ]
    assert "3 models on bars-and-stripes:test -> compare.png, compare-samples.png" in result.stderr
    plot = read_provenance(Path("compare.png"))
    assert plot["data"] == BARS
    assert list(plot["weights"]) == ["joint.bars", "markov.bars", "bernoulli.bars"]


def test_figures_are_those_of_eval(publish: Publish) -> None:
    publish(markov={})
    result = zoo("compare", "markov", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    (row,) = found["models"]
    value = measure("test_nll", loading.load("markov.bars"), {"data": BARS}).value
    assert row["nats"] == pytest.approx(value)
    assert (row["likelihood"], row["note"], row["n"]) == ("exact", None, 16)
    assert found["outputs"] == []
    assert not list(Path().glob("*.png"))


def test_run_folders_and_files_are_compared_too(publish: Publish, tmp_path: Path) -> None:
    publish(markov={})
    file = str(tmp_path / "registry" / "markov.bars.safetensors")
    result = zoo("compare", file, "--data", "bars-and-stripes[0:4]", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["data"] == "bars-and-stripes:test[0:4]"
    assert found["models"][0]["n"] == 4


def test_a_folder_of_runs_stands_for_these(publish: Publish, tmp_path: Path) -> None:
    publish(markov={}, nade={})
    for name in ("markov", "nade"):
        folder = tmp_path / "runs" / "ladder.bars" / name
        folder.mkdir(parents=True)
        weights = (tmp_path / "registry" / f"{name}.bars.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(weights)
    (tmp_path / "runs" / "ladder.bars" / "ladder.png").write_bytes(b"")
    (tmp_path / "runs" / "none").mkdir()
    result = zoo("compare", "runs/ladder.bars", "--data", "bars-and-stripes:test", "--json")
    assert [model["values"] for model in json.loads(result.stdout)["models"]] == ["binary"] * 2
    result = zoo("compare", "runs/none", "--data", "bars-and-stripes:test")
    assert result.exit_code == 3 and "holds no model.safetensors" in result.stderr


def test_a_file_named_like_an_entry_is_told_apart_by_its_path(
    publish: Publish, tmp_path: Path
) -> None:
    publish(markov={})
    file = str(tmp_path / "registry" / "markov.bars.safetensors")
    result = zoo("compare", file, "markov.bars", file, "--data", "bars-and-stripes", "--json")
    assert result.exit_code == 0, result.output
    models = json.loads(result.stdout)["models"]
    assert [model["name"] for model in models] == [file, "markov.bars"]
    assert len({model["nats"] for model in models}) == 1


def test_grey_levels_and_binary_draws_are_told_apart(publish: Publish, tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "val", "test"):
        (tmp_path / "grey" / split).mkdir(parents=True)
        Image.new("L", (3, 3), 128).save(tmp_path / "grey" / split / "x.png")
    publish("grey", markov={}, bernoulli={}, categorical={"levels": 256})
    result = zoo("compare", "*.bars")
    assert result.exit_code == 0, result.output
    assert "categorical.bars  2,295       256 levels" in result.stdout
    assert "categorical.bars: not binary, so on other data than the rest" in result.stderr


def test_entries_of_different_data_need_a_data_set(publish: Publish, tmp_path: Path) -> None:
    publish(markov={})
    file = tmp_path / "registry" / "markov.bars.safetensors"
    (tmp_path / "copy.safetensors").write_bytes(file.read_bytes())
    result = zoo("compare", "markov", "./copy.safetensors")
    assert result.exit_code == 2
    assert "no data set in common: markov.bars on bars-and-stripes, copy on unknown" in " ".join(
        result.stderr.split()
    )
    assert "--data" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["markof"], 3, "Did you mean markov"),
        (["x*"], 3, "no entry fits 'x*'"),
        (["markov", "-o", "plot.csv"], 2, "the plot is a picture; expected a name in .png"),
        (["markov", "-o", "no/plot.png"], 2, "does not exist"),
        (["markov", "--data", "four"], 2, "markov.bars takes rows of shape (1, 3, 3)"),
    ],
)
def test_what_cannot_be_compared(
    publish: Publish, arguments: list[str], code: int, words: str
) -> None:
    table_of_four()
    publish(markov={})
    result = zoo("compare", *arguments)
    assert result.exit_code == code
    assert words in result.stderr


def test_models_that_cannot_take_the_rows_are_named_after_the_others(publish: Publish) -> None:
    publish(markov={}, nade={"shape": [4]})
    table_of_four()
    result = zoo("compare", "markov", "nade", "--data", "four", "--json")
    assert result.exit_code == 2
    assert [model["name"] for model in json.loads(result.stdout)["models"]] == ["nade.bars"]
    assert "1 of 2 models cannot be measured. The others are done.\nmarkov.bars takes rows" in (
        result.stderr
    )


def test_a_plot_is_not_overwritten(publish: Publish) -> None:
    publish(markov={})
    Path("plot.png").write_text("mine")
    assert zoo("compare", "markov", "-o", "plot.png").exit_code == 2
    assert Path("plot.png").read_text() == "mine"
    assert zoo("compare", "markov", "-o", "plot.png", "--force").exit_code == 0
    assert Path("plot-samples.png").is_file()


def test_force_overwrites_the_default_plot(publish: Publish) -> None:
    publish(markov={})
    Path("compare.png").write_text("an old one")
    assert zoo("compare", "markov", "-n", "0").exit_code == 0
    assert Path("compare-2.png").is_file() and Path("compare.png").read_text() == "an old one"
    assert zoo("compare", "markov", "-n", "0", "-f").exit_code == 0
    assert Path("compare.png").read_bytes().startswith(b"\x89PNG")
    assert not Path("compare-3.png").exists()


@pytest.mark.parametrize(
    ("spec", "whole"),
    [
        ("mnist", "mnist:test"),
        ("mnist[0:9]", "mnist:test[0:9]"),
        ("mnist:train[0:9]", "mnist:train[0:9]"),
        ("a[1]/rows[2].csv", "a[1]/rows[2].csv:test"),
        ("a[1]/rows[2].csv[:3]", "a[1]/rows[2].csv:test[:3]"),
    ],
)
def test_the_test_split_goes_before_the_rows_and_behind_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, whole: str
) -> None:
    (tmp_path / "a[1]").mkdir()
    (tmp_path / "a[1]" / "rows[2].csv").write_text("0,1\n")
    monkeypatch.chdir(tmp_path)
    assert with_split(spec, None) == whole
    assert parse_spec(whole).split in ("test", "train")
