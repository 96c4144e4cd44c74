"""Interpolations: between inputs, samples of the prior and prompts."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn

from toy_models import Coded, Invertible, LetterCount, Logistic, Sampler, latents, run
from zoo_core.errors import InvalidInput
from zoo_core.tasks.context import Context
from zoo_core.tasks.interpolate import Options, arc, line
from zoo_core.tasks.interpolate import interpolate as interpolation
from zoo_core.tasks.result import Result


def test_a_line_is_even_and_an_arc_keeps_the_length() -> None:
    z0, z1 = torch.tensor([3.0, 0, 0]), torch.tensor([0.0, 0, 3])
    straight, bent = line(z0, z1, 7), arc(z0, z1, 7)
    for way in (straight, bent):
        assert torch.allclose(way[[0, -1]], torch.stack([z0, z1]), atol=1e-6)
        assert way.diff(dim=0).norm(dim=1).std() < 1e-5
    assert torch.allclose(bent.norm(dim=1), torch.tensor(3.0))
    assert torch.allclose(straight[3], (z0 + z1) / 2)
    assert torch.allclose(arc(z0, 2 * z1, 3)[1].norm(), torch.tensor(4.5))


@pytest.mark.parametrize("factor", [-1.0, 0.0, 1.0, 2.0])
def test_an_arc_without_a_plane_is_a_line(factor: float) -> None:
    z = torch.tensor([1.0, 2.0])
    assert torch.allclose(arc(z, factor * z, 5), line(z, factor * z, 5))


def test_ways_go_from_each_input_to_the_next(pets: Path) -> None:
    result = run("interpolate", Invertible(), pets, steps=5)
    z = latents(10, 60, 110, 160, 210)
    assert result.tensors["z"].shape == (4, 5, 2)
    assert torch.allclose(result.tensors["z"][:, 0], z[:-1], atol=1e-6)
    assert torch.allclose(result.tensors["z"][:, 2], (z[:-1] + z[1:]) / 2, atol=1e-6)
    assert torch.allclose(result.tensors["decoded"].flatten(2), result.tensors["z"].sigmoid())
    assert result.figures == ("5 steps", "along lines")
    assert result.columns == 5
    assert len(result.frames) == 8  # there and back, without stopping at the ends
    assert torch.equal(result.frames[3], result.frames[5])


def test_without_inputs_ways_are_arcs_between_draws() -> None:
    result = run("interpolate", Logistic(), seed=3, pairs=2, steps=3)
    ends = Logistic().latent(4, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(result.tensors["z"][:, [0, 2]].flatten(0, 1), ends)
    lengths = result.tensors["z"].norm(dim=2)
    assert torch.allclose(lengths[:, 1], (lengths[:, 0] + lengths[:, 2]) / 2)
    assert result.figures[1] == "along arcs"
    straight = run("interpolate", Logistic(), path="line").tensors["z"]
    assert torch.allclose(straight[:, 4], (straight[:, 0] + straight[:, 8]) / 2)


def test_a_model_that_knows_the_way_is_followed() -> None:
    result = run("interpolate", Coded(), steps=4)
    assert result.figures[1] == "the model's own path"
    assert torch.equal(result.tensors["z"][:, 0], result.tensors["z"][:, 1])
    asked = run("interpolate", Coded(), steps=4, path="line")
    assert not torch.equal(asked.tensors["z"][:, 0], asked.tensors["z"][:, 1])


def test_one_input_is_no_way(pets: Path) -> None:
    with pytest.raises(
        InvalidInput, match=r"is one input, and a path has two ends\. Give a second"
    ):
        run("interpolate", Invertible(), pets / "a" / "0.png")


def test_inputs_have_no_pairs(pets: Path) -> None:
    with pytest.raises(InvalidInput, match="pairs=2: a path goes from each input to the next"):
        run("interpolate", Invertible(), pets, pairs=2)


def test_ways_through_a_table_are_rows() -> None:
    result = run("interpolate", Logistic(3), steps=4, pairs=2)
    assert [(row["way"], row["step"]) for row in result.rows][4:6] == [
        ("sample 3 to 4", 0),
        ("sample 3 to 4", 1),
    ]
    assert list(result.rows[0]) == ["way", "step", "x0", "x1", "x2"]


def interpolate(model: nn.Module, *prompts: str, **options: Any) -> Result:
    chosen = Options(prompts=prompts, **{"steps": 3, "pairs": 2, **options})
    # past the protocol: of a model that is conditional on text no latents are asked for
    return interpolation(cast("Any", model), chosen, Context(name="m", seed=1, batch_size=2))


def test_a_way_between_prompts_changes_the_text_alone() -> None:
    result = interpolate(LetterCount(), "ox", "four", "a")
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
    assert result.summary == "4 paths between prompts by m"


@pytest.mark.parametrize(
    ("prompts", "options", "message"),
    [
        (("ox",), {}, "prompts='ox' is one text, and a path has two ends: give another"),
        (("ox", "a"), {"inputs": ("x.png",)}, "leave one of them out"),
        (("ox", ""), {}, "the text '' is empty"),
        (("ox", "a"), {"path": "arc"}, "path='arc': a path between prompts is a line"),
    ],
)
def test_a_way_has_two_texts_as_ends(
    prompts: tuple[str, ...], options: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        interpolate(LetterCount(), *prompts, **options)
    with pytest.raises(InvalidInput, match=r"m is not conditional on text"):
        interpolate(Sampler(), "ox", "a")
