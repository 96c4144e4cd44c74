"""Models beside one another: what is measured, what is said of it, and the plot."""

import json
import math
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

from zoo_core import loading, plugins
from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.metrics.comparison import Comparison, parameters
from zoo_core.output import Point, plot_points, read_provenance
from zoo_core.protocols import ELBO

BARS = "bars-and-stripes:test"


class Noise(nn.Module):
    """An implicit model: it draws, and gives no likelihood."""

    levels = 2
    event_shape = (1, 3, 3)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.rand(n, 1, 3, 3, generator=generator).round()


class Bounded(Noise):
    """A model with a bound that is estimated from random numbers."""

    levels = 2

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> ELBO:
        return ELBO(-torch.ones(len(x)), 9 + torch.rand(len(x), generator=generator))

    def log_prob_bound(
        self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        return -10 - torch.rand(len(x), generator=generator)


class Coins(Noise):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(9))

    def log_prob(self, x: Tensor) -> Tensor:
        return x.flatten(1).shape[1] * -math.log(2) + 0 * x.flatten(1).sum(1)


class Economical(Coins):
    free_parameters = 3


def test_an_explicit_model_is_exact() -> None:
    standing = Comparison(BARS, samples=5).stand("coins", Coins())
    assert (standing.kind, standing.note, standing.values) == ("exact", "", "binary")
    assert standing.nats is not None
    assert standing.nats.value == pytest.approx(9 * math.log(2), abs=1e-5)
    assert standing.bits_per_dim == pytest.approx(1, abs=1e-5)
    assert standing.samples is not None
    assert standing.samples.shape == (5, 1, 3, 3)


def test_a_bound_is_marked_and_the_same_each_time() -> None:
    first, again = (Comparison(BARS).stand("bounded", Bounded()) for _ in range(2))
    assert first.kind == "bound"
    assert first.nats == again.nats
    assert first.nats is not None
    assert 10 < first.nats.value < 11


def test_an_implicit_model_is_listed_with_a_note() -> None:
    standing = Comparison(BARS, samples=2).stand("noise", Noise())
    assert (standing.nats, standing.bits_per_dim, standing.kind) == (None, None, "")
    assert standing.note == "an implicit model: it draws, and gives no likelihood"
    assert standing.samples is not None


def test_a_model_may_say_how_many_of_its_numbers_are_used() -> None:
    assert (parameters(Coins()), parameters(Economical())) == (9, 3)


def test_rows_of_another_shape_name_the_model_and_what_to_do() -> None:
    with pytest.raises(InvalidInput, match=r"coins takes rows of shape \(1, 3, 3\), but those of"):
        Comparison(table_of_four()).stand("coins", Coins())


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
    assert head.split() == ["NAME", "PARAMETERS", "VALUES", "LIKELIHOOD", "NATS", "BITS/DIM"]
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


def test_a_plot_is_not_overwritten(publish: Publish) -> None:
    publish(markov={})
    Path("plot.png").write_text("mine")
    assert zoo("compare", "markov", "-o", "plot.png").exit_code == 2
    assert Path("plot.png").read_text() == "mine"
    assert zoo("compare", "markov", "-o", "plot.png", "--force").exit_code == 0
    assert Path("plot-samples.png").is_file()


def test_names_of_points_do_not_cover_one_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo_core.output import plots

    boxes: list[Any] = []
    finish = plots._finish

    def look(figure: Any, axes: Any, *rest: Any) -> None:
        boxes.extend(text.get_window_extent() for text in axes.texts)
        finish(figure, axes, *rest)

    monkeypatch.setattr(plots, "_finish", look)
    close = [Point(f"architecture.{i}", 31, 6.76 + 0.01 * i) for i in range(3)]
    far = [Point("far.away", 65535, 6.2), Point("bound", 16, 9.2, hollow=True)]
    plot_points([*close, *far], tmp_path / "p.png", x_label="parameters", y_label="nats")
    assert len(boxes) == 5
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(a.overlaps(b) for a, b in pairs)


def test_a_plot_of_nothing() -> None:
    with pytest.raises(InvalidInput, match=r"cannot draw p\.png: there are no values"):
        plot_points([], Path("p.png"), x_label="x", y_label="y")


def test_the_ladders_page_has_the_registrys_figures() -> None:

    from zoo_core.registry import Registry

    page = (Path(__file__).parent.parent / "docs" / "ladder.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.-]+)` \| ([\d,]+) \|.* ([\d.]+) \|$", page, re.M)
    entries = Registry.load().entries
    assert len(rows) == 16
    for name, numbers, nats in rows:
        value = entries[name].metric("test_nll").value
        assert float(nats) == pytest.approx(value, abs=0.0051), name
        assert numbers == f"{entries[name].weights.parameters:,}", name
