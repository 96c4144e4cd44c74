"""Rows of a protocol: which, in which order, and that they fit the model."""

import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from zoo_latent.vae import VAE

import zoo_core
from toy_models import Coins, nade
from zoo_core import errors
from zoo_core.data import load_dataset
from zoo_core.metrics import measure, rows


@pytest.mark.parametrize("at_once", [1, 5, 16, 500])
def test_each_row_is_given_once_and_in_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", at_once)
    data = load_dataset("bars-and-stripes:test")
    assert torch.equal(rows.each(Coins(), data, lambda x: x), data.floats())


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_parts_are_joined_as_torch_joins_them(shape: tuple[int, ...]) -> None:
    parts = [torch.randn(n, *shape, dtype=torch.float64) for n in (4, 1, 4, 2)]
    assert torch.equal(rows.joined(iter(parts), 11), torch.cat(parts))


def test_a_part_is_let_go_before_the_next_one_is_made() -> None:
    made: list[weakref.ref[torch.Tensor]] = []

    def parts() -> Iterator[torch.Tensor]:
        for _ in range(4):
            part = torch.ones(2)
            made.append(weakref.ref(part))
            yield part
            del part
            assert not any(ref() is not None for ref in made)

    assert rows.joined(parts(), 8).sum() == 8


def test_a_protocol_without_data() -> None:
    with pytest.raises(errors.InvalidInput, match="the protocol names no data"):
        measure("test_nll", Coins(), {"seed": 0})


def test_grey_rows_do_not_fit_a_binary_model(grey: str) -> None:
    with pytest.raises(errors.InvalidInput, match="has 256 levels, but the model is binary"):
        measure("test_nll", Coins(), {"data": grey})


@pytest.mark.parametrize("grey", [False, True])
def test_a_table_is_measured_in_parts_as_at_once(
    tmp_path: Path, grey: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).integers(0, 256 if grey else 2, (1000, 6), np.uint8)
    np.save(tmp_path / "x.npy", x)
    torch.manual_seed(0)
    bound = VAE(shape=(6,), z=2, hidden=[5]).eval()
    protocol = {"data": f"{tmp_path}/x.npy:test[1:80]", "binarize": "fixed" if grey else "none"}
    monkeypatch.setattr(rows, "BATCH", 7)

    def found() -> list[float]:
        return [
            measure(name, model, {**protocol, "seed": 3, **more}).value
            for name, model, more in (
                ("test_nll", nade(6), {}),
                ("iw_bound", bound, {"k": 2}),
                ("elbo", bound, {}),
                ("active_units", bound, {}),
            )
        ]

    monkeypatch.setattr(rows, "_PART", 14)
    in_parts = found()
    monkeypatch.setattr(rows, "open_split", lambda *_, **__: None)
    assert in_parts == pytest.approx(found(), rel=1e-6)


@pytest.mark.parametrize("top", [1, 3, 5, 8])
def test_categories_of_a_table_are_those_of_the_model(
    tmp_path: Path, top: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `zoo score` takes them, whatever the greatest number of the table is."""
    x = np.random.default_rng(0).integers(0, min(top, 4) + 1, (40, 3), np.uint8)
    x[0, 0] = top
    np.save(tmp_path / "x.npy", x)
    model = zoo_core.create("categorical", shape=[3], levels=8)
    torch.nn.init.normal_(model.log_odds)
    protocol = {"data": f"{tmp_path}/x.npy:train"}
    if top == 8:
        with pytest.raises(errors.InvalidInput, match="the model has 8 categories: expected 0 to"):
            measure("test_nll", model, protocol)
        return
    held_out = load_dataset(protocol["data"]).x.long()
    expected = -model.log_prob(held_out / 7).mean()
    assert measure("test_nll", model, protocol).value == pytest.approx(float(expected), abs=1e-5)
    assert ("are taken as the first two of the model's 8" in capsys.readouterr().err) == (top == 1)


@pytest.mark.parametrize(
    ("shape", "size", "gray"),
    [((1, 6, 6), 6, True), ((3, 6, 6), 6, False), ((1, 4, 6), None, True), ((5,), None, False)],
)
def test_images_are_resized_for_models_of_squares_alone(
    shape: tuple[int, ...], size: int | None, gray: bool
) -> None:
    settings = {"binarize": "fixed", "size": size, "gray": gray}
    assert rows.settings_of(nade(*shape)) == settings
