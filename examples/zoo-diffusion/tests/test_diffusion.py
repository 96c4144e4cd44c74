"""The laws that every family keeps, and what is special to diffusion."""

from pathlib import Path

import pytest
import torch

import zoo_core
from zoo_core import draws
from zoo_core.testing import Case, Law
from zoo_diffusion.model import DDPM
from zoo_diffusion.trainer import Denoising


@pytest.mark.zoo_family("diffusion")
def test_law(law: Law, case: Case) -> None:
    law(case)


def tiny(**config: object) -> DDPM:
    return DDPM(**{"shape": (1, 4, 4), "channels": (8, 8), "T": 1000, "steps": 4, **config})


def test_at_the_last_step_hardly_anything_but_noise_is_left() -> None:
    model = tiny()
    noise = torch.randn(500, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    x = torch.ones(500, 1, 4, 4)
    first, last = (model.diffuse(x, torch.full((500,), t), noise) for t in (0, 999))
    assert torch.allclose(first.mean(), torch.tensor(1.0), atol=0.01)
    assert torch.allclose(last, noise, atol=0.02)


def test_a_sampler_that_knows_the_noise_gives_the_image_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny(T=50, steps=50, schedule="squaredcos_cap_v2")
    x_0 = torch.tensor([-1.0, 1.0]).repeat(8).view(1, 1, 4, 4)

    def noise(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        kept = model.scheduler.alphas_cumprod[t].view(-1, 1, 1, 1)
        return (x_t - kept.sqrt() * x_0) / (1 - kept).sqrt()

    monkeypatch.setattr(model, "noise", noise)
    x = model.sample(3, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(x, ((x_0 + 1) / 2).expand(3, 1, 4, 4), atol=1e-4)


def test_the_error_of_a_model_that_says_nothing_is_the_noises_variance() -> None:
    model = tiny()
    for parameter in model.net.conv_out.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.rand(400, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    error = Denoising(model).validation_step(x, torch.Generator().manual_seed(1))["mse"]
    assert error.shape == (400,)
    assert abs(float(error.detach().mean()) - 1) < 0.05


def test_the_shipped_entry_draws_ink_in_the_middle_of_a_dark_image() -> None:
    entry = zoo_core.Registry.load().lookup("ddpm.mnist")
    assert entry.family == "diffusion"
    model = zoo_core.load(entry.name)
    model.steps = 20
    x = model.sample(4, generator=torch.Generator().manual_seed(0))
    assert 0.05 < x.mean() < 0.3
    assert x[..., 8:20, 8:20].mean() > 5 * x[..., :3].mean()


def test_the_film_begins_with_noise_and_ends_with_the_sample(tmp_path: Path) -> None:
    model = tiny(T=8, steps=8).eval()
    settings = {"n": 3, "stages": 3, "frames": 5, "seed": 0}
    result = zoo_core.run(model, "denoise", **settings)
    assert result.figures == ("after 0, 4, 8 of 8 steps",)
    assert result.images is not None and result.images.shape == (9, 1, 4, 4)
    first, _, last = result.images.split(3)
    noise = draws.randn(3, 1, 4, 4, generator=draws.Streams(0))
    assert torch.allclose(first, (noise.clamp(-1, 1) + 1) / 2)
    sampled = zoo_core.run(model, "sample", n=3, seed=0).images
    assert torch.equal(last, sampled)
    assert len(result.frames) == 5 + 8 and torch.equal(result.frames[-1], last)
    alone = zoo_core.run(model, "denoise", **settings, batch_size=1).images
    assert torch.allclose(result.images, alone, atol=1e-5)
    result.save(tmp_path / "film.gif")
