"""Rows of a protocol: which, in which order, and that they fit the model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from zoo_latent.vae import VAE

from toy_models import Coins, nade
from zoo_core import errors
from zoo_core.data import load_dataset
from zoo_core.metrics import measure, rows


@pytest.mark.parametrize("at_once", [1, 5, 16, 500])
def test_each_row_is_given_once_and_in_order(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BATCH", at_once)
    data = load_dataset("bars-and-stripes:test")
    assert torch.equal(rows.each(Coins(), data, lambda x: x), data.floats())


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
