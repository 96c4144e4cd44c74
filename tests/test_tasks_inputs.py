"""A user's inputs as a model takes them."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from zoo_autoregressive.categorical import Categorical

from toy_models import Invertible, nade, run
from zoo_core import tasks
from zoo_core.errors import InvalidInput


def test_grey_inputs_of_a_binary_model_are_drawn_once_and_it_says_so(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 100).save(tmp_path / "grey.png")
    first, second = (
        run("score", nade(), inputs=(str(tmp_path / "grey.png"),), seed=seed) for seed in (1, 2)
    )
    assert first.rows == second.rows
    assert (
        "grey levels are binarized once, by seed 0 and each one's place among the inputs"
        in first.notes[0]
    )


def test_black_and_white_inputs_are_taken_as_they_are(tmp_path: Path) -> None:
    model = nade()
    Image.new("L", (4, 4), 255).save(tmp_path / "white.png")
    result = run("score", model, inputs=(str(tmp_path / "white.png"),))
    assert not result.notes
    expected = -float(model.log_prob(torch.ones(1, 1, 4, 4)))
    assert result.rows[0]["nats"] == pytest.approx(expected, rel=1e-5)


def test_categories_are_no_binary_variables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,2\n1,0,0\n")
    with pytest.raises(InvalidInput, match="holds 3 categories, but the model is binary"):
        run("score", nade(3), inputs=(str(tmp_path / "t.csv"),))


def test_a_row_of_categories_has_the_same_nats_whatever_other_rows_hold(tmp_path: Path) -> None:
    model = Categorical(shape=(3,), levels=8)
    model.log_odds.copy_(torch.randn(3, 7, generator=torch.Generator().manual_seed(0)))
    log_p = model.log_p()
    expected = -float(log_p[:, 1].sum())
    for name, more in (("a", ""), ("b", "3,0,0\n"), ("c", "7,0,0\n")):
        (tmp_path / f"{name}.csv").write_text(f"1,1,1\n0,1,0\n{more}")
        result = run("score", model, str(tmp_path / f"{name}.csv"))
        assert result.rows[0]["nats"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("task", ["score", "detect", "complete", "encode", "reconstruct"])
def test_a_task_of_inputs_asks_for_them(task: str) -> None:
    model = nade() if tasks.implements(tasks.find(task), nade()) else Invertible()
    with pytest.raises(InvalidInput, match="give inputs an image file, a folder, a table"):
        run(task, model)


def test_nan_is_named_as_such() -> None:
    x = torch.full((2, 1, 4, 4), torch.nan)
    with pytest.raises(InvalidInput, match="holds NaN or infinity, but the model is binary"):
        run("score", nade(), inputs=x)
