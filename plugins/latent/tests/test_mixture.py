"""The mixture that is fitted to latents, and that a VAE draws from in N(0, I)'s place."""

import pytest
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


def test_fewer_latents_than_parts_are_no_failure() -> None:
    for z in (torch.randn(3, 2, generator=random()), torch.ones(1, 2), torch.ones(4, 1)):
        mixture = Mixture(5, z.shape[1])
        mixture.fit(z, random())
        drawn = mixture.draw(4000, random())
        torch.testing.assert_close(drawn.mean(0), z.mean(0), atol=0.1, rtol=0)


@pytest.mark.parametrize("z", [[2], [4, 4], [5, 3]])
def test_a_vae_draws_from_what_was_fitted_to_its_top_layer(z: list[int]) -> None:
    torch.manual_seed(0)
    hidden = [8] if len(z) == 1 else [[8], [8]]
    model = VAE((4,), z=z, hidden=hidden, prior_parts=2)
    x = torch.rand(50, 4).round()
    bound, before = model.elbo(x, generator=random()).bound, model.latent(500, generator=random())
    Variational(model).fit_to(iter(x.split(20)), random())
    assert not torch.equal(model.latent(500, generator=random()), before)
    again, prior = random(), model.fitted
    wanted = torch.cat([model.encode(part, generator=again) for part in x.split(20)]).mean(0)
    assert prior is not None
    torch.testing.assert_close(prior.weights @ prior.means, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.elbo(x, generator=random()).bound, bound)


def test_a_vae_without_one_reads_no_inputs() -> None:
    inputs = iter([torch.ones(5, 4)])
    Variational(VAE((4,), z=2, hidden=[8])).fit_to(inputs, random())
    assert len(list(inputs)) == 1
