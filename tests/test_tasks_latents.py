"""From inputs to latents and back."""

from pathlib import Path

import pytest
import torch

from toy_models import Invertible, Logistic, latents, run
from zoo_core.errors import InvalidInput
from zoo_core.tasks.context import Context
from zoo_core.tasks.latents import decode_latents, latent_columns, load_latents, sample_latents


@pytest.mark.parametrize("task", ["interpolate", "traverse", "manifold"])
def test_inputs_need_an_encoder(task: str, pets: Path) -> None:
    with pytest.raises(
        InvalidInput, match=rf"m has no encoder.*out: the task {task} works without"
    ):
        run(task, Logistic(), pets)


def test_latents_of_inputs_and_of_the_prior(pets: Path) -> None:
    model, context = Invertible(), Context(seed=3, batch_size=2)
    z, batch = load_latents(model, [str(pets)], context, "interpolate")
    assert torch.allclose(z, latents(10, 60, 110, 160, 210))
    assert torch.allclose(decode_latents(model, z, context), batch.x)
    expected = model.latent(5, generator=torch.Generator().manual_seed(3))
    assert torch.equal(sample_latents(model, 5, context), expected)
    assert latent_columns(torch.tensor([[1.0, 2.0]])) == [{"z0": 1.0, "z1": 2.0}]
