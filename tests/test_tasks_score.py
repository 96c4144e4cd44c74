"""Scores: the model's own log-probabilities, in nats and bits."""

import math
from pathlib import Path

import pytest
import torch
from zoo_autoregressive.attention import Attention

from toy_models import nade, run
from zoo_core.errors import InvalidInput

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


@pytest.mark.parametrize("task", ["score", "explain", "detect"])
def test_a_label_conditions_the_density(task: str) -> None:
    torch.manual_seed(0)
    model = Attention(shape=(1, 4, 4), classes=3, d=8, h=2).eval()
    torch.nn.init.normal_(model.start.weight)
    x = torch.tensor([[[[1.0] * 4] * 4]])
    for label in (None, 2):
        result = run(task, model, inputs=(f"{BARS}[15:16]",), label=label)
        nats = sum(row["nats"] for row in result.rows)  # explain: of each pixel
        assert nats == pytest.approx(-float(model.log_prob(x, label)), rel=1e-5)
    assert float(model.log_prob(x)) == float(model.log_prob(x, None))  # it is as it was
    with pytest.raises(InvalidInput, match="has the labels 0 to 2"):
        run(task, model, inputs=(BARS,), label=3)
    with pytest.raises(InvalidInput, match=r"has no p\(x \| label\)"):
        run(task, nade(), inputs=(BARS,), label=0)
