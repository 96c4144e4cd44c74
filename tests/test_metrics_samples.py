"""Metrics of samples, from a model, a protocol and data to a figure."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from toy_models import RowSampler, save_feature_net
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import Dataset
from zoo_core.errors import DigestMismatch, InvalidInput
from zoo_core.metrics import complete, find, measure
from zoo_core.metrics import samples as sets
from zoo_core.registry import Registry, own_registry
from zoo_core.testing import cases

SIDE = 7


Rows = RowSampler
DATA = {"data": f"bars-and-stripes-{SIDE}:test", "samples": 256, "seed": 0}


IN_FEATURES = ("fid", "kid", "precision", "recall", "density", "coverage", "one_nn")


OF_PIXELS = ("sliced_wasserstein", "ms_ssim")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_what_was_made_of_other_weights_is_made_anew() -> None:
    model, made = nn.Linear(2, 1), list[str]()
    kept: sets.Kept[int] = sets.Kept()

    def make() -> int:
        made.append("")
        return len(made)

    assert [kept.of(model, about, make) for about in ("a", "a", "b")] == [1, 1, 2]
    with torch.no_grad():
        model.weight.add_(1)
    assert [kept.of(model, "b", make), kept.of(nn.Linear(2, 1), "b", make)] == [3, 4]


def test_fewer_training_rows_than_samples_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    rows = Dataset("few", "train", torch.rand(9, 4), None)
    assert sets.choose(rows, 4, seeded()).shape == (4,)
    assert capsys.readouterr().err == ""
    assert sorted(sets.choose(rows, 12, seeded()).tolist()) == [*range(9)]
    assert "few has 9 training rows to hold against 12 samples" in capsys.readouterr().err


def noise(x: Tensor) -> Tensor:
    return torch.rand(x.shape, generator=seeded(1))


def empty(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature net of random weights, as a file."""
    folder = tmp_path_factory.mktemp("net")
    return Path(save_feature_net(folder, shape=[1, SIDE, SIDE], channels=[8] * 4))


@pytest.mark.parametrize("name", IN_FEATURES)
def test_samples_of_the_data_measure_as_training_rows_do(name: str, net: Path) -> None:
    protocol = DATA | {"features": str(net)}
    good, bad = (measure(name, RowSampler(change), protocol) for change in (lambda x: x, noise))
    assert good.real is not None and bad.real == good.real
    assert abs(good.value - good.real) < 0.35 * abs(bad.value - good.real)
    digest = loading.open_source(net).sha256[:12]
    assert good.settled == {"features": f"{net}@{digest}"}
    assert measure(name, RowSampler(), protocol | good.settled) == good


@pytest.mark.parametrize("name", OF_PIXELS)
def test_pixels_of_the_data_measure_as_training_rows_do(name: str) -> None:
    good, bad = (measure(name, RowSampler(change), DATA) for change in (lambda x: x, empty))
    assert good.real is not None and bad.real == good.real
    assert abs(good.value - good.real) < 0.35 * abs(bad.value - good.real)
    assert measure(name, RowSampler(), DATA) == good
    assert good.settled == {}


def test_another_seed_draws_other_samples() -> None:
    values = [measure("sliced_wasserstein", RowSampler(), DATA | {"seed": s}).value for s in (0, 1)]
    assert values[0] != values[1]


def test_samples_are_drawn_once_for_all_metrics_and_again_when_the_model_has_learnt(
    net: Path,
) -> None:
    model = RowSampler()
    for name in IN_FEATURES:
        measure(name, model, DATA | {"features": str(net)})
    assert model.calls == 1
    with torch.no_grad():
        model.w += 1
    measure("ms_ssim", model, DATA)
    assert model.calls == 2


def test_features_are_those_of_the_rows_that_are_given(net: Path) -> None:
    found = sets.feature_net(str(net))
    several = [Dataset("x", "", torch.rand(9, 1, SIDE, SIDE), None) for _ in range(5)]
    for rows in [*several, *several]:
        again = cast("Any", found.model).features(rows.x).double()
        torch.testing.assert_close(found.features(rows), again)
    assert len(sets._FEATURES) <= 3
    with pytest.raises(InvalidInput, match=r"the feature net .* takes rows of .* Set features to"):
        found.features(Dataset("x", "", torch.rand(9, 1, SIDE, SIDE + 1), None))


def test_a_binary_model_is_held_against_binary_rows() -> None:
    measured = measure("sliced_wasserstein", RowSampler(), DATA | {"binarize": "fixed"})
    assert measured == measure("sliced_wasserstein", RowSampler(), DATA)  # which these are already


@pytest.mark.parametrize("name", [*IN_FEATURES, *OF_PIXELS, "tstr"])
def test_every_metric_has_a_record(name: str) -> None:
    record = find(name)
    assert complete(name, {})["samples"] == 10_000 and record.summary and record.unit != "nats"


@pytest.mark.parametrize(
    ("name", "model", "changes", "text"),
    [
        (
            "fid",
            nn.Linear(2, 2),
            {},
            "fid measures a model that can be sampled",
        ),
        (
            "fid",
            Rows(),
            {"features": ""},
            "the protocol names no feature net: set features to one of",
        ),
        ("fid", Rows(), {"sample": 3}, "fid: unknown option 'sample'. Did you mean samples?"),
        ("fid", Rows(), {"samples": 1}, "1 samples have no covariance: expected samples = 2"),
        (
            "kid",
            Rows(),
            {"samples": 3},
            "3 rows are too few to halve: expected samples = 4 or more",
        ),
        (
            "recall",
            Rows(),
            {"k": 300},
            "k is 300; expected 1 or more, and fewer than the 256 rows",
        ),
        (
            "fid",
            Rows(),
            {"data": "bars-and-stripes:test"},
            r"rows of shape \(1, 3, 3\), but the s",
        ),
        ("fid", Rows(lambda x: x[..., 1:]), {}, "but the samples have"),
    ],
)
def test_what_cannot_be_compared(
    name: str, model: nn.Module, changes: dict[str, Any], text: str, net: Path
) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure(name, model, DATA | {"features": str(net)} | changes)


def test_weights_that_are_not_those_of_the_figure(net: Path) -> None:
    with pytest.raises(DigestMismatch, match=r"in the features of .*@0123, but the weights of"):
        measure("fid", RowSampler(), DATA | {"features": f"{net}@0123"})


def test_a_net_without_features(tmp_path: Path) -> None:
    [case] = cases("autoregressive", {"nade": [{"hidden": 4}]})[4:5]
    path = tmp_path / "other.safetensors"
    loading.save(case.fresh(), path, case.metadata())
    with pytest.raises(InvalidInput, match="which gives no features: expected a model with"):
        measure("fid", RowSampler(), DATA | {"features": str(path)})


def test_an_entry_has_what_stands_beside_its_figures(
    tmp_path: Path, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = ["train", "nade", "--data", f"bars-and-stripes-{SIDE}", "--epochs", "1", "-q"]
    for name in ("fid", "sliced_wasserstein"):
        run += ["--set", f"entry.protocol.{name}.samples=64"]
    run += ["--set", f"entry.protocol.fid.features={net}", "--set", "config.hidden=4"]
    result = CliRunner().invoke(root, run)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / f"nade.bars-and-stripes-{SIDE}"
    entry = Registry.load([folder / "entry.toml"]).lookup("nade")
    fid, distance = entry.metric("fid"), entry.metric("sliced_wasserstein")
    assert fid.real is not None and fid.real < fid.value
    assert fid.protocol["features"] == f"{net}@{loading.open_source(net).sha256[:12]}"
    assert distance.real is not None and "features" not in distance.protocol
    monkeypatch.setenv("ZOO_REGISTRY", str(folder / "entry.toml"))
    result = CliRunner().invoke(root, ["eval", "nade", "--check"])
    assert result.exit_code == 0, result.output
    head, *rows = (re.split(r"  +", line) for line in result.stdout.splitlines())
    shown = {row[0]: float(row[head.index("REAL")]) for row in rows if row[0] != "test_nll"}
    assert shown == pytest.approx({"fid": fid.real, "sliced_wasserstein": distance.real}, abs=1e-3)


def test_the_registry_that_ships_with_the_core_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # as in an installation from a wheel, where it lies in the package
    monkeypatch.setattr("zoo_core.plugins.registries", lambda: [own_registry()])
    assert Registry.load().sources == (str(own_registry()),)
    assert capsys.readouterr().err == ""
