"""VAE and IWAE against closed forms: probabilistic PCA is a linear Gaussian VAE."""

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal, kl_divergence
from zoo_latent.vae import VAE
from zoo_latent.variational import ImportanceWeighted, Variational

import zoo_core
from zoo_core.draws import Streams
from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.protocols import Bound, DensityModel, LatentVariable

BARS = {"data": "bars-and-stripes:test"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(D: int, z: int) -> VAE:
    """Probabilistic PCA: x = W z + b + σ ε."""
    torch.manual_seed(0)
    return VAE((D,), z=z, hidden=[], likelihood="gaussian-linear").double()


def parts(model: Any) -> tuple[Tensor, Tensor, Tensor]:
    """W (D, Z), b (D,) and σ² of a linear model."""
    output = model.decoder.output
    return output.weight, output.bias, (2 * model.likelihood.log_sigma).exp()


def exact(model: VAE, x: Tensor) -> Tensor:
    """log N(x; b, W Wᵀ + σ² I), (B,)."""
    W, b, variance = parts(model)
    return MultivariateNormal(b, W @ W.T + variance * torch.eye(len(b))).log_prob(x)


def set_posterior(model: Any, scale: float = 1.0, shift: float = 0.0) -> None:
    """Give the encoder the exact posterior; `scale` widens it, `shift` moves it."""
    W, b, variance = parts(model)
    M = W.T @ W + variance * torch.eye(W.shape[1])
    mean = torch.linalg.solve(M, W.T)
    covariance = variance * torch.linalg.inv(M)
    log_var = (covariance.diagonal() * scale**2).log()
    moments = model.q[0].moments
    with torch.no_grad():
        moments.weight.copy_(torch.cat([mean, torch.zeros_like(mean)]))
        moments.bias.copy_(torch.cat([shift - mean @ b, log_var]))


@pytest.fixture
def toy() -> VAE:
    """Two variables and a latent, with a posterior that is too wide and in the wrong place."""
    model = linear(2, 1)
    with torch.no_grad():
        model.decoder.output.weight.copy_(torch.tensor([[0.9], [-0.5]]))
        model.decoder.output.bias.copy_(torch.tensor([0.3, 0.1]))
    set_posterior(model, scale=1.6, shift=0.25)
    return model


@torch.no_grad()
def test_the_bound_rises_with_k_and_meets_the_exact_likelihood(toy: VAE) -> None:
    x = torch.tensor([[0.8, -0.2], [-1.0, 0.5]], dtype=torch.double)
    truth, means = exact(toy, x), []
    for k, copies in ((1, 20_000), (2, 20_000), (5, 20_000), (50, 20_000), (10_000, 50)):
        rows = x.repeat(copies, 1)
        bound = toy.log_prob_bound(rows, k, generator=seeded(k)).view(copies, 2).mean(0)
        assert (bound < truth + 2e-3).all(), k
        means.append(bound)
    assert all((lower < higher).all() for lower, higher in pairwise(means[:4]))
    assert (means[0] < truth - 0.1).all()
    assert (truth - means[-1]).abs().max() < 0.01


@torch.no_grad()
def test_the_elbo_and_its_split_are_the_closed_forms() -> None:
    model = linear(3, 1)
    set_posterior(model)
    W, b, variance = parts(model)
    x = torch.randn(4, 3, generator=seeded(), dtype=torch.double)
    q = model.posterior(x)
    kl = kl_divergence(Normal(q.mu, (0.5 * q.log_var).exp()), Normal(0.0, 1.0)).sum(-1)
    squares = ((x - q.mu @ W.T - b) ** 2).sum(1) + q.log_var.exp() @ (W**2).sum(0)
    reconstruction = -1.5 * (2 * math.pi * variance).log() - squares / (2 * variance)
    elbo = model.elbo(x, k=20_000, generator=seeded())
    assert torch.allclose(elbo.prior_fitting, kl)
    assert torch.allclose(elbo.reconstruction, reconstruction, atol=0.03)
    assert torch.allclose(reconstruction - kl, exact(model, x))  # the exact posterior has no gap
    assert torch.allclose(model.log_prob_bound(x, 1, generator=seeded()), exact(model, x))


def test_a_linear_vae_learns_probabilistic_pca() -> None:
    """Tipping & Bishop 1999: the likelihood's maximum is known from the data's eigenvalues."""
    D, Z, N = 5, 2, 400
    random = seeded(1)
    x = torch.randn(N, Z, generator=random) @ torch.randn(Z, D, generator=random) + 0.5
    x = (x + 0.4 * torch.randn(N, D, generator=random)).double()
    values = torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)
    noise = values[Z:].mean()
    best = -0.5 * (D * math.log(2 * math.pi) + values[:Z].log().sum() + (D - Z) * noise.log() + D)
    model = linear(D, Z)
    trainer = Variational(model, k=4)
    trainer.begin(x.mean(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 600)
    for _ in range(600):
        optimizer.zero_grad()
        trainer.training_step(x, {"model": lambda loss: loss.backward()}, random)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        assert float(exact(model, x).mean()) == pytest.approx(float(best), abs=0.05)
        bound = model.elbo(x, k=100, generator=random).bound.mean()
    assert float(best) - 0.05 < float(bound) < float(best) + 0.01


@pytest.mark.parametrize(
    "config", [{"z": 2, "hidden": [8]}, {"z": [2, 2], "hidden": [[8], [8]]}], ids=str
)
@torch.no_grad()
def test_the_sampler_draws_what_the_decoder_says(config: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = VAE((4,), **config)
    model.begin(torch.tensor([0.1, 0.3, 0.5, 0.9]))
    for layer in model.q:  # wide posteriors: the weights' tails are light
        layer.moments.weight *= 0.1
        layer.moments.bias.chunk(2)[1].fill_(0.3)
    x = model.sample(100_000, generator=seeded())
    place = (x @ torch.tensor([1.0, 2.0, 4.0, 8.0])).long()
    frequency = torch.bincount(place, minlength=16) / len(x)
    states = (torch.arange(16)[:, None] >> torch.arange(4) & 1).float()
    p = model.log_prob_bound(states, 20_000, generator=seeded()).exp()
    assert (frequency - p).abs().max() < 0.01
    cold = model.sample(500, generator=seeded(), temperature=1e-3).unique(dim=0)
    assert len(cold) < len(x[:500].unique(dim=0))


def test_the_decoder_starts_from_the_mean() -> None:
    mean = torch.rand(1, 8, 8, generator=seeded())
    for config in ({"hidden": [12]}, {"hidden": [4, 8], "encoder": "conv"}):
        for likelihood in ("bernoulli", "gaussian", "gaussian-each"):
            model = VAE((1, 8, 8), z=3, likelihood=likelihood, **config)  # type: ignore[arg-type]
            Variational(model).begin(mean)
            with torch.no_grad():
                for name, parameter in model.decoder.named_parameters():
                    if name not in ("bias", "output.bias"):
                        parameter.zero_()
                decoded = model.decode(model.latent(2, generator=seeded()))
            assert torch.allclose(decoded, mean.expand(2, 1, 8, 8), atol=2e-3)


def test_a_vae_says_why_it_is_no_density_model() -> None:
    model = VAE((4,), z=2, hidden=[4])
    assert isinstance(model, Bound)
    assert isinstance(model, LatentVariable)
    assert not isinstance(model, DensityModel)
    with pytest.raises(AttributeError, match=r"no DensityModel.*log_prob_bound"):
        model.log_prob(torch.zeros(1, 4))
    with pytest.raises(
        InvalidInput,
        match=r"measures a model that .*, which VAE is not.*iw_bound",
    ):
        measure("test_nll", VAE((1, 3, 3), z=2, hidden=[4]), BARS)


def test_beta_and_k_change_the_loss() -> None:
    torch.manual_seed(0)
    model, x = VAE((6,), z=2, hidden=[8]), torch.ones(5, 6)
    losses: dict[str, Tensor] = {}

    def loss_of(name: str, trainer: Variational) -> dict[str, Tensor]:
        update = {"model": lambda loss: losses.update({name: loss.detach()})}
        return trainer.training_step(x, update, seeded())

    plain, heavy = loss_of("plain", Variational(model)), loss_of("beta", Variational(model, beta=4))
    assert losses["plain"] == plain["bound"] == plain["reconstruction"] + plain["prior_fitting"]
    assert torch.isclose(losses["beta"], heavy["reconstruction"] + 4 * heavy["prior_fitting"])
    tight = loss_of("iwae", ImportanceWeighted(model, k=50))
    assert losses["iwae"] == tight["bound"]
    assert tight["bound"] < tight["reconstruction"] + tight["prior_fitting"]


def test_traversals_begin_where_the_latents_cost_most() -> None:
    torch.manual_seed(0)
    model = VAE((6,), z=3, hidden=[8])
    model.elbo(torch.rand(9, 6).round(), generator=seeded())
    order = [traversal.dims[0] for traversal in model.traversals()]
    assert order == model.kl.argsort(descending=True).tolist()
    assert model.kl.min() > 0
    noted = model.kl.clone()
    model.eval().elbo(torch.rand(9, 6).round(), generator=seeded())
    assert torch.equal(model.kl, noted)


@pytest.mark.parametrize(("z", "hidden"), [(3, [8]), ([4, 3], [[8], [8]])])
@torch.no_grad()
def test_given_inputs_traversals_begin_where_those_cost_most(z: Any, hidden: Any) -> None:
    torch.manual_seed(0)
    model, x = VAE((6,), z=z, hidden=hidden).eval(), torch.rand(9, 6).round()
    kl = model.kl_per_dimension(x)
    order = [traversal.dims[0] for traversal in model.traversals(x)]
    assert order == kl.argsort(descending=True).tolist()
    assert f"({float(kl.max()):.2f} nats)" in model.traversals(x)[0].name
    if z == 3:
        mean = model.elbo(x, generator=seeded()).prior_fitting.mean()
        torch.testing.assert_close(kl.sum(), mean)


def test_a_vae_trains_in_mixed_precision() -> None:
    torch.manual_seed(0)
    model = VAE((1, 4, 4), z=2, hidden=[8]).train()
    before = model.kl.clone()
    with torch.autocast("cpu", torch.bfloat16):
        Variational(model).training_step(
            torch.rand(8, 1, 4, 4).round(), {"model": Tensor.backward}, seeded()
        )
    assert model.kl.dtype == torch.float32
    assert not torch.equal(model.kl, before)


def test_the_metrics_of_a_bound() -> None:
    torch.manual_seed(0)
    model = VAE((1, 3, 3), z=2, hidden=[8]).eval()
    loose, tight = (measure("iw_bound", model, BARS | {"k": k}).value for k in (1, 500))
    assert tight < loose
    again = measure("iw_bound", model, BARS | {"k": 500}).value
    assert again == tight
    assert measure("elbo", model, BARS).value > measure("prior_fitting", model, BARS).value > 0
    assert measure("active_units", model, BARS).value == 2
    with torch.no_grad():
        model.q[0].moments.weight[0] = 0
        model.q[0].moments.weight[1] *= 10
    assert measure("active_units", model, BARS).value == 1
    with pytest.raises(
        InvalidInput,
        match=r"iw_bound measures a model whose likelihood is bounded",
    ):
        measure("iw_bound", torch.nn.Linear(2, 2), BARS)


def test_scores_are_labelled_as_bounds() -> None:
    torch.manual_seed(0)
    model = VAE((1, 3, 3), z=2, hidden=[8]).eval()
    result = zoo_core.run(model, "score", inputs=("bars-and-stripes:test",))
    assert all(row["likelihood"] == "bound" for row in result.rows)
    assert result.figures[0].startswith("mean ≤ ")
    assert "nats are bounds (k = 100" in result.notes[-1]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"levels": 4, "likelihood": "bernoulli"}, "levels = 4"),
        ({"likelihood": "poisson"}, "'poisson' is unknown"),
        ({"activation": "sine"}, "'sine' is unknown"),
        ({"z": [2, 2]}, "a list of hidden units for each"),
        ({"encoder": "conv", "shape": [4]}, "convolutions need images"),
        ({"encoder": "resnet-of-mine"}, "nor a timm backbone for 1 channels"),
    ],
)
def test_a_config_that_does_not_work_is_explained(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        VAE(**config)


def test_objectives_that_do_not_work_are_explained() -> None:
    model = VAE((4,), z=2, hidden=[4])
    with pytest.raises(InvalidInput, match=r"trainer\.k is 0"):
        Variational(model, k=0)
    with pytest.raises(InvalidInput, match="expected a whole number of samples of the latents"):
        model.log_prob_bound(torch.zeros(1, 4), 0)


def test_a_backbone_of_timms_encodes() -> None:
    model = VAE((3, 32, 32), levels=256, z=4, hidden=[8, 8], encoder="resnet10t",
                likelihood="gaussian", activation="relu").eval()  # fmt: skip
    x = torch.rand(2, 3, 32, 32, generator=seeded())
    with torch.no_grad():
        assert model.encode(x).shape == (2, 4)
        assert model.decode(model.latent(2, generator=seeded())).shape == x.shape


# What a picture shows


def test_a_picture_shows_means_unless_samples_are_asked_for() -> None:
    model = zoo_core.load("vae.mnist-2d")
    means = zoo_core.run(model, "sample", n=8, seed=1)
    z = model.latent(8, generator=Streams(1))
    assert means.images is not None
    assert torch.equal(means.images, model.decode(z))
    assert means.notes == ("means of each pixel; draw='sample' adds noise",)
    samples = zoo_core.run(model, "sample", n=8, seed=1, draw="sample")
    assert samples.images is not None
    assert set(samples.images.unique().tolist()) == {0.0, 1.0}
    assert samples.notes == ("each pixel is sampled with the decoder's noise",)
    cold = zoo_core.run(model, "sample", n=8, seed=1, temperature=0.5)
    assert cold.notes == samples.notes


def test_means_have_no_temperature() -> None:
    with pytest.raises(InvalidInput, match=r"temperature=0.5 is of the noise that draw='mean'"):
        zoo_core.run("vae.mnist-2d", "sample", draw="mean", temperature=0.5)


def test_colour_images_get_a_config_that_learns_within_two_gigabytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It had 634,859,828 parameters, for 15.7 GB."""
    torch.manual_seed(0)
    for i in range(60):
        shade = torch.randint(256, (1, 1, 3), dtype=torch.uint8).expand(64, 64, 3)
        Image.fromarray(shade.numpy()).save(tmp_path / f"{i}.png")
    run = zoo_core.train(
        "vae", data=tmp_path, size=64, epochs=3, batch_size=10, output=tmp_path / "run", threads=1
    )
    said = re.search(r"vae\.run: ([0-9,]+) parameters, about ([0-9.]+) GB", capsys.readouterr().err)
    assert said is not None
    assert int(said[1].replace(",", "")) < 5e6
    assert float(said[2]) < 2
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").open()]
    bounds = [row["val_bound"] for row in rows if "val_bound" in row]
    assert bounds[-1] < bounds[0]
    assert run.model.likelihood.levels is None


@pytest.mark.parametrize(
    ("shape", "given"), [((1, 28, 28), {}), ((9,), {}), ((3, 8, 8), {"hidden": [9]})]
)
def test_a_config_that_is_given_or_of_other_data_is_left(
    shape: tuple[int, ...], given: dict[str, Any]
) -> None:
    assert VAE.config_for(shape, given) == given
