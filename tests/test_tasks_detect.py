"""Detection: the AUROC, and inputs beside held-out data."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from toy_models import nade, run
from zoo_core.tasks.detect import auroc

BARS = "bars-and-stripes-4:test"


def test_auroc_counts_pairs_and_halves_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    normal, odd = (torch.randint(0, 9, (n,), generator=generator).double() for n in (30, 20))
    greater = (odd.unsqueeze(1) > normal).double() + 0.5 * (odd.unsqueeze(1) == normal).double()
    assert auroc(normal, odd) == pytest.approx(float(greater.mean()))
    assert auroc(torch.zeros(2), torch.ones(3)) == 1
    assert auroc(torch.ones(2), torch.zeros(3)) == 0


def test_inputs_are_held_against_held_out_data() -> None:
    result = run("detect", nade(), inputs=(f"{BARS}[0:3]",), data="bars-and-stripes-4")
    reference = np.asarray(result.groups["bars-and-stripes-4:validation"])
    for row in result.rows:
        below = 100 * float((reference < row["nats"] - 1e-9).mean())
        assert row["percentile"] == pytest.approx(below)
        z = (row["nats"] - reference.mean()) / reference.std(ddof=1)
        assert row["z"] == pytest.approx(z)
    assert [row["nats"] for row in result.rows] == sorted(
        (row["nats"] for row in result.rows), reverse=True
    )


def test_odd_inputs_give_the_auroc(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 100).save(tmp_path / "odd.png")
    result = run("detect", nade(), against=(str(tmp_path),), data="bars-and-stripes-4")
    expected = auroc(result.tensors["inputs"], result.tensors["against"])
    assert result.figures[0] == f"AUROC {expected:.4f}"
    assert {row["group"] for row in result.rows} == {"inputs", "against"}
    assert len(result.tensors["inputs"]) == 32  # the test split of the model's own data


def test_without_held_out_data_inputs_are_only_ranked() -> None:
    result = run("detect", nade(), inputs=(BARS,))
    assert list(result.rows[0]) == ["group", "input", "nats"]
    assert result.notes == ("only ranked: the weights do not say which data they were trained on",)
    lost = run("detect", nade(), inputs=(BARS,), data="lost")
    assert lost.notes[0].startswith("only ranked, most surprising first: lost:validation")


def test_held_out_data_of_another_shape_cannot_be_used(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / f"{split}.csv").write_text("0,1,1\n1,0,0\n")
    result = run("detect", nade(), inputs=(BARS,), data=str(tmp_path))
    assert "its rows have shape (3,), the model takes (1, 4, 4)" in result.notes[0]


@pytest.mark.parametrize("n", [1, 3])
def test_held_out_images_are_fitted_to_the_model(tmp_path: Path, n: int) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for i in range(n):
            Image.new("RGB", (9, 7), (80 * i, 0, 0)).save(tmp_path / split / f"{i}.png")
    result = run("detect", nade(), inputs=(BARS,), data=str(tmp_path))
    if n == 1:
        assert "it has one row, and a spread takes two" in result.notes[0]
    else:
        assert len(result.groups[f"{tmp_path}:validation"]) == n
