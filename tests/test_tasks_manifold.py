"""The plane of two latents, decoded, and inputs as dots in it."""

from pathlib import Path

import pytest
import torch

from toy_models import Invertible, Logistic, Uniform, latents, run
from zoo_core import output, tasks
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.tasks.context import Context
from zoo_core.tasks.manifold import plane

BARS = "bars-and-stripes"


def test_a_plane_needs_two_latents() -> None:
    assert "manifold" not in tasks.able(Logistic(1, 3, 3))
    message = r"^m cannot manifold: the task is for models of 2 latents, and it has 9\. m can sam"
    for inputs in ((), (BARS,)):
        with pytest.raises(InvalidInput, match=message):
            run("manifold", Invertible(1, 3, 3), *inputs)


def test_the_plane_is_the_inverse_of_the_priors_distribution() -> None:
    z = plane(Logistic(), 5, Context()).view(5, 5, 2)
    exact = torch.distributions.Normal(0, 1).icdf((torch.arange(5) + 0.5) / 5)
    assert torch.allclose(z[0, :, 0], exact, atol=0.02)  # z0 grows to the right
    assert torch.allclose(z[:, 0, 1], exact.flip(0), atol=0.02)  # and z1 upwards
    uniform = plane(Uniform(), 5, Context()).view(5, 5, 2)[0, :, 0]
    assert torch.allclose(uniform, torch.linspace(-0.8, 0.8, 5), atol=0.02)


def test_the_plane_is_decoded_and_the_seed_does_not_matter() -> None:
    one, other = (run("manifold", Logistic(), seed=s, side=4) for s in (1, 2))
    assert one.images is not None
    assert other.images is not None
    assert torch.equal(one.images, other.images)
    assert one.images.shape == (16, 1, 1, 2)
    assert one.columns == 4
    assert torch.allclose(one.images.flatten(1), one.tensors["z"].sigmoid())


def test_inputs_are_dots_by_label(pets: Path, tmp_path: Path) -> None:
    result = run("manifold", Invertible(), pets)
    dots = {name: len(points) for name, points in result.points.items()}
    assert dots == {"a": 2, "b": 3}
    assert result.points["a"][1] == pytest.approx(latents(60)[0].tolist())
    result.save(tmp_path / "dots.png")
    assert output.read_provenance(tmp_path / "dots.png")["entry"] == "m"
    alone = run("manifold", Invertible(), pets / "a" / "0.png")
    assert list(alone.points) == ["inputs"]


def test_inputs_are_no_plane_of_a_side(pets: Path) -> None:
    with pytest.raises(InvalidInput, match="side=5 is of the plane that is decoded"):
        run("manifold", Invertible(), pets, side=5)


def test_inputs_without_a_label_are_dots_of_their_own() -> None:
    x = torch.zeros(3, 1, 1, 2, dtype=torch.uint8)
    data = Dataset("pets", "test", x, 256, torch.tensor([1, -1, 1]), ("cat", "dog"))
    result = run("manifold", Invertible(), inputs=(data,))
    assert {name: len(points) for name, points in result.points.items()} == {
        "dog": 2,
        "no label": 1,
    }


def test_the_plane_of_a_table_is_rows() -> None:
    result = run("manifold", Logistic(2), side=2)
    assert list(result.rows[0]) == ["z0", "z1", "x0", "x1"]
    assert len(result.rows) == 4
