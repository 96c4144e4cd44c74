"""Detection: the AUROC, and inputs beside held-out data."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.mixed_tree import MixedTree

import zoo_core
from toy_models import nade, run
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.tasks.complexity import complexity
from zoo_core.tasks.detect import auroc

BARS = "bars-and-stripes-4:test"


def test_auroc_counts_pairs_and_halves_ties() -> None:
    generator = torch.Generator().manual_seed(0)
    normal, odd = (torch.randint(0, 9, (n,), generator=generator).double() for n in (30, 20))
    greater = (odd.unsqueeze(1) > normal).double() + 0.5 * (odd.unsqueeze(1) == normal).double()
    assert auroc(normal, odd).value == pytest.approx(float(greater.mean()))
    assert auroc(torch.zeros(2), torch.ones(3)) == (1, 1, 1)
    assert auroc(torch.ones(2), torch.zeros(3)) == (0, 0, 0)


def test_the_interval_of_an_auroc_holds_the_true_one_19_times_of_20() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = 0.5 * (1 + math.erf(1 / 2))  # of N(1, 1) above N(0, 1): Φ(1 / √2)
    found = [
        auroc(torch.randn(40, generator=generator), 1 + torch.randn(60, generator=generator))
        for _ in range(400)
    ]
    held = sum(low <= truth <= high for _, low, high in found) / len(found)
    assert 0.91 < held < 0.98
    assert str(found[0]) == "{:.4f} [{:.4f}, {:.4f}]".format(*found[0])


def test_a_single_odd_input_has_an_auroc() -> None:
    assert auroc(torch.arange(4.0), torch.tensor([2.5])).value == 0.75


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


def test_with_a_label_inputs_are_held_against_rows_of_it() -> None:
    torch.manual_seed(0)
    model = Attention(shape=(1, 4, 4), classes=2, d=8, h=2).eval()
    options: dict[str, Any] = {"data": "bars-and-stripes-4", "label": 1}
    result = run("detect", model, inputs=(f"{BARS}[20:23]",), **options)
    labels = zoo_core.dataset("bars-and-stripes-4:validation").labels
    assert labels is not None
    held = result.groups["bars-and-stripes-4:validation"]
    assert len(held) == int((labels == 1).sum()) < len(labels)
    with pytest.raises(InvalidInput, match="the usual inputs are rows of that label"):
        run("detect", model, inputs=(), against=(BARS,), **options)


def test_odd_inputs_give_the_auroc(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 100).save(tmp_path / "odd.png")
    result = run("detect", nade(), against=(str(tmp_path),), data="bars-and-stripes-4")
    expected = auroc(result.tensors["inputs"], result.tensors["against"])
    assert result.figures[0] == f"AUROC of nats {expected}"
    assert {row["group"] for row in result.rows} == {"inputs", "against"}
    assert len(result.tensors["inputs"]) == 32  # the test split of the model's own data


def test_without_held_out_data_inputs_are_only_ranked() -> None:
    result = run("detect", nade(), inputs=(BARS,))
    assert list(result.rows[0]) == ["group", "input", "nats", "complexity_ratio"]
    assert result.notes == ("only ranked: the weights do not say which data they were trained on",)
    lost = run("detect", nade(), inputs=(BARS,), data="lost")
    assert lost.notes[0].startswith("only ranked, most surprising first: lost:validation")


def test_held_out_data_of_another_shape_cannot_be_used(tmp_path: Path) -> None:
    for split in ("train", "valid"):
        (tmp_path / f"{split}.csv").write_text("0,1,1\n1,0,0\n")
    result = run("detect", nade(), inputs=(BARS,), data=str(tmp_path))
    assert "its rows have shape (3,), the model takes (1, 4, 4)" in result.notes[0]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("age", Column("age", "real", mean=4.0, std=2.0, knots=(0.0, 3.0, 8.0), decimals=0)),
        ("level", Column("level", "ordinal", tuple("012345678"))),
    ],
)
def test_held_out_rows_are_in_the_columns_of_the_model(
    tmp_path: Path, name: str, column: Column
) -> None:
    """Those that are guessed from a table of whole numbers are others."""
    (tmp_path / "t.csv").write_text(f"{name}\n" + "".join(f"{i % 9}\n" for i in range(90)))
    model, data = MixedTree((1,), [column.table()]), str(tmp_path / "t.csv")
    with torch.no_grad():
        model.logits.copy_(torch.randn(model.logits.shape, generator=torch.manual_seed(0)))
    result = run("detect", model, f"{data}:validation", data=data)
    held_out = result.groups[f"{data}:validation"]
    assert len({*held_out}) > 1 and sorted(held_out) == sorted(result.groups["inputs"])


def test_held_out_images_need_not_be_square(tmp_path: Path) -> None:
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        for i in range(3):
            Image.new("L", (6, 4), 80 * i).save(tmp_path / split / f"{i}.png")
    result = run("detect", nade(1, 4, 6), f"{tmp_path}:validation", data=str(tmp_path))
    assert len(result.groups[f"{tmp_path}:validation"]) == 3


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


def test_typicality_is_the_distance_from_the_mean_of_held_out_data() -> None:
    result = run("detect", nade(), inputs=(BARS,), data="bars-and-stripes-4", by="typicality")
    mean = np.mean(result.groups["bars-and-stripes-4:validation"])
    assert [row["typicality"] for row in result.rows] == pytest.approx(
        sorted((abs(row["nats"] - mean) for row in result.rows), reverse=True)
    )


def test_complexity_is_subtracted_from_the_nats_of_images() -> None:
    result = run("detect", nade(), inputs=(BARS,), by="complexity_ratio")
    x = zoo_core.dataset(BARS).floats()
    wanted = result.tensors["inputs"] - complexity(x, 2)
    assert torch.equal(result.tensors["inputs.complexity_ratio"], wanted)
    assert result.rows[0]["complexity_ratio"] == float(wanted.max())


@pytest.fixture
def background(tmp_path: Path) -> Path:
    """The file of another model of the same inputs."""
    path = tmp_path / "background.safetensors"
    zoo_core.save(zoo_core.create("bernoulli", shape=[1, 4, 4]), path)
    return path


def test_a_background_is_subtracted(background: Path) -> None:
    options: dict[str, Any] = {"background": str(background), "by": "likelihood_ratio"}
    result = run("detect", nade(), inputs=(BARS,), **options)
    # the untrained one finds all states alike
    wanted = result.tensors["inputs"] - 16 * math.log(2)
    torch.testing.assert_close(result.tensors["inputs.likelihood_ratio"], wanted)
    assert result.rows[0]["likelihood_ratio"] == pytest.approx(float(wanted.max()))


def test_a_background_has_the_type_of_the_model(background: Path) -> None:
    result = run("detect", nade().double(), inputs=(BARS,), background=str(background))
    wanted = result.tensors["inputs"] - 16 * math.log(2)
    torch.testing.assert_close(result.tensors["inputs.likelihood_ratio"], wanted)


def test_each_score_has_its_auroc_and_its_histogram(tmp_path: Path, background: Path) -> None:
    Image.new("L", (4, 4), 100).save(tmp_path / "odd.png")
    odd = (str(tmp_path / "odd.png"),)
    result = run(
        "detect", nade(), against=odd, background=str(background), data="bars-and-stripes-4"
    )
    scores = ("nats", "typicality", "complexity_ratio", "likelihood_ratio")
    for score, figure, panel in zip(scores, result.figures, result.panels.items(), strict=False):
        end = "" if score == "nats" else f".{score}"
        expected = auroc(result.tensors[f"inputs{end}"], result.tensors[f"against{end}"])
        assert figure == f"AUROC of {score} {expected}"
        assert panel[0] == f"{score}, AUROC {expected}"
        assert list(panel[1]) == ["bars-and-stripes-4:validation", "inputs", "against"]
    result.save(tmp_path / "scores.png")
    with Image.open(tmp_path / "scores.png") as picture:
        assert picture.height > picture.width


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"by": "typicality"}, "by='typicality': there are no held-out data of m to compare"),
        ({"by": "likelihood_ratio"}, "it takes a second model: give its name as background"),
    ],
)
def test_a_score_that_cannot_be_computed_says_what_it_takes(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidInput, match=text):
        run("detect", nade(), inputs=(BARS,), **options)


def test_rows_of_a_table_have_no_complexity(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1\n1,0,0\n")
    with pytest.raises(InvalidInput, match="it is of images, and these are rows of a table"):
        run("detect", nade(3), inputs=(str(tmp_path / "t.csv"),), by="complexity_ratio")


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("bernoulli", [1, 3, 3], "is of 1x3x3 inputs of 2 levels, and the model of 1x4x4 inputs"),
        ("categorical", [1, 4, 4], "1x4x4 inputs of 256 levels, and the model of 1x4x4 inputs of"),
        ("gan", [1, 4, 4], "it has no likelihood, exact or bounded"),
    ],
)
def test_a_background_of_something_else_is_refused(
    tmp_path: Path, name: str, shape: list[int], text: str
) -> None:
    path = tmp_path / "other.safetensors"
    zoo_core.save(zoo_core.create(name, shape=shape), path)
    with pytest.raises(InvalidInput, match=text):
        run("detect", nade(), inputs=(BARS,), background=str(path))
