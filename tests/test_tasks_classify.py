"""The task `classify`: Bayes' rule, on a model whose posterior is known."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from zoo_autoregressive.attention import Attention

from toy_models import nade, run
from zoo_core import tasks
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput

BARS = "bars-and-stripes-4:test"


class Lit(nn.Module):
    """Pixels are independent: lit with probability 0.2 in class 0, with 0.6 in class 1."""

    levels, classes = 2, 2

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.event_shape = shape or (1, 4, 4)

    def log_prob(self, x: Tensor, label: Tensor | int | None = None) -> Tensor:
        p = 0.2 if label == 0 else 0.6
        on = x.flatten(1)
        return (on * math.log(p) + (1 - on) * math.log(1 - p)).sum(1)


def test_it_is_bayes_rule() -> None:
    result = run("classify", Lit(), BARS, batch_size=7)
    for row in result.rows:
        i = int(row["input"].rpartition("[")[2][:-1])
        assert row["p0"] + row["p1"] == pytest.approx(1)
        assert row["class"] == (row["p1"] > row["p0"])
        assert row["p0"] == pytest.approx(float(result.tensors["probabilities"][i, 0]))
    # the last of the bars is all lit: odds (0.2 / 0.6)^16; the first is dark: 2^16
    assert result.rows[15]["p0"] == pytest.approx(1 / (1 + 3.0**16), rel=1e-4)
    assert result.rows[0]["p1"] == pytest.approx(1 / (1 + 2.0**16), rel=1e-4)
    wanted = -math.log(0.5 * 0.8**16 + 0.5 * 0.4**16)
    assert float(result.tensors["nats"][0]) == pytest.approx(wanted, rel=1e-5)


def test_labels_give_the_error(tmp_path: Path) -> None:
    from PIL import Image

    for name, level in (("a", 0), ("b", 255), ("b", 0)):
        (tmp_path / "test" / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), level).save(tmp_path / "test" / name / f"{level}.png")
    result = run("classify", Lit(), tmp_path / "test")
    assert [row["label"] for row in result.rows] == [0, 1, 1]
    assert result.figures[0].startswith("error 33.33 % (1 of 3)")
    unlabelled = run("classify", Lit(), tmp_path / "test" / "a" / "0.png")
    assert not unlabelled.figures[0].startswith("error") and "label" not in unlabelled.rows[0]


def test_inputs_without_a_label_are_no_error() -> None:
    x = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)  # which are most probable in class 0
    for labels, expected in (
        ([0, 1, -1, -1], "error 50.00 % (1 of 2, 2 more without a label)"),
        ([-1] * 4, "mean"),
    ):
        data = Dataset("pets", "test", x, 2, torch.tensor(labels), ("cat", "dog"))
        result = run("classify", Lit(), inputs=(data,))
        assert result.figures[0].startswith(expected)


def test_classes_of_other_data_are_no_error(tmp_path: Path) -> None:
    from factories import picture

    names = {"0": 0, "1": 255, "cat": 0, "dog": 0, "eel": 0}
    for name, level in names.items():
        picture(
            tmp_path / ("digits" if name in "01" else "pets") / name / "a.png", (4, 4), "L", level
        )
    result = run("classify", Lit(), tmp_path / "digits" / "1", tmp_path / "pets")
    assert not result.figures[0].startswith("error")
    assert "label" not in result.rows[0]
    result = run("classify", Lit(), tmp_path / "pets")
    assert "the inputs' classes cat, dog, eel are not the model's 2: no error" in result.notes[-2]


def test_a_folder_of_some_digits_is_of_those(tmp_path: Path) -> None:
    from factories import picture

    picture(tmp_path / "digits" / "1" / "a.png", (4, 4), "L", 255)
    result = run("classify", Lit(), tmp_path / "digits")
    assert [row["label"] for row in result.rows] == [1]
    assert result.figures[0].startswith("error 0.00 %")
    assert "the inputs' classes 1 are taken for those numbers of the model's" in result.notes


def test_the_bars_are_as_high_as_the_probabilities() -> None:
    result = run("classify", Lit(), f"{BARS}[0:1]")
    assert result.images is not None and result.images.shape == (2, 1, 4, 4)
    assert torch.equal(result.images[1, 0], torch.tensor([[1.0, 1, 0, 0]] * 4))


def test_rows_of_a_table_are_classified(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,0,0\n1,1,1\n")
    result = run("classify", Lit(3), tmp_path / "t.csv")
    assert [row["class"] for row in result.rows] == [0, 1] and result.images is None


def test_a_model_without_classes_is_refused() -> None:
    model = Attention((1, 4, 4), blocks=1, d=8).eval()
    assert "classify" not in tasks.able(model) and "attend" in tasks.able(model)
    assert "classify" in tasks.able(Attention((1, 4, 4), blocks=1, d=8, classes=2))
    with pytest.raises(InvalidInput, match="for models with classes, and it was trained without"):
        run("classify", model, BARS)
    with pytest.raises(InvalidInput, match="it needs a density model conditioned on a class label"):
        run("classify", nade(), BARS)
