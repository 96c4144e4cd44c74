"""Samples: labels, prompts and truncation, seeds and batches."""

import pytest
import torch
from torch import nn

from toy_models import Labelled, LetterCount, Sampler, Truncated, nade, run
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Prompted
from zoo_core.tasks.context import Context
from zoo_core.tasks.result import Result
from zoo_core.tasks.sample import Options
from zoo_core.tasks.sample import sample as sample_task


def test_a_label_is_drawn() -> None:
    for label in (0, 2):
        result = run("sample", Labelled(), label=label, n=3)
        assert (result.tensors["samples"] == label).all()
        assert result.summary == f"3 samples of label {label} from m"
    assert (run("sample", Labelled()).tensors["samples"] == 3).all()


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_refused_with_those_there_are(label: int) -> None:
    with pytest.raises(InvalidInput, match=f"^label={label}: m has the labels 0 to 2.$"):
        run("sample", Labelled(), label=label)


def test_a_label_of_a_model_without_any_is_refused_with_what_it_can() -> None:
    with pytest.raises(InvalidInput, match=r"^label=0: m was trained wi") as no:
        run("sample", nade(), label=0)
    assert str(no.value).endswith(
        "Leave the label out; it can sample, score, explain, detect, complete, nearest."
    )


def test_a_truncation_is_handed_to_a_model_that_takes_one() -> None:
    bounds = [
        run("sample", Truncated(), n=2, truncation=bound).tensors["samples"].unique()
        for bound in (None, 0.5)
    ]
    assert [bound.tolist() for bound in bounds] == [[9.0], [0.5]]
    with pytest.raises(InvalidInput, match=r"truncation=0\.5: m cannot resample .* Use te"):
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
    assert result.summary == "7 samples from m"


def test_samples_of_a_table_are_rows_of_categories() -> None:
    result = run("sample", nade(6), n=3)
    assert result.images is None
    assert [list(row) for row in result.rows] == [[f"x{i}" for i in range(6)]] * 3
    x = [list(row.values()) for row in result.rows]
    assert x == result.tensors["samples"].int().tolist()


def sample(model: nn.Module, *prompts: str, between: int = 0) -> Result:
    """Samples of prompts, three of each."""
    return run("sample", model, prompts=prompts, n=3, between=between, batch_size=2)


def levels(result: Result) -> list[float]:
    """The mean of each row, without the noise."""
    assert result.images is not None and result.columns is not None
    return [round(float(row.mean()), 1) for row in result.images.split(result.columns)]


def test_each_prompt_has_a_row() -> None:
    assert isinstance(LetterCount(), Prompted)
    result = sample(LetterCount(), "four", "ox")
    assert levels(result) == [0.4, 0.2]
    assert list(result.names) == ["four", "ox"]
    assert result.summary == "6 samples of 'four', 'ox' from m"
    assert result.texts == {"prompts": ["four", "ox"]}


def test_the_noise_is_the_same_in_each_row_and_does_not_depend_on_the_other_prompts() -> None:
    x = sample(LetterCount(), "four", "ox").tensors["samples"]
    assert torch.allclose(x[:3] - 0.4, x[3:] - 0.2, atol=1e-6)
    assert torch.equal(x[3:], sample(LetterCount(), "ox").tensors["samples"])
    assert not torch.allclose(x[0], x[1])


def test_samples_of_prompts_have_no_means() -> None:
    with pytest.raises(InvalidInput, match="draw='mean': samples of a prompt have noise of their"):
        run("sample", LetterCount(), prompts=("ox",), draw="mean")


def test_steps_lie_between_two_prompts() -> None:
    result = sample(LetterCount(), "1", "12345", "2", between=3)
    assert levels(result) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert list(result.names) == ["1", "", "", "", "12345", "", "", "", "2"]


@pytest.mark.parametrize("prompts", [(), ("alone",)])
def test_steps_take_two_prompts(prompts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"two prompts"):
        sample(LetterCount(), *prompts, between=2)


def test_a_prompt_that_cannot_be_read_stops_before_anything_is_drawn() -> None:
    with pytest.raises(InvalidInput, match="the text '' is empty"):
        sample(LetterCount(), "one", "")


def test_a_model_that_does_not_read_is_told_from_one_that_does() -> None:
    with pytest.raises(
        InvalidInput, match=r"^prompts='a': m is not cond.* it can sample, nearest\.$"
    ):
        sample(Sampler(), "a")


@pytest.mark.parametrize(
    ("label", "said"),
    [(0, " of cluster 0, mostly nines,"), (1, " of cluster 1"), (2, " of cluster 2"), (None, "")],
)
def test_a_cluster_is_called_by_what_it_mostly_holds(label: int | None, said: str) -> None:
    context = Context(name="m", clusters=("nines", ""))
    result = sample_task(Labelled(), Options(n=3, label=label), context)
    assert result.summary == f"3 samples{said} from m"


class Guided(Labelled):
    """It draws its guidance."""

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        label: torch.Tensor | int | None = None,
        guidance: float = 1.0,
    ) -> torch.Tensor:
        return torch.full((n, *self.event_shape), guidance / 10)


def test_guidance_is_handed_to_a_model_that_takes_it() -> None:
    result = run("sample", Guided(), label=1, guidance=2.0, n=1)
    assert float(result.tensors["samples"].mean()) == pytest.approx(0.2)
    with pytest.raises(InvalidInput, match=r"guidance=2\.0 leads towards a label: give label too"):
        run("sample", Guided(), guidance=2.0)
    with pytest.raises(InvalidInput, match=r"guidance=2\.0: m samples without guidance"):
        run("sample", Labelled(), label=1, guidance=2.0)


def test_rows_between_prompts_that_exceed_memory_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"^n=3 between=1000000000000: 3,000,000,000,006 s"):
        sample(LetterCount(), "four", "ox", between=10**12)
