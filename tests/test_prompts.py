"""Samples of prompts: a row each, from the same noise, and steps between two of them."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

import zoo_core
from zoo_core import loading
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Prompted
from zoo_core.tasks.context import Context
from zoo_core.tasks.interpolate import Options
from zoo_core.tasks.interpolate import interpolate as interpolation
from zoo_core.tasks.result import Result


class Counting(nn.Module):
    """Its code of a text is the number of letters; a sample is that in tenths, and some noise."""

    event_shape = (1, 2, 2)

    def read(self, texts: Sequence[str]) -> Tensor:
        if "" in texts:
            raise InvalidInput("the text '' is empty.")
        return torch.tensor([[float(len(text))] for text in texts])

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        prompt: str | Tensor | None = None,
    ) -> Tensor:
        code = self.read([prompt]) if isinstance(prompt, str) else prompt
        level = torch.zeros(1, 1) if code is None else code / 10
        noise = temperature * torch.rand(n, 1, 2, 2, generator=generator) / 100
        return level.view(-1, 1, 1, 1) + noise


class Deaf(nn.Module):
    """It cannot read."""

    event_shape = (1, 2, 2)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.zeros(n, 1, 2, 2)


def run(model: nn.Module, task: str, *prompts: str, **options: Any) -> Result:
    loading.set_info(model, loading.Info(name="m", architecture=""))
    return zoo_core.run(model, task, seed=1, batch_size=2, prompts=prompts, **options)


def sample(model: nn.Module, *prompts: str, between: int = 0, n: int = 3) -> Result:
    return run(model, "sample", *prompts, n=n, between=between)


def levels(result: Result) -> list[float]:
    """The mean of each row, without the noise."""
    assert result.images is not None and result.columns is not None
    return [round(float(row.mean()), 1) for row in result.images.split(result.columns)]


def test_each_prompt_has_a_row() -> None:
    assert isinstance(Counting(), Prompted)
    result = sample(Counting(), "four", "ox")
    assert levels(result) == [0.4, 0.2]
    assert list(result.names) == ["four", "ox"]
    assert result.summary == "6 samples of 'four', 'ox' from m"
    assert result.texts == {"prompts": ["four", "ox"]}


def test_the_noise_is_the_same_in_each_row_and_does_not_depend_on_the_other_prompts() -> None:
    x = sample(Counting(), "four", "ox").tensors["samples"]
    assert torch.allclose(x[:3] - 0.4, x[3:] - 0.2, atol=1e-6)
    assert torch.equal(x[3:], sample(Counting(), "ox").tensors["samples"])
    assert not torch.allclose(x[0], x[1])


def test_steps_lie_between_two_prompts() -> None:
    result = sample(Counting(), "1", "12345", "2", between=3)
    assert levels(result) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert list(result.names) == ["1", "", "", "", "12345", "", "", "", "2"]


@pytest.mark.parametrize("prompts", [(), ("alone",)])
def test_steps_take_two_prompts(prompts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"two prompts"):
        sample(Counting(), *prompts, between=2)


def test_a_prompt_that_cannot_be_read_stops_before_anything_is_drawn() -> None:
    with pytest.raises(InvalidInput, match="the text '' is empty"):
        sample(Counting(), "one", "")


def test_a_model_that_does_not_read_is_told_from_one_that_does() -> None:
    with pytest.raises(
        InvalidInput, match=r"^--prompt 'a': m is not cond.* it can sample, nearest\.$"
    ):
        sample(Deaf(), "a")


# Interpolation


def interpolate(model: nn.Module, *prompts: str, **options: Any) -> Result:
    chosen = Options(prompts=prompts, **{"steps": 3, "pairs": 2, **options})
    # past the protocol: of a model that is conditional on text no latents are asked for
    return interpolation(cast("Any", model), chosen, Context(name="m", seed=1, batch_size=2))


def test_a_way_between_prompts_changes_the_text_alone() -> None:
    result = interpolate(Counting(), "ox", "four", "a")
    assert result.images is not None and result.columns == 3
    ways = result.tensors["decoded"]
    assert ways.shape == (4, 3, 1, 2, 2)  # two ways, two draws of the noise
    expected = [[0.2, 0.3, 0.4]] * 2 + [[0.4, 0.25, 0.1]] * 2
    level = (ways - ways[:, :1]).mean((2, 3, 4)) + torch.tensor(expected)[:, :1]
    assert torch.allclose(level, torch.tensor(expected), atol=1e-6)
    assert not torch.equal(ways[0], ways[1])
    assert torch.allclose(ways[0, 2], ways[2, 0])
    assert result.names == ["ox to four", "", "four to a", ""]
    assert result.tensors["codes"].squeeze(2).tolist() == [[2, 3, 4], [4, 2.5, 1]]
    assert result.summary == "4 ways between prompts by m"


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        (("ox",), {}, "--prompt 'ox' is one text, and a way has two ends. Give --prompt twice"),
        (("ox", "a"), {"inputs": ("x.png",)}, "leave one of them out"),
        (("ox", ""), {}, "the text '' is empty"),
    ],
)
def test_a_way_has_two_texts_as_ends(
    prompts: tuple[str, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        interpolate(Counting(), *prompts, **options)
    with pytest.raises(InvalidInput, match=r"m is not conditional on text"):
        interpolate(Deaf(), "ox", "a")
