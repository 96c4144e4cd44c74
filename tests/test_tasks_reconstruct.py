"""Reconstructions beside their inputs, and their error."""

from pathlib import Path

import numpy as np
import pytest
import torch

from factories import save
from toy_models import Invertible, run


def test_reconstructions_stand_below_their_inputs(tmp_path: Path) -> None:
    for i in range(20):
        save(tmp_path / "x" / f"{i:02}.png", np.array([[5 + 10 * i, 99]], np.uint8))
    result = run("reconstruct", Invertible(), tmp_path / "x")
    assert result.columns == 16
    assert list(result.names) == ["input", "reconstruction"] * 2
    assert result.images is not None
    rows = result.images.view(4, 16, 2)
    assert torch.allclose(rows[0], rows[1], atol=1e-6)
    assert torch.allclose(rows[2, :4], rows[3, :4], atol=1e-6)
    assert (rows[2:, 4:] == rows[2, 4, 0]).all()
    assert max(row["squared_error"] for row in result.rows) < 1e-10


def test_what_a_model_loses_is_its_error(pets: Path) -> None:
    model = Invertible()
    model.decode = lambda z: torch.zeros(len(z), 1, 1, 2)  # type: ignore[method-assign]
    result = run("reconstruct", model, pets / "b" / "2.png")
    expected = ((110 / 255) ** 2 + (145 / 255) ** 2) / 2
    assert result.rows[0]["squared_error"] == pytest.approx(expected)
    assert result.figures[1] == f"mean squared error {expected:.4f} a variable"


def test_a_table_is_reconstructed_as_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1\n1,0,0\n")
    model = Invertible(3)
    model.levels = 2  # type: ignore[assignment]
    result = run("reconstruct", model, tmp_path / "t.csv")
    assert [[row[f"x{i}"] for i in range(3)] for row in result.rows] == [[0, 1, 1], [1, 0, 0]]
    assert result.images is None
