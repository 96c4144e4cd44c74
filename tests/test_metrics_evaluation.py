"""`zoo_core.evaluate`: of models and names, by stated and by default protocols."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import zoo_core as zoo
from zoo_core.cli import root
from zoo_core.errors import InvalidInput, InvalidWeights, UnknownName
from zoo_core.metrics import measure

BARS = {"data": "bars-and-stripes:test"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has ended, with an entry of its own."""
    folder = tmp_path_factory.mktemp("runs") / "bernoulli.bars"
    train = ["train", "bernoulli", "--data", "bars-and-stripes", "--epochs", "1", "-q"]
    result = CliRunner().invoke(root, [*train, "-o", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_a_name_has_its_stated_metrics(run: Path) -> None:
    (figure,) = zoo.evaluate(run).values()
    assert figure.name == "test_nll" and figure.unit == "nats" and figure.n == 16
    assert figure.stated is not None and figure.within and figure.off < 0.001
    assert figure.protocol == BARS | {"binarize": "none"}


def test_a_model_that_was_loaded_is_measured_as_its_name_is(run: Path) -> None:
    assert zoo.evaluate(zoo.load(run)) == zoo.evaluate(run)


def test_a_metric_that_is_not_stated_has_its_defaults(run: Path) -> None:
    figures = zoo.evaluate(run, ["bits_per_dim", "sliced_wasserstein"], samples=64)
    bits, distance = figures["bits_per_dim"], figures["sliced_wasserstein"]
    assert bits.value == measure("bits_per_dim", zoo.load(run), BARS).value
    assert bits.stated is None and bits.within
    assert distance.protocol["samples"] == 64 and distance.protocol["directions"] == 512
    assert distance.real is not None


def test_another_protocol_is_not_held_against_the_registry(run: Path) -> None:
    assert zoo.evaluate(run, ["test_nll"])["test_nll"].stated is not None
    other = zoo.evaluate(run, ["test_nll"], data="bars-and-stripes:train")["test_nll"]
    assert other.stated is None and other.protocol["data"] == "bars-and-stripes:train"


def test_several_seeds_have_a_mean_and_a_deviation(run: Path) -> None:
    names = ["sliced_wasserstein", "test_nll"]
    figures = zoo.evaluate(run, names, seeds=3, samples=32, directions=8)
    figure = figures["sliced_wasserstein"]
    values = torch.tensor([found.value for found in figure.found], dtype=torch.float64)
    assert figure.value == pytest.approx(values.mean())
    assert figure.error == pytest.approx(values.std()) and len(set(values.tolist())) == 3
    assert len(figures["test_nll"].found) == 1  # no seed: it would be the same


def test_an_untrained_model_is_measured_on_data_that_are_named() -> None:
    model = zoo.create("nade", shape=(1, 3, 3), hidden=4)
    assert zoo.evaluate(model, ["test_nll"], data="bars-and-stripes:test")["test_nll"].n == 16
    with pytest.raises(InvalidInput, match="the protocol names no data"):
        zoo.evaluate(model, ["test_nll"])
    with pytest.raises(InvalidInput, match="states no metrics of nade: name one of those that"):
        zoo.evaluate(model)


def test_a_file_without_an_entry_needs_metrics(run: Path, tmp_path: Path) -> None:
    zoo.save(zoo.load(run), tmp_path / "alone.safetensors")
    model = zoo.load(tmp_path / "alone.safetensors")
    with pytest.raises(InvalidInput, match=r"Or say what to measure, as metrics='test_nll'"):
        zoo.evaluate(model)
    assert zoo.evaluate(model, "test_nll", data="bars-and-stripes:test")["test_nll"].n == 16


def test_a_model_that_fails_by_the_weights_of_a_file_names_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = zoo.load(run / "model.safetensors")
    monkeypatch.setattr(model, "log_prob", lambda x: [][1])
    with pytest.raises(InvalidWeights, match=r"model\.safetensors fails in use: .* Take the file"):
        zoo.evaluate(model)


def test_what_cannot_be_evaluated(run: Path) -> None:
    with pytest.raises(UnknownName, match=r"'tset_nll' is unknown\. Did you mean test_nll"):
        zoo.evaluate(run, ["tset_nll"])
    with pytest.raises(
        InvalidInput,
        match="elbo measures a model whose likelihood is bounded",
    ):
        zoo.evaluate(run, ["elbo"])
    with pytest.raises(InvalidInput, match="test_nll: unknown option 'sample'"):
        zoo.evaluate(run, ["test_nll"], sample=3)
    for metrics in ([], 3, [3], [["test_nll"]]):
        with pytest.raises(InvalidInput, match=r"metrics is .*; expected the name of a metric, or"):
            zoo.evaluate(run, metrics)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="seeds is 0; expected a whole number of at least 1"):
        zoo.evaluate(run, seeds=0)
    with pytest.raises(InvalidInput, match="data is of the type int; expected a name"):
        zoo.evaluate(run, data=3)  # type: ignore[arg-type]
