"""What a family adds beside models is used like ours: data sets, metrics, tasks with options."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from zoo_core import loading, plugins
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.errors import UnknownName
from zoo_core.metrics import complete, measure
from zoo_core.plugins import architecture, import_class

EXTENSION = """
from dataclasses import dataclass
from zoo_core.hookspecs import DataSet, Metric, Task, hookimpl
from zoo_core.options import option
from zoo_core.protocols import Generator

HERE = "zoo_extension_plugin"

@hookimpl
def zoo_datasets():
    return [DataSet("two-dots", f"{HERE}:two_dots", "Two points")]

@hookimpl
def zoo_metrics():
    return [
        Metric("mean_value", f"{HERE}:mean_value", "The mean of n samples",
               unit="grey", tolerance=0.2),
        Metric("former", f"{HERE}:former", "The same in the former form",
               protocol={"n": 500, "seed": 0}),
    ]

@hookimpl
def zoo_tasks():
    needs = "zoo_core.protocols:Generator"
    return [
        Task("average", f"{HERE}:average", needs, "Average k samples", (".png",), (".csv",),
             random=True),
        Task("walk", f"{HERE}:average", "zoo_core.protocols:Decoder", "Walk", (".png",), (".csv",)),
        Task("old", f"{HERE}:old", needs, "Of the old form", (".png",), (".csv",)),
        Task("bare", f"{HERE}:bare", needs, "Without a class of options", (".png",), (".csv",)),
        Task("seeded", f"{HERE}:seeded", needs, "An option of all", (".png",), (".csv",)),
    ]

def two_dots(split, root):
    import torch
    from zoo_core.data import Dataset
    x = torch.tensor([[0, 255], [255, 0]], dtype=torch.uint8)
    return Dataset("two-dots", split, x, 256)

@dataclass(frozen=True, kw_only=True)
class Samples:
    data: str = option("", "Rows")
    binarize: str = option("none", "How", choices=("none",))
    n: int = option(500, "How many samples", minimum=1)
    seed: int = option(0, "Of the samples")

def mean_value(model: Generator, protocol: Samples, data_root):
    import torch
    from zoo_core.metrics import Measured
    x = model.sample(protocol.n, generator=torch.Generator().manual_seed(protocol.seed))
    return Measured(float(x.mean()), 0.0, len(x))

def former(model, protocol, data_root):
    return mean_value(model, Samples(n=protocol["n"], seed=protocol["seed"]), data_root)

@dataclass(frozen=True)
class Options:
    k: int = option(4, "Samples", minimum=1)
    bright: float = option(1.0, "Factor", unit="times the light")
    invert: bool = option(False, "White is black")
    how: str = option("mean", "What to take", choices=("mean", "median"))

def average(model, options: Options, context):
    from zoo_core.tasks.result import Result
    x = model.sample(options.k, generator=context.generator(model)).mean(0, keepdim=True)
    x = options.bright * (1 - x if options.invert else x)
    return Result(summary=f"the mean of {options.k}", images=x, tensors={"mean": x})

def old(model, request): ...

def bare(model, options, context): ...

@dataclass(frozen=True)
class Seeded:
    seed: int = option(0, "Clashes")

def seeded(model, options: Seeded, context): ...
"""


@pytest.fixture(autouse=True)
def _installed(install_family: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(install_family("extension", EXTENSION)))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A small NADE's, untrained."""
    path = tmp_path / "small.safetensors"
    config = {"shape": [1, 3, 3], "hidden": 4}
    model = loading.build(import_class(architecture("nade").path), config)
    record = {"family": "autoregressive", "requires": "zoo-autoregressive", "architecture": "nade"}
    loading.save(model, path, {**record, "config": config})
    return path


def run(weights: Path, *arguments: str) -> Result:
    return CliRunner().invoke(root, ["run", str(weights), "--seed", "0", *arguments])


def test_a_data_set_is_loaded_by_name() -> None:
    data = load_dataset("two-dots:test[1:]")
    assert (data.split, data.floats().tolist()) == ("test", [[1.0, 0.0]])
    with pytest.raises(UnknownName, match="Did you mean two-dots"):
        load_dataset("two-dot")


def test_a_metric_is_measured_by_name(weights: Path) -> None:
    model = loading.load(weights)
    found = measure("mean_value", model, {"n": 400, "seed": 0})
    assert abs(found.value - 0.5) < 0.1
    assert found.n == 400
    assert measure("mean_value", model, {}).n == 500
    with pytest.raises(UnknownName, match="Did you mean mean_value"):
        measure("mean_valu", model, {})


def test_a_metric_of_the_former_form_works_and_its_author_is_told(weights: Path) -> None:
    model = loading.load(weights)
    with pytest.warns(FutureWarning, match="'former' .* annotate its second argument") as caught:
        found = measure("former", model, {"n": 400})
    assert found == measure("mean_value", model, {"n": 400})
    source = Path(caught[0].filename).read_text().splitlines()
    assert source[caught[0].lineno - 1].startswith("def former")
    assert complete("former", {"n": 4}, {"data": "x", "size": None}) == {
        "data": "x",
        "n": 4,
        "seed": 0,
    }


def test_a_recipe_asks_for_a_metric_by_its_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = """
        architecture = "nade"
        data = "bars-and-stripes"
        epochs = 1
        config.hidden = 4
        entry.protocol.mean_value.n = 100
        entry.published.mean_value.source = "a guess"
    """
    Path("small.toml").write_text(recipe)
    result = CliRunner().invoke(root, ["train", "small.toml", "-o", "run", "-q"])
    assert result.exit_code == 0, result.stderr
    entry = tomllib.loads(Path("run/entry.toml").read_text())["entry"][0]
    metrics = {metric.pop("name"): metric for metric in entry["metrics"]}
    data = {"data": "bars-and-stripes:test", "binarize": "none"}
    assert metrics["mean_value"] == {
        "value": pytest.approx(0.5, abs=0.2),
        "unit": "grey",
        "tolerance": 0.2,
        "protocol": data | {"n": 100, "seed": 0},
        "source": "a guess",
    }
    nll = metrics["test_nll"]
    assert (nll["unit"], nll["tolerance"], nll["protocol"]) == ("nats", 0.01, data)


def test_a_task_runs_with_options_of_its_own(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "mean.png"
    options = ("--k", "64", "--invert", "-o", str(out), "--json")
    result = run(weights, "-t", "average", *options)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["summary"] == "the mean of 64"
    assert said["provenance"]["task"] == "average"
    assert "--task average --k 64 --invert --seed 0" in said["provenance"]["command"]
    assert out.is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("-t", "averag"), 3, "Did you mean average?"),
        (("-t", "average", "--kk", "1"), 2, "no option --kk. Did you mean --k? It takes --k, --b"),
        (("-t", "average", "--k", "many"), 2, "--k is 'many'; expected a whole number of at leas"),
        (("-t", "average", "--how", "mode"), 2, "--how is 'mode'; expected mean or median."),
        (("-t", "average", "--set", "k=2"), 2, "options of a task are flags. Write --k 2."),
        (("-t", "old"), 4, "old takes (model, request); expected a function (model, options, cont"),
        (("-t", "bare"), 4, "expected a second parameter that is annotated with a frozen datacl"),
        (("-t", "seeded"), 4, "the option 'seed' belongs to every task. Rename it."),
        (("-t", "average", "-i", "x.png"), 2, "does not use --input"),
        (("-t", "average", "-o", "mean.csv"), 2, "suffix '.csv' names no format"),
        (("-t", "score", "--k", "1"), 2, "the task score does not use --k: name one that does"),
        (("-t", "walk"), 2, "cannot walk: it needs a generator that maps latent variables"),
    ],
)
def test_what_a_task_cannot_do_is_said(
    arguments: tuple[str, ...], code: int, text: str, weights: Path
) -> None:
    result = run(weights, *arguments)
    assert result.exit_code == code, result.output
    assert text in result.stderr


def test_without_options_a_task_has_its_defaults(weights: Path, tmp_path: Path) -> None:
    result = run(weights, "-t", "average", "-o", str(tmp_path / "mean.png"))
    assert "the mean of 4" in result.stderr


def test_ours_load_no_family(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(kind: str) -> None:
        raise AssertionError(kind)

    monkeypatch.setattr(plugins, "offers", fail)
    assert len(load_dataset("bars-and-stripes:test")) == 16
    assert torch.isfinite(loading.load(weights).log_prob(torch.zeros(1, 1, 3, 3))).all()
    assert run(weights, "-n", "2", "-o", str(weights.with_suffix(".png"))).exit_code == 0
