"""Metrics of samples against closed forms, and against sets of which the answer is known."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn

from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import Dataset, load_dataset
from zoo_core.errors import DigestMismatch, InvalidInput
from zoo_core.metrics import Measured, complete, find, measure
from zoo_core.metrics import samples as sets
from zoo_core.metrics.frechet import frechet, kernel_distance
from zoo_core.metrics.neighbours import radii
from zoo_core.metrics.pixels import scales, similarity, sliced
from zoo_core.registry import Registry, own_registry
from zoo_core.testing import cases

SIDE = 7
DATA = {"data": f"bars-and-stripes-{SIDE}:test", "samples": 256, "seed": 0}
IN_FEATURES = ("fid", "kid", "precision", "recall", "density", "coverage", "one_nn")
OF_PIXELS = ("sliced_wasserstein", "ms_ssim")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=seeded(seed), dtype=torch.float64)


class Rows(nn.Module):
    """Draws rows of the data, changed by a function, and counts how often it was asked."""

    event_shape = (1, SIDE, SIDE)

    def __init__(self, change: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__()
        self.change, self.calls = change, 0
        self.w = nn.Parameter(torch.zeros(1))
        self.rows = load_dataset(f"bars-and-stripes-{SIDE}").floats()

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        self.calls += 1
        chosen = torch.randint(len(self.rows), (n,), generator=generator)
        return self.change(self.rows[chosen])


class Labelled(Rows):
    """Draws rows of a class; the wrong one where it errs."""

    classes = 2

    def __init__(self, errs: bool = False) -> None:
        super().__init__()
        labels = load_dataset(f"bars-and-stripes-{SIDE}").labels
        assert labels is not None
        self.of = [self.rows[labels == (1 - label if errs else label)] for label in (0, 1)]

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: Tensor | int | None = None,
    ) -> Tensor:
        wanted = torch.zeros(n).long() if label is None else torch.as_tensor(label).expand(n)
        u = torch.rand(n, generator=generator)
        return torch.stack(
            [self.of[y][int(v * len(self.of[y]))] for y, v in zip(wanted, u, strict=True)]
        )


def noise(x: Tensor) -> Tensor:
    return torch.rand(x.shape, generator=seeded(1))


def empty(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A feature net of random weights, as a file."""
    [case] = cases(
        "features", {"features": [{"shape": [1, SIDE, SIDE], "heads": [2], "channels": [8] * 4}]}
    )
    path = tmp_path_factory.mktemp("net") / "net.safetensors"
    loading.save(case.fresh(), path, case.metadata())
    return path


# Distances of features


def test_fid_of_equal_sets_is_zero() -> None:
    x = normal(500, 6)
    assert frechet(x, x, seeded()).value == pytest.approx(0, abs=1e-6)


def test_fid_of_two_normal_sets_is_the_closed_form() -> None:
    n, deviation, shift = 40_000, torch.tensor([1.0, 2.0, 0.5]).double(), 3.0
    x, y = normal(n, 3) * deviation, normal(n, 3, 1) + shift
    # with independent dimensions: (μ₁ − μ₂)² + (σ₁ − σ₂)² of each
    expected = 3 * shift**2 + float((deviation - 1).square().sum())
    measured = frechet(x, y, seeded())
    assert measured.value == pytest.approx(expected, abs=4 * measured.error)
    assert 0 < measured.error < 0.2 and measured.n == n


def test_fid_knows_correlated_dimensions() -> None:
    x = normal(40_000, 2)
    mixing = torch.tensor([[1.0, 0.9], [0.0, 0.5]]).double()
    y = normal(40_000, 2, 1) @ mixing
    eigenvalues = torch.linalg.eigvalsh(mixing.T @ mixing)
    expected = float((eigenvalues.sqrt() - 1).square().sum())  # against the unit covariance
    assert frechet(x, y, seeded()).value == pytest.approx(expected, abs=0.01)


def test_kid_is_unbiased_and_grows_with_the_shift() -> None:
    x, same, apart = normal(2000, 4), normal(2000, 4, 1), normal(2000, 4, 2) + 1
    alike = kernel_distance(x, same, seeded(), 8)
    assert abs(alike.value) < 4 * alike.error
    # E (x·y/d + 1)³ of normal x, y with means a, b: (1 + a·b/d)³ + 3 (1 + a·b/d) Var(x·y)/d²
    mean, variance = 2.0, (4 + 4 + 4) / 16
    yy, xx, xy = mean**3 + 3 * mean * variance, 1 + 3 * 4 / 16, 1 + 3 * (4 + 4) / 16
    third = 6 * 4 / 64  # the third moment of x·y between two such means, E ∏ over d dimensions
    expected = yy + third - 2 * xy + xx
    measured = kernel_distance(x, apart, seeded(), 8)
    assert measured.value == pytest.approx(expected, abs=5 * measured.error)


def test_kid_of_few_rows_has_a_spread() -> None:
    measured = kernel_distance(normal(60, 2), normal(80, 2, 1), seeded(), 8)
    assert 0.001 < measured.error < 1 and measured.n == 80


def test_kid_leaves_the_default_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    x, y = normal(50, 2), normal(60, 2, 1)
    values = [kernel_distance(x, y, seeded(seed), 8).value for seed in (1, 1, 2)]
    assert torch.equal(before, torch.get_rng_state())
    assert values[0] == values[1] != values[2]


# Neighbours


def test_radii_on_a_line() -> None:
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    assert radii(x, 1).tolist() == [1, 1, 2, 4]
    assert radii(x, 3).tolist() == [7, 6, 4, 7]


def by_features(monkeypatch: pytest.MonkeyPatch, x: Tensor, y: Tensor, name: str) -> Measured:
    """A metric of features that are given, against themselves in the place of training rows."""

    def compared(*arguments: Any, **keywords: Any) -> Measured:
        return cast("Measured", arguments[3](x, y, seeded()))

    monkeypatch.setattr("zoo_core.metrics.neighbours.compared_features", compared)
    return measure(name, Rows(), {})


@pytest.mark.parametrize(
    ("name", "alike", "apart"),
    [
        ("precision", 0.97, 0.0),
        ("recall", 0.97, 0.0),
        ("density", 1.0, 0.0),
        ("coverage", 0.97, 0.0),
        ("one_nn", 0.5, 1.0),
    ],
)
def test_sets_that_are_alike_and_sets_that_are_apart(
    name: str, alike: float, apart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = normal(1000, 2), normal(1000, 2, 1)
    assert by_features(monkeypatch, x, y, name).value == pytest.approx(alike, abs=0.04)
    assert by_features(monkeypatch, x, y + 100, name).value == apart


def test_coverage_of_the_same_distribution_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    # Naeem et al. 2020: 1 − ∏ (n − i)/(2n − i) over the k nearest, whatever the distribution
    n, k = 1500, 5
    missed = math.prod((n - i) / (2 * n - 1 - i) for i in range(k))
    measured = by_features(monkeypatch, normal(n, 3), normal(n, 3, 1), "coverage")
    assert measured.value == pytest.approx(1 - missed, abs=4 * measured.error)


def test_samples_of_one_mode_are_precise_but_do_not_recall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = torch.cat([normal(500, 2), normal(500, 2, 1) + 100])[torch.randperm(1000)]
    y = normal(1000, 2, 2)
    assert by_features(monkeypatch, x, y, "precision").value > 0.9
    assert by_features(monkeypatch, x, y, "recall").value == pytest.approx(0.5, abs=0.08)
    assert by_features(monkeypatch, x, y, "coverage").value == pytest.approx(0.5, abs=0.08)


def test_an_outlier_among_samples_widens_recall_and_not_coverage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = normal(300, 2), torch.full((300, 2), 50.0, dtype=torch.float64)
    y[:4] = -1000.0 * torch.arange(1, 5).unsqueeze(1)
    assert by_features(monkeypatch, x, y, "recall").value == 1.0
    assert by_features(monkeypatch, x, y, "coverage").value == 0.0


def test_copies_of_the_data_are_nearest_to_the_other_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = normal(400, 2)
    copies = x[torch.randperm(400, generator=seeded(1))] + 1e-9
    assert by_features(monkeypatch, x, copies, "one_nn").value == 0.0


# Pixels


def test_the_sliced_distance_of_a_shift_is_the_mean_of_its_projections() -> None:
    x, D, c = torch.rand(200, 1, 3, 3, generator=seeded()), 9, 0.3
    assert sliced(x, x, seeded()).value == 0.0
    # E |θ₁| of a random direction in D dimensions, times the shift's length
    expected = c * math.sqrt(D) * math.gamma(D / 2) / math.gamma((D + 1) / 2) / math.sqrt(math.pi)
    measured = sliced(x, x + c, seeded(), 4096)
    assert measured.value == pytest.approx(expected, abs=4 * measured.error)
    assert measured.n == 200


def test_pairs_of_equal_images_are_alike_and_noise_is_not() -> None:
    one = torch.rand(1, 3, 28, 28, generator=seeded())
    assert similarity(one.expand(10, -1, -1, -1)).value == pytest.approx(1.0)
    assert similarity(torch.rand(40, 3, 28, 28, generator=seeded())).value < 0.1


def test_every_side_has_scales_that_fit() -> None:
    assert [scales(side) for side in (6, 7, 16, 28, 64, 128)] == [0, 1, 2, 3, 4, 5]
    for side in (7, 13, 14, 20, 27, 28, 32, 45, 56, 63, 64, 100, 111, 112):
        value = similarity(torch.rand(4, 1, side, side, generator=seeded())).value
        assert math.isfinite(value), side


# From a model, a protocol and data to a figure


@pytest.mark.parametrize("name", IN_FEATURES)
def test_samples_of_the_data_measure_as_training_rows_do(name: str, net: Path) -> None:
    protocol = DATA | {"features": str(net)}
    good, bad = (measure(name, Rows(change), protocol) for change in (lambda x: x, noise))
    assert good.real is not None and bad.real == good.real
    assert abs(good.value - good.real) < 0.35 * abs(bad.value - good.real)
    digest = loading.open_source(net).sha256[:12]
    assert good.settled == {"features": f"{net}@{digest}"}
    assert measure(name, Rows(), protocol | good.settled) == good


@pytest.mark.parametrize("name", OF_PIXELS)
def test_pixels_of_the_data_measure_as_training_rows_do(name: str) -> None:
    good, bad = (measure(name, Rows(change), DATA) for change in (lambda x: x, empty))
    assert good.real is not None and bad.real == good.real
    assert abs(good.value - good.real) < 0.35 * abs(bad.value - good.real)
    assert measure(name, Rows(), DATA) == good
    assert good.settled == {}


def test_another_seed_draws_other_samples() -> None:
    values = [measure("sliced_wasserstein", Rows(), DATA | {"seed": s}).value for s in (0, 1)]
    assert values[0] != values[1]


def test_samples_are_drawn_once_for_all_metrics_and_again_when_the_model_has_learnt(
    net: Path,
) -> None:
    model = Rows()
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


def test_a_binary_model_is_held_against_binary_rows() -> None:
    measured = measure("sliced_wasserstein", Rows(), DATA | {"binarize": "fixed"})
    assert measured == measure("sliced_wasserstein", Rows(), DATA)  # which these are already


def test_train_on_samples_by_class_and_by_pseudo_labels(net: Path) -> None:
    short = DATA | {"steps": 30}
    right = measure("tstr", Labelled(), short)
    assert right.settled == {"labels": "class"}
    assert right.real is not None and right.value < 15 and right.real < 15
    assert measure("tstr", Labelled(errs=True), short).value > 85
    pseudo = measure("tstr", Labelled(), short | {"labels": "pseudo", "features": str(net)})
    assert pseudo.settled["labels"] == "pseudo" and "net.safetensors@" in pseudo.settled["features"]
    assert pseudo.real == right.real
    assert pseudo.value > 15  # a net that never learnt labels at random


@pytest.mark.parametrize("name", [*IN_FEATURES, *OF_PIXELS, "tstr"])
def test_every_metric_has_a_record(name: str) -> None:
    record = find(name)
    assert complete(name, {})["samples"] == 10_000 and record.summary and record.unit != "nats"


# What cannot be measured


@pytest.mark.parametrize(
    ("name", "model", "changes", "text"),
    [
        ("fid", nn.Linear(2, 2), {}, "fid measures a Generator, which Linear is not"),
        ("fid", Rows(), {"features": ""}, "the protocol names no feature net: expected features ="),
        ("fid", Rows(), {"sample": 3}, "fid has no option 'sample'. Did you mean samples?"),
        ("fid", Rows(), {"samples": 1}, "1 samples have no covariance: expected samples = 2"),
        (
            "kid",
            Rows(),
            {"samples": 3},
            "3 rows are too few to halve: expected samples = 4 or more",
        ),
        ("recall", Rows(), {"k": 300}, "k is 300; expected 1 or more, and fewer than the 256 rows"),
        ("fid", Rows(), {"data": "bars-and-stripes:test"}, r"rows of shape \(1, 3, 3\), but the s"),
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
        measure("fid", Rows(), DATA | {"features": f"{net}@0123"})


def test_a_net_without_features(tmp_path: Path) -> None:
    [case] = cases("autoregressive", {"nade": [{"hidden": 4}]})[4:5]
    path = tmp_path / "other.safetensors"
    loading.save(case.fresh(), path, case.metadata())
    with pytest.raises(InvalidInput, match="which gives no features: expected a model with"):
        measure("fid", Rows(), DATA | {"features": str(path)})


def test_images_that_are_too_small_or_none() -> None:
    for x in (torch.rand(8, 1, 6, 6), torch.rand(8, 5)):
        with pytest.raises(InvalidInput, match="structural similarity is of images"):
            similarity(x)
    with pytest.raises(InvalidInput, match="3 samples are too few to pair"):
        similarity(torch.rand(3, 1, 7, 7))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": "clas"}, "labels is 'clas'; expected class or pseudo"),
        ({"labels": "class"}, "Rows draws no samples of a class: expected labels = 'pseudo'"),
    ],
)
def test_labels_that_samples_cannot_have(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        measure("tstr", Rows(), DATA | changes)


def test_training_on_samples_needs_labels(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1\n" * 40)
    with pytest.raises(InvalidInput, match="has no labels: there is nothing to train on samples"):
        measure("tstr", Rows(), {"data": f"{tmp_path / 't.csv'}:test"})


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
