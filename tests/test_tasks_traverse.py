"""Traversals: one latent changes while the others stay."""

from pathlib import Path

import pytest
import torch
from torch import nn

from toy_models import Coded, Invertible, Logistic, Ranked, Uniform, latents, run
from zoo_core.protocols import Traversal
from zoo_core.tasks.context import Context
from zoo_core.tasks.traverse import walks


def test_each_latent_is_walked_while_the_others_stay(pets: Path) -> None:
    result = run("traverse", Invertible(), pets)
    z, start = result.tensors["z"].view(2, 9, 2), latents(10)[0]
    assert torch.allclose(result.tensors["start"], start)
    for i in range(2):
        assert torch.allclose(z[i, :, 1 - i], start[1 - i])
        assert (z[i, :, i].diff() > 0).all()
    assert list(result.names) == ["z0", "z1"]
    assert result.figures == (f"from {pets / 'a' / '0.png'}",)


@pytest.mark.parametrize(("model", "end"), [(Logistic(), 3.0), (Uniform(), 1.0)])
def test_walks_end_at_three_deviations_or_where_the_prior_does(
    model: nn.Module, end: float
) -> None:
    for walk in walks(model, Context()):
        values = [value for (value,) in walk.values]
        assert values[0] == pytest.approx(-end, abs=0.06)
        assert values[-1] == pytest.approx(end, abs=0.06)
    assert walks(model, Context(seed=1)) == walks(model, Context(seed=2))


def test_a_models_own_walks_are_shown() -> None:
    result = run("traverse", Coded(), seed=1)
    z = result.tensors["z"]
    assert torch.equal(z[:12, 2:], torch.eye(12))
    assert (z[:12, :2] == z[0, :2]).all()
    assert z[12:, 0].tolist() == [-2, 0, 2]
    # twelve steps take two rows of ten, three steps leave seven places
    assert list(result.names) == ["cluster", "", "width"]
    assert result.images is not None
    assert (len(result.images), result.columns) == (30, 10)
    assert [len(frame) for frame in result.frames] == [2] * 12
    assert "from the top: cluster, width -2 to 2" in result.notes


class Directed(Logistic):
    """Walks along the diagonal, from where it starts."""

    def traversals(self, x: torch.Tensor | None = None) -> list[Traversal]:
        return [
            Traversal("direction 1", (0, 1), [(-1.0, -1.0), (0.0, 0.0), (1.0, 1.0)], added=True)
        ]


def test_a_walk_along_a_direction_goes_through_where_it_starts() -> None:
    result = run("traverse", Directed(), seed=1)
    z, start = result.tensors["z"], result.tensors["start"][0]
    assert torch.equal(z[1], start)
    torch.testing.assert_close(z[2, :2], start[:2] + 1)
    assert torch.equal(z[:, 2:], start[2:].expand(3, -1))
    assert any(note.startswith("directions change the first layer") for note in result.notes)


def test_as_many_walks_and_starts_as_asked_for() -> None:
    result = run("traverse", Logistic(1, 1, 30), rows=3, starts=2)
    assert result.summary.startswith("3 of 30 walks")
    assert list(result.names) == [f"z{i}, start {k}" for i in range(3) for k in (1, 2)]
    assert result.tensors["start"].shape == (2, 30)


def test_inputs_say_which_latents_matter(pets: Path) -> None:
    assert list(run("traverse", Ranked()).names) == ["z0", "z1"]
    assert list(run("traverse", Ranked(), pets).names) == ["z1", "z0"]


def test_walks_through_a_table_are_rows() -> None:
    result = run("traverse", Logistic(3), rows=2)
    assert [row["varies"] for row in result.rows] == ["z0"] * 9 + ["z1"] * 9
    assert result.rows[1]["step"] == 1
