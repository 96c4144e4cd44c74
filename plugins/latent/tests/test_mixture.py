"""The mixture that is fitted to latents, and that a VAE draws from in N(0, I)'s place."""

from typing import Any

import torch
from torch import Tensor
from zoo_latent.mixture import Mixture
from zoo_latent.vae import VAE
from zoo_latent.variational import Variational


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def clusters(n: int) -> Tensor:
    """Two clusters of different shapes, a third and two thirds."""
    eps = torch.randn(n, 2, generator=random())
    narrow = torch.tensor([4.0, 0.0]) + eps * torch.tensor([0.1, 1.0])
    return torch.where(torch.arange(n)[:, None] % 3 == 0, narrow, torch.tensor([-4.0, 1.0]) + eps)


def test_it_is_a_standard_normal_until_it_is_fitted() -> None:
    z = Mixture(3, 2).draw(20_000, random())
    assert z.mean(0).abs().max() < 0.05 and (torch.cov(z.T) - torch.eye(2)).abs().max() < 0.05


def test_it_finds_clusters_their_shares_and_their_shapes() -> None:
    mixture, z = Mixture(2, 2), clusters(3000)
    mixture.fit(z, random())
    order = mixture.means[:, 0].argsort()
    torch.testing.assert_close(
        mixture.weights[order], torch.tensor([2 / 3, 1 / 3]), atol=0.02, rtol=0
    )
    expected = torch.tensor([[-4.0, 1.0], [4.0, 0.0]])
    torch.testing.assert_close(mixture.means[order], expected, atol=0.1, rtol=0)
    drawn = mixture.draw(6000, random(1))
    right = drawn[drawn[:, 0] > 0]
    assert abs(len(right) / len(drawn) - 1 / 3) < 0.03 and right[:, 0].std() < 0.3


def test_few_latents_in_many_parts_are_no_failure() -> None:
    mixture = Mixture(20, 8)
    mixture.fit(torch.randn(30, 8, generator=random()), random())
    assert all(bool(value.isfinite().all()) for value in mixture.state_dict().values())
    assert mixture.draw(100, random()).isfinite().all()


def test_a_vae_draws_from_what_was_fitted_in_validation() -> None:
    torch.manual_seed(0)
    model = VAE((4,), z=2, hidden=[8], prior_parts=2)
    trainer, x = Variational(model), torch.rand(50, 4).round()
    before = model.latent(5, generator=random())

    def update(loss: Tensor) -> None: ...

    updates: Any = {"model": update}
    trainer.training_step(x, updates, random())
    bound = model.elbo(x, generator=random()).bound
    trainer.validation_step(x, random())
    assert not torch.equal(model.latent(5, generator=random()), before)
    torch.testing.assert_close(model.elbo(x, generator=random()).bound, bound)
    assert not trainer.recent and model.sample(3, generator=random()).shape == (3, 4)


def test_a_vae_without_one_keeps_no_inputs() -> None:
    trainer = Variational(VAE((4,), z=2, hidden=[8]))
    trainer.training_step(torch.ones(5, 4), {"model": lambda loss: None}, random())
    assert not trainer.recent
