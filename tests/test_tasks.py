import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from zoo_autoregressive.nade import NADE

import zoo_core
from zoo_core import loading, tasks
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.tasks.complete import known_places
from zoo_core.tasks.detect import auroc
from zoo_core.tasks.result import Result

BARS = "bars-and-stripes-4:test"


class Sampler(nn.Module):
    """An implicit model: it can do no more than sample."""

    event_shape = (1, 2, 2)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> torch.Tensor:
        return torch.rand(n, 1, 2, 2, generator=generator)


def nade(*shape: int, order: str = "raster") -> NADE:
    torch.manual_seed(0)
    model = NADE(shape=shape or (1, 4, 4), hidden=5, order=order)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    return model.eval().requires_grad_(False)


def run(task: str, model: nn.Module, data: str = "", **options: Any) -> Result:
    loading.set_info(model, loading.Info(name="nade.bars", architecture="", data=data))
    return zoo_core.run(model, task, **{"seed": 0, **options})


# Which tasks there are


def test_a_task_is_available_when_its_protocol_is() -> None:
    assert tasks.able(nade()) == (
        "sample",
        "score",
        "explain",
        "detect",
        "complete",
        "nearest",
    )
    assert tasks.able(Sampler()) == ("sample", "nearest")
    assert tasks.able(nn.Linear(1, 1)) == ()


def test_sampling_is_the_default_where_it_is_possible() -> None:
    assert tasks.choose(None, nade(), "m").name == "sample"
    assert tasks.first(["detect", "growth", "score"]) == "score"
    assert tasks.first(["growth"]) == "growth"
    assert tasks.first(["of a family that is not here"]) is None
    with pytest.raises(InvalidInput, match="m can do none of the tasks"):
        tasks.choose(None, nn.Linear(1, 1), "m")


def test_a_task_that_the_model_cannot_do_is_refused_with_what_it_can() -> None:
    with pytest.raises(
        InvalidInput, match=r"^gan\.x cannot score: .* a Scored\. gan\.x can sample, nearest\.$"
    ):
        tasks.choose("score", Sampler(), "gan.x")
    with pytest.raises(UnknownName, match=r"no task 'smaple'\. Did you mean sample\? gan\.x can"):
        tasks.choose("smaple", Sampler(), "gan.x")


class Labelled(Sampler):
    """It draws its label."""

    classes = 3

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: int | torch.Tensor | None = None,
    ) -> torch.Tensor:
        return torch.full((n, 1, 2, 2), float(self.classes if label is None else label))


# Sampling


def test_a_label_is_drawn() -> None:
    for label in (0, 2):
        result = run("sample", Labelled(), label=label, n=3)
        assert (result.tensors["samples"] == label).all()
        assert result.summary == f"3 samples of label {label} from nade.bars"
    assert (run("sample", Labelled()).tensors["samples"] == 3).all()


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_refused_with_those_there_are(label: int) -> None:
    with pytest.raises(InvalidInput, match=f"^--label {label}: nade.bars has the labels 0 to 2.$"):
        run("sample", Labelled(), label=label)


def test_a_label_of_a_model_without_any_is_refused_with_what_it_can() -> None:
    with pytest.raises(InvalidInput, match=r"^--label 0: nade\.bars was trained wi") as no:
        run("sample", nade(), label=0)
    assert str(no.value).endswith(
        "Leave --label out; it can sample, score, explain, detect, complete, nearest."
    )


class Truncated(Sampler):
    """It draws its bound."""

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        truncation: float = 9.0,
    ) -> torch.Tensor:
        return torch.full((n, 1, 2, 2), truncation)


def test_a_truncation_is_handed_to_a_model_that_takes_one() -> None:
    bounds = [
        run("sample", Truncated(), n=2, truncation=bound).tensors["samples"].unique()
        for bound in (None, 0.5)
    ]
    assert [bound.tolist() for bound in bounds] == [[9.0], [0.5]]
    with pytest.raises(
        InvalidInput, match=r"--truncation 0\.5: nade\.bars cannot draw .* Use --te"
    ):
        run("sample", Sampler(), truncation=0.5)
    with pytest.raises(InvalidInput, match=r"truncation is -1\.0; expected a number above 0"):
        run("sample", Truncated(), truncation=-1.0)


@pytest.mark.parametrize("shape", [(1, 4, 4), (6,)])
def test_the_same_seed_gives_the_same_samples(shape: tuple[int, ...]) -> None:
    one, same, other = (
        run("sample", nade(*shape), n=20, seed=seed).tensors["samples"] for seed in (1, 1, 2)
    )
    assert one.shape == (20, *shape)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_samples_come_in_batches() -> None:
    result = run("sample", nade(), n=7, batch_size=3)
    assert result.images is not None
    assert result.images.shape == (7, 1, 4, 4)
    assert len(result.frames) == 7
    assert result.summary == "7 samples from nade.bars"


def test_samples_of_a_table_are_rows_of_categories() -> None:
    result = run("sample", nade(6), n=3)
    assert result.images is None
    assert [list(row) for row in result.rows] == [[f"x{i}" for i in range(6)]] * 3
    x = [list(row.values()) for row in result.rows]
    assert x == result.tensors["samples"].int().tolist()


# Scores


def test_scores_are_the_models_own_in_nats_and_bits() -> None:
    model = nade()
    result = run("score", model, inputs=(BARS,), batch_size=5)
    x = torch.tensor([[[[1.0] * 4] * 4]])
    row = result.rows[15]  # the last of the bars: all are on
    assert row["nats"] == pytest.approx(-float(model.log_prob(x)), rel=1e-5)
    assert row["bits_per_dim"] == pytest.approx(row["nats"] / 16 / math.log(2))
    assert row["input"] == "bars-and-stripes-4:test[15]"
    assert len(result.rows) == len(result.groups["inputs"]) == 32


def test_grey_inputs_of_a_binary_model_are_drawn_once_and_it_says_so(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 100).save(tmp_path / "grey.png")
    first, second = (
        run("score", nade(), inputs=(str(tmp_path / "grey.png"),), seed=seed) for seed in (1, 2)
    )
    assert first.rows == second.rows
    assert "grey levels were drawn as black or white" in first.notes[0]


def test_black_and_white_inputs_are_taken_as_they_are(tmp_path: Path) -> None:
    model = nade()
    Image.new("L", (4, 4), 255).save(tmp_path / "white.png")
    result = run("score", model, inputs=(str(tmp_path / "white.png"),))
    assert not result.notes
    expected = -float(model.log_prob(torch.ones(1, 1, 4, 4)))
    assert result.rows[0]["nats"] == pytest.approx(expected, rel=1e-5)


def test_a_table_scores_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1\n1,0,0\n")
    model = nade(3)
    result = run("score", model, inputs=(str(tmp_path / "t.csv"),))
    expected = -model.log_prob(torch.tensor([[0.0, 1, 1], [1, 0, 0]]))
    assert result.tensors["nats"].tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_categories_are_no_binary_variables(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,2\n1,0,0\n")
    with pytest.raises(InvalidInput, match="holds 3 categories, but the model is binary"):
        run("score", nade(3), inputs=(str(tmp_path / "t.csv"),))


@pytest.mark.parametrize("task", ["score", "detect", "complete"])
def test_a_task_of_inputs_asks_for_them(task: str) -> None:
    with pytest.raises(InvalidInput, match="give --input an image file, a folder, a table"):
        run(task, nade())


# Detection


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


# Completion


def test_completions_keep_what_is_given() -> None:
    result = run("complete", nade(), inputs=(f"{BARS}[0:5]",), samples=3, batch_size=2)
    completions, x = result.tensors["completions"], result.tensors["inputs"]
    assert completions.shape == (3, 5, 1, 4, 4)
    assert torch.equal(completions[..., :2, :], x[..., :2, :].expand(3, -1, -1, -1, -1))
    assert not torch.equal(completions[0], completions[1])
    assert result.images is not None
    assert result.images.shape == (5 * (2 + 3), 1, 4, 4)
    assert result.columns == 5
    assert torch.equal(result.images[:5], x)


def test_completions_of_a_table_are_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,1,0\n1,0,0,1\n")
    result = run("complete", nade(4), inputs=(str(tmp_path / "t.csv"),), samples=3)
    assert len(result.rows) == 6
    assert all((row["x0"], row["x1"]) in ((0, 1), (1, 0)) for row in result.rows)


def test_a_mask_that_the_order_does_not_allow_is_refused() -> None:
    with pytest.raises(InvalidInput, match="can only complete what comes after"):
        run("complete", nade(), inputs=(BARS,), keep="left")


def test_masks() -> None:
    assert known_places("top", (3, 4, 2)).nonzero()[:, 1].unique().tolist() == [0, 1]
    assert known_places("left", (1, 2, 4)).nonzero()[:, 2].unique().tolist() == [0, 1]
    assert known_places("top", (5,)).tolist() == [True, True, False, False, False]


def test_a_picture_is_a_mask(tmp_path: Path) -> None:
    picture = Image.new("L", (4, 4))
    picture.paste(255, (0, 0, 4, 1))
    picture.save(tmp_path / "mask.png")
    known = known_places(str(tmp_path / "mask.png"), (3, 4, 4))
    assert torch.equal(known, known_places("top", (3, 4, 4)) & (torch.arange(4) < 1).view(4, 1))


def test_masks_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"there is no such file\. Expected top, left, or a pic"):
        known_places(str(tmp_path / "none.png"), (1, 4, 4))
    with pytest.raises(InvalidInput, match="this model is of tables, expected top"):
        known_places("left", (4,))
    Image.new("L", (4, 4), 255).save(tmp_path / "all.png")
    with pytest.raises(InvalidInput, match="there is nothing to complete"):
        known_places(str(tmp_path / "all.png"), (1, 4, 4))


def test_reduced_precision_reaches_the_inputs() -> None:
    result = run("score", nade().to(torch.bfloat16), inputs=(BARS,))
    assert result.tensors["nats"].isfinite().all()
