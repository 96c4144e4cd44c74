"""The games and their trainer: losses in closed form, whose turn it is, and what it says."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_adversarial.dcgan import DCGAN
from zoo_adversarial.layers import Pack
from zoo_adversarial.losses import LOSSES, gradient_penalty, loss_of, slope_penalty
from zoo_adversarial.trainer import AdversarialTrainer, spread

import zoo_core
from zoo_core.errors import InvalidInput
from zoo_core.training.objective import frozen
from zoo_core.training.protocols import Preview


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Shift(nn.Module):
    """Images of one pixel: z moved by a learned amount."""

    event_shape = (1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.zeros(1))

    def latent(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        return 0.1 * torch.randn(n, 1, generator=generator)

    def forward(self, z: Tensor) -> Tensor:
        return (z + self.by).view(-1, 1, 1, 1)

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Tensor:
        x: Tensor = self(self.latent(n, generator=generator))
        return (x + 1) / 2

    def opponent(self, hidden: int = 8) -> nn.Module:
        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(1, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        return nn.Sequential(nn.Flatten(), head, nn.Flatten(0))


# Losses


def test_losses_are_those_of_their_papers() -> None:
    real, fake = torch.randn(2, 50, generator=random()).double()
    D_real, D_fake = real.sigmoid(), fake.sigmoid()
    cross_entropy = -D_real.log().mean() - (1 - D_fake).log().mean()
    expected = {
        "minimax": (cross_entropy, (1 - D_fake).log().mean()),
        "non-saturating": (cross_entropy, -D_fake.log().mean()),
        "least-squares": (
            0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean(),
            ((fake - 1) ** 2).mean(),
        ),
        "relativistic": (-(real - fake).sigmoid().log().mean(), -D_fake.log().mean()),
        "hinge": ((1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean(), -fake.mean()),
        "wgan-gp": (fake.mean() - real.mean(), -fake.mean()),
    }
    assert expected.keys() == LOSSES.keys()
    for name, (of_D, of_G) in expected.items():
        torch.testing.assert_close(LOSSES[name].discriminator(real, fake), of_D)
        torch.testing.assert_close(LOSSES[name].generator(fake), of_G)


@pytest.mark.parametrize("name", LOSSES)
def test_each_player_moves_the_scores_its_own_way(name: str) -> None:
    real, fake = torch.randn(2, 9, generator=random()).mul(0.5).requires_grad_().unbind()
    up, down = torch.autograd.grad(LOSSES[name].discriminator(real, fake), (real, fake))
    (lured,) = torch.autograd.grad(LOSSES[name].generator(fake), fake)
    inside = fake > 0 if name == "least-squares" else torch.ones(9, dtype=torch.bool)
    assert (up < 0).all() and (down[inside] > 0).all() and (lured < 0).all()


def test_the_gradient_penalty_of_a_linear_critic_is_known() -> None:
    x, y = torch.rand(2, 4, 3, 4, 4, generator=random()).unbind()
    for weight in (0.5, 1.0):
        penalty = gradient_penalty(lambda x, w=weight: w * x.flatten(1).sum(1), x, y, random())
        assert float(penalty) == pytest.approx((weight * math.sqrt(48) - 1) ** 2, rel=1e-5)


def test_r1_of_a_linear_critic_is_half_its_squared_slope() -> None:
    x = torch.rand(4, 3, 4, 4, generator=random())
    penalty = slope_penalty(lambda x: 0.5 * x.flatten(1).sum(1), x)
    assert float(penalty) == pytest.approx(48 * 0.25 / 2)


@pytest.mark.parametrize(("n", "size"), [(12, 1), (12, 3), (12, 4), (11, 4)])
def test_penalties_are_of_what_a_score_is_of(n: int, size: int) -> None:
    """A critic of packs has one slope by all images of a pack, here of length 1."""
    x, y = torch.rand(2, n, 3, 4, 4, generator=random()).unbind()

    def critic(images: Tensor) -> Tensor:
        return Pack(size)(images).flatten(1).sum(1) / math.sqrt(48 * size)

    # of the last pack that is filled up, the copied images have their slopes twice, at their place
    squares = torch.ones(-(-n // size))
    if missing := -n % size:
        squares[-1] -= missing / size
        squares[0] += missing * 3 / size
    assert float(slope_penalty(critic, x)) == pytest.approx(float(squares.mean() / 2), rel=1e-5)
    penalty = float(gradient_penalty(critic, x, y, random()))
    expected = float((squares.sqrt() - 1).square().mean())
    assert penalty == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pack": 0}, r"trainer\.discriminator\.pack is 0; expected a whole number of at least 1"),
        ({"channels": "x"}, r"trainer\.discriminator\.channels is 'x'; expected"),
    ],
)
def test_settings_of_a_discriminator_are_checked_before_training(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        AdversarialTrainer(DCGAN((1, 16, 16), z=4, channels=4), discriminator=settings)


@pytest.mark.parametrize("name", ["r1", "r2"])
def test_r1_and_r2_are_terms_of_every_so_many_steps(name: str) -> None:
    plain = AdversarialTrainer(Shift(), penalty_every=2)
    penalised = AdversarialTrainer(Shift(), penalty_every=2, **{name: 3.0})
    x = torch.rand(4, 1, 1, 1, generator=random())
    D = plain.networks["discriminator"]
    at = plain.real(x) if name == "r1" else plain.draw(4, random()).images
    expected = 2 * 3.0 * float(slope_penalty(D, at).detach())
    assert expected > 0
    for step in (1, 2):
        without, with_it = (discriminator_loss(trainer, x, step) for trainer in (plain, penalised))
        assert with_it - without == pytest.approx(expected if step == 2 else 0.0, rel=1e-4)


def discriminator_loss(trainer: AdversarialTrainer, x: Tensor, step: int) -> float:
    """The loss that a step updates the discriminator by."""
    found: list[float] = []
    updates = {"model": lambda loss: None, "discriminator": lambda loss: found.append(loss.item())}
    trainer.training_step(x, updates, random(), None, step)
    return found[0]


class Judged(nn.Module):
    """A discriminator that notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.weight * x.flatten(1).mean(1)


class Square(Shift):
    """Images of 8x8 pixels with one bright square."""

    event_shape = (1, 8, 8)

    def forward(self, z: Tensor) -> Tensor:
        x = self.by - torch.ones(len(z), 1, 8, 8)
        x[:, :, 3:5, 3:5] += 2
        return x

    def opponent(self) -> nn.Module:
        return Judged()


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_all_that_is_judged_is_moved(shift: float) -> None:
    """Real and generated images, in the turns of both: else one kind betrays itself."""
    trainer = AdversarialTrainer(Square(), shift=shift)
    updates, _ = quiet(trainer)
    square = Square().sample(5).detach()
    trainer.training_step(square, updates, random(), None, 1)
    seen = trainer.networks["discriminator"].seen
    assert len(seen) == 3
    for images in seen:
        assert torch.equal(images, 2 * square - 1) == (not shift)
        assert float(images.max()) <= 1 and float(images.min()) >= -1
    assert not shift or not torch.equal(seen[0], seen[1])


def test_an_unknown_game_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"trainer\.loss is 'hing'; .*Did you mean hinge"):
        loss_of("hing")


# The trainer


def quiet(trainer: AdversarialTrainer) -> tuple[dict[str, Any], list[str]]:
    """Updates that only note whose turn it was."""
    turns: list[str] = []

    def note(name: str) -> Callable[[Tensor], None]:
        return lambda loss: turns.append(name)

    return {name: note(name) for name in trainer.networks}, turns


def test_the_discriminator_has_its_turns_first_and_more_often() -> None:
    trainer = AdversarialTrainer(Shift(), n_critic=3)
    updates, turns = quiet(trainer)
    for step in range(1, 7):
        trainer.training_step(torch.rand(4, 1, 1, 1), updates, random(), None, step)
    assert turns == ["discriminator"] * 3 + ["model"] + ["discriminator"] * 3 + ["model"]


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_moves_its_own_network(name: str) -> None:
    trainer = AdversarialTrainer(Shift(), loss=name)
    moved: dict[str, set[str]] = {}

    def update(player: str) -> Callable[[Tensor], None]:
        def note(loss: Tensor) -> None:
            for network in trainer.networks.values():
                network.zero_grad()
            loss.backward()
            moved[player] = {
                key
                for key, network in trainer.networks.items()
                for p in network.parameters()
                if p.grad is not None and p.grad.any()
            }

        return note

    updates = {key: update(key) for key in trainer.networks}
    values = trainer.training_step(torch.rand(8, 1, 1, 1), updates, random(), None, 1)
    assert moved == {"discriminator": {"discriminator"}, "model": {"model"}}
    assert all(value.isfinite() and not value.requires_grad for value in values.values())


@pytest.mark.parametrize("name", LOSSES)
def test_the_generator_comes_to_the_data(name: str) -> None:
    trainer = AdversarialTrainer(Shift(), loss=name, n_critic=3 if name == "wgan-gp" else 1)
    optimizers = {
        key: torch.optim.Adam(trainer.networks[key].parameters(), lr=0.02, betas=(0.0, 0.9))
        for key in ("model", "discriminator")
    }

    def updater(key: str) -> Callable[[Tensor], None]:
        def update(loss: Tensor) -> None:
            optimizers[key].zero_grad()
            loss.backward()
            optimizers[key].step()

        return update

    updates, stream = {key: updater(key) for key in optimizers}, random(1)
    x = (0.8 + 0.05 * torch.randn(64, 1, 1, 1, generator=stream)).clamp(0, 1)
    distances = []
    for turn in range(10):
        with torch.no_grad():
            values = trainer.validation_step(x, random())
        distances.append(float(values["sliced_wasserstein"][0]))
        for step in range(1, 16):
            values = trainer.training_step(x, updates, stream, None, 15 * turn + step)
    # it circles about the data; what counts is how near it comes
    assert min(distances) < 0.2 * distances[0]
    if LOSSES[name].probabilities:
        assert 0 < float(values["D_fake"]) < 1


def test_a_relativistic_generator_is_compared_with_the_batch() -> None:
    """Its loss is of D(G(z)) − D(x), so a discriminator's last bias does not count."""
    x, losses = torch.rand(6, 1, 1, 1, generator=random()), list[Tensor]()
    for shift in (0.0, 7.0):
        trainer = AdversarialTrainer(Shift(), "relativistic")
        D = trainer.networks["discriminator"]
        with torch.no_grad():
            list(D.parameters())[-1].add_(shift)
            against = D(trainer.draw(6, random()).images) - D(trainer.real(x))
        updates = {"discriminator": lambda loss: None, "model": losses.append}
        trainer.training_step(x, updates, random(), None, 1)
        torch.testing.assert_close(losses[-1].detach(), -against.sigmoid().log().mean())
    torch.testing.assert_close(losses[0], losses[1])


def test_a_star_has_no_pairs_to_compare() -> None:
    with pytest.raises(InvalidInput, match=r"'relativistic'; expected minimax, non-saturating"):
        loss_of("relativistic", paired=False)


def test_a_penalty_that_is_paid_seldom_weighs_more() -> None:
    x, paid = torch.rand(8, 1, 1, 1, generator=random()), {}
    for every in (1, 2):
        trainer = AdversarialTrainer(Shift(), "wgan-gp", penalty_every=every)
        losses: list[Tensor] = []
        updates = {"discriminator": losses.append, "model": lambda loss: None}
        values = [
            trainer.training_step(x, updates, random(step), None, step + 1) for step in range(2)
        ]
        paid[every] = [float(a.detach() - v["loss_D"]) for a, v in zip(losses, values, strict=True)]
    assert paid[2] == pytest.approx([0, 2 * paid[1][1]], abs=1e-5)
    assert paid[1][0] > 0


def test_a_frozen_network_passes_gradients_on() -> None:
    layer, x = nn.Linear(2, 1), torch.ones(1, 2, requires_grad=True)
    with frozen(layer):
        layer(x).sum().backward()
    assert x.grad is not None and layer.weight.grad is None
    assert layer.weight.requires_grad


def test_spread_is_the_mean_distance_of_pairs() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]]).view(3, 1, 1, 2)
    assert float(spread(x)) == pytest.approx(10 / 3)
    assert float(spread(x[:1])) == 0


def test_samples_that_look_alike_are_remarked_on() -> None:
    trainer = AdversarialTrainer(Shift())
    x = torch.rand(64, 1, 1, 1, generator=random())
    with torch.no_grad():
        values = trainer.validation_step(x, random())
    diversity = float(values["diversity"].mean())
    expected = 0.05 / 0.289  # deviations of the samples and of uniform data
    assert diversity == pytest.approx(expected, rel=0.2)
    said = trainer.remark({"diversity": diversity})
    assert said.startswith(f"samples are {diversity:.0%} as far from each other as the data are")
    assert trainer.remark({"diversity": 0.9}) == ""


def test_a_preview_is_the_same_each_time() -> None:
    trainer = AdversarialTrainer(Shift())
    assert isinstance(trainer, Preview)
    shown = trainer.preview(torch.empty(0), random())
    assert shown.shape == (64, 1, 1, 1)
    assert torch.equal(shown, trainer.preview(torch.empty(0), random()))


def test_an_unknown_setting_of_the_discriminator_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"trainer\.discriminator\.hiden'\. Did you mean hidden"):
        AdversarialTrainer(Shift(), discriminator={"hiden": 3})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("gan", {"config": {"z": 2, "hidden": [8]}, "trainer": {"loss": "wgan-gp"}}),
        (
            "progan",  # grows, fades and stands, all within the run
            {"config": {"channels": [4, 4], "z": 4}, "trainer": {"stable": 100, "fade": 200}},
        ),
    ],
)
def test_a_gradient_penalty_trains_in_mixed_precision(
    name: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    run = zoo_core.train(
        name,
        data="bars-and-stripes-8",
        epochs=1,
        batch_size=50,
        precision="bf16-mixed",
        device="cpu",
        output=tmp_path / "run",
        quiet=True,
        **fields,
    )
    assert all(map(math.isfinite, run.metrics.values()))
    assert all(x.isfinite().all() for x in run.model.parameters())
