"""Scores: the model's own log-probabilities, in nats and bits."""

import math
from pathlib import Path

import pytest
import torch

from toy_models import nade, run

BARS = "bars-and-stripes-4:test"


def test_scores_are_the_models_own_in_nats_and_bits() -> None:
    model = nade()
    result = run("score", model, inputs=(BARS,), batch_size=5)
    x = torch.tensor([[[[1.0] * 4] * 4]])
    row = result.rows[15]  # the last of the bars: all are on
    assert row["nats"] == pytest.approx(-float(model.log_prob(x)), rel=1e-5)
    assert row["bits_per_dim"] == pytest.approx(row["nats"] / 16 / math.log(2))
    assert row["input"] == "bars-and-stripes-4:test[15]"
    assert len(result.rows) == len(result.groups["inputs"]) == 32


def test_a_table_scores_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1\n1,0,0\n")
    model = nade(3)
    result = run("score", model, inputs=(str(tmp_path / "t.csv"),))
    expected = -model.log_prob(torch.tensor([[0.0, 1, 1], [1, 0, 0]]))
    assert result.tensors["nats"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_reduced_precision_reaches_the_inputs() -> None:
    result = run("score", nade().to(torch.bfloat16), inputs=(BARS,))
    assert result.tensors["nats"].isfinite().all()
