"""CycleGAN and StarGAN: what they share, what each loss moves, and that a run can be stopped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from toy_training import moved
from zoo_adversarial.cyclegan import Cycle, CycleGAN, PatchGAN
from zoo_adversarial.stargan import Judge, StarGAN
from zoo_adversarial.stargan_trainer import Star
from zoo_adversarial.translation import ImagePool, Residual, round_trip, sliced_wasserstein

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.protocols import Translator

SHAPE = (3, 8, 8)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cyclegan(**config: Any) -> CycleGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CycleGAN(
            SHAPE, **{"domains": ("dark", "light"), "channels": 4, "blocks": 1, **config}
        )


def stargan(**config: Any) -> StarGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return StarGAN(SHAPE, **{"domains": tuple("abc"), "channels": 4, "blocks": 1, **config})


def images(n: int, domains: int = 2) -> tuple[Tensor, Tensor]:
    """Images and their domains: the greater the domain, the lighter they are."""
    domain = torch.arange(n) % domains
    noise = torch.rand(n, *SHAPE, generator=random())
    return (noise + domain.view(-1, 1, 1, 1)) / domains, domain


# What they share


def test_a_residual_block_without_weights_changes_nothing() -> None:
    block, x = Residual(4, "zeros", affine=True), torch.rand(2, 4, 6, 6, generator=random())
    norms = [layer for layer in block.modules() if isinstance(layer, nn.GroupNorm)]
    nn.init.zeros_(norms[-1].weight)
    assert torch.equal(block(x), x)
    assert len(list(Residual(4, "reflect", affine=False).parameters())) == 2


def test_a_pool_gives_what_it_gets_until_it_is_full() -> None:
    pool, x = ImagePool(2, 3, (1, 1, 1)), torch.arange(3.0).view(3, 1, 1, 1)
    assert torch.equal(pool.exchange(0, x, random()), x)
    assert pool.held.tolist() == [3, 0]
    assert torch.equal(pool.images[0], x)


def test_a_full_pool_gives_half_of_the_time_one_of_the_past_and_keeps_the_new_one() -> None:
    pool, draws = ImagePool(1, 10, (1, 1, 1)), random()
    for i in range(10):
        pool.exchange(0, torch.full((1, 1, 1, 1), float(i)), draws)
    past = 0
    for i in range(10, 1010):
        x = torch.full((1, 1, 1, 1), float(i))
        before = pool.images[0].flatten().tolist()
        shown = float(pool.exchange(0, x, draws))
        after = pool.images[0].flatten().tolist()
        if shown == i:
            assert after == before
        else:
            past += 1
            assert shown in before and shown not in after and float(i) in after
    assert past == pytest.approx(500, abs=60)


def test_a_pool_of_no_size_gives_what_it_gets() -> None:
    x = torch.rand(4, *SHAPE, generator=random())
    assert torch.equal(ImagePool(1, 0, SHAPE).exchange(0, x, random()), x)


def test_sliced_wasserstein_of_a_shift_is_known() -> None:
    x = torch.rand(64, 1, 16, 16, generator=random()) / 2
    assert float(sliced_wasserstein(x, x.flip(0), random())) == 0
    # one pixel a direction: all of it is moved by a half, E|cos of a random direction| apart
    one = torch.rand(64, 1, 1, 1, generator=random()) / 2
    assert float(sliced_wasserstein(one, one + 0.5, random())) == pytest.approx(0.5, abs=1e-6)


def test_a_round_trip_of_the_identity_costs_nothing_but_the_domains_distance() -> None:
    x, domain = images(40)
    values = round_trip(lambda z, to: z, x, domain, 2, random())
    assert values["cycle"].shape == values["sliced_wasserstein"].shape == (40,)
    assert not values["cycle"].any()
    apart = sliced_wasserstein(x[domain == 0], x[domain == 1], random())
    assert float(values["sliced_wasserstein"][0]) == pytest.approx(float(apart), rel=0.2)


def test_a_true_translation_has_a_small_distance() -> None:
    x, domain = images(400)
    # in [−1, 1], the lighter domain is the darker one plus 1
    true = round_trip(lambda z, to: z + (1 if to else -1), x, domain, 2, random())
    idle = round_trip(lambda z, to: z, x, domain, 2, random())
    assert float(true["sliced_wasserstein"][0]) < 0.3 * float(idle["sliced_wasserstein"][0])
    assert float(true["cycle"].max()) < 1e-6


def test_a_batch_of_one_domain_is_measured_too() -> None:
    x, domain = images(8)
    values = round_trip(cyclegan(), x[domain == 0], domain[domain == 0], 2, random())
    assert not values["sliced_wasserstein"].any()
    assert (values["cycle"] > 0).all()


# The models


@pytest.mark.parametrize("model", [cyclegan(), stargan()])
def test_translations_have_shape_and_range_and_are_of_each_image_alone(
    model: CycleGAN | StarGAN,
) -> None:
    x, _ = images(5)
    assert isinstance(model, Translator)
    with torch.no_grad():
        by_domain = [model.translate(x, to) for to in model.domains]
        alone = torch.cat([model.translate(one, model.domains[1]) for one in x.split(1)])
    for y in by_domain:
        assert y.shape == x.shape
        assert 0 <= float(y.min()) < float(y.max()) <= 1
    assert torch.allclose(alone, by_domain[1], atol=1e-5)
    assert not torch.allclose(by_domain[0], by_domain[1])


@pytest.mark.parametrize(
    "model", [cyclegan(domains=("noto", "fluent")), stargan(domains=("noto", "fluent"))]
)
def test_a_domain_that_there_is_not_is_refused_with_those_there_are(
    model: CycleGAN | StarGAN,
) -> None:
    with pytest.raises(
        UnknownName, match=r"'notto' is no domain .* Did you mean noto\? .* noto, flu"
    ):
        model.translate(images(1)[0], "notto")


@pytest.mark.parametrize("cls", [CycleGAN, StarGAN])
@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 64, 30), (3, 64)])
def test_a_shape_that_cannot_be_halved_twice_is_refused(cls: type, shape: Sequence[int]) -> None:
    with pytest.raises(InvalidInput, match="sides that are multiples of 4, from 8"):
        cls(shape)


def test_domains_are_two_or_more_and_differ() -> None:
    with pytest.raises(InvalidInput, match=r"domains is \['a', 'b', 'c'\]; expected 2 different"):
        CycleGAN(SHAPE, domains=("a", "b", "c"))
    with pytest.raises(InvalidInput, match=r"domains is \['a', 'a'\]; expected 2 or more"):
        StarGAN(SHAPE, domains=("a", "a"))


def test_star_translates_each_image_into_a_domain_of_its_own() -> None:
    model, (x, _) = stargan(), images(3)
    with torch.no_grad():
        together = model(x, torch.tensor([0, 1, 2]))
        single = torch.cat([model(x[i : i + 1], i) for i in range(3)])
    assert torch.allclose(together, single, atol=1e-6)


@pytest.mark.parametrize(("layers", "field"), [(1, 16), (2, 34), (3, 70)])
def test_a_patch_has_the_papers_size(layers: int, field: int) -> None:
    D = PatchGAN(1, 2, layers)
    for layers_of in D.of:  # a norm looks beyond its patch
        sequence = cast("nn.Sequential", layers_of)
        for i, layer in enumerate(sequence):
            if isinstance(layer, nn.GroupNorm):
                sequence[i] = nn.Identity()
    x = torch.rand(1, 1, 96, 96, generator=random()).requires_grad_()
    scores = D(x, 0)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [field, field]


def test_the_judge_halves_images_to_two_pixels() -> None:
    scores, logits = Judge((3, 64, 64), 4, 2)(torch.rand(2, 3, 64, 64))
    assert scores.shape == (2, 4)
    assert logits.shape == (2, 4)


# Training


def test_each_loss_of_a_cyclegan_moves_its_own_networks() -> None:
    trainer, (x, domain) = Cycle(cyclegan(), channels=4), images(6)
    reached, values = moved(trainer, x, domain)
    assert reached == {"model": {"model.into"}, "discriminator": {"discriminator.of"}}
    assert set(values) == {"cycle", "identity", "deceit", "loss_D", *reached}
    assert all(math.isfinite(value) for value in values.values())
    assert cast("ImagePool", trainer.networks["pool"]).held.tolist() == [3, 3]


def test_the_losses_of_a_cyclegan_are_the_papers() -> None:
    trainer, (x, domain) = Cycle(cyclegan(), channels=4, flip=False), images(4)
    G, D, z = trainer.networks["model"], trainer.networks["discriminator"], x * 2 - 1
    _, values = moved(trainer, x, domain)
    a, b = z[domain == 0], z[domain == 1]
    with torch.no_grad():
        there = (G(a, 1), G(b, 0))
        cycle = ((G(there[0], 0) - a).abs().mean() + (G(there[1], 1) - b).abs().mean()) / 2
        deceit = ((D(there[0], 1) - 1).square().mean() + (D(there[1], 0) - 1).square().mean()) / 2
        identity = ((G(a, 0) - a).abs().mean() + (G(b, 1) - b).abs().mean()) / 2
    for name, expected in (("cycle", cycle), ("deceit", deceit), ("identity", identity)):
        assert float(values[name]) == pytest.approx(float(expected), rel=1e-4), name


def test_r1_of_a_cyclegan_is_of_both_discriminators() -> None:
    x, domain = images(6)
    losses = []
    for r1, step in ((1e-9, 2), (3.0, 1), (3.0, 2)):
        torch.manual_seed(0)
        trainer = Cycle(cyclegan(), channels=4, flip=False, r1=r1, r1_every=2)
        seen: dict[str, float] = {}
        updates = {
            "model": lambda loss: None,
            "discriminator": lambda loss, seen=seen: seen.update(D=loss.item()),
        }
        trainer.training_step(x, updates, random(), domain, step)
        losses.append(seen["D"])
    D, total = trainer.networks["discriminator"], 0.0
    assert not any(isinstance(layer, nn.GroupNorm) for layer in D.modules())
    for a in (0, 1):
        real = (x[domain == a] * 2 - 1).requires_grad_()
        (slope,) = torch.autograd.grad(D(real, a).flatten(1).mean(1).sum(), real)
        total += float(slope.square().sum()) / 2 / len(x)
    assert losses[1] == pytest.approx(losses[0])
    assert losses[2] - losses[0] == pytest.approx(3.0 * 2 * total, rel=1e-3)


def test_a_batch_of_one_domain_trains_too() -> None:
    trainer, (x, domain) = Cycle(cyclegan(), channels=4), images(4)
    _, values = moved(trainer, x[domain == 1], domain[domain == 1])
    assert all(math.isfinite(value) for value in values.values())


def test_a_star_takes_a_step_of_the_generator_after_several_of_the_discriminator() -> None:
    trainer, (x, domain) = Star(stargan(), channels=4, n_critic=3), images(6, 3)
    steps = [set(moved(trainer, x, domain, step)[0]) for step in range(1, 7)]
    assert steps == [{"discriminator"}, {"discriminator"}, {"discriminator", "model"}] * 2


def test_r1_of_a_star_is_of_its_score_and_of_the_domains_of_real_images() -> None:
    x, domain = images(6, 3)
    source = domain[:, None]
    losses = []
    for r1, step in ((0.0, 2), (3.0, 1), (3.0, 2)):
        torch.manual_seed(0)
        trainer = Star(stargan(), 4, "least-squares", n_critic=1, flip=False, r1=r1, r1_every=2)
        seen: dict[str, float] = {}
        updates = {
            "model": lambda loss: None,
            "discriminator": lambda loss, seen=seen: seen.update(D=loss.item()),
        }
        trainer.training_step(x, updates, random(), domain, step)
        losses.append(seen["D"])
    D, real = trainer.networks["discriminator"], (x * 2 - 1).requires_grad_()
    scores, logits = D(real)
    value = scores.mean(1) + logits.gather(1, source).squeeze(1)
    (slope,) = torch.autograd.grad(value.sum(), real)
    expected = 3.0 * 2 * float(slope.flatten(1).square().sum(1).mean()) / 2
    assert losses[0] == losses[1]
    assert losses[2] - losses[0] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("loss", ["wgan-gp", "least-squares"])
def test_each_loss_of_a_star_moves_its_own_networks(loss: str) -> None:
    trainer, (x, domain) = Star(stargan(), channels=4, loss=loss, n_critic=1), images(6, 3)
    reached, values = moved(trainer, x, domain)
    assert reached["model"] == {"model.network"}
    assert reached["discriminator"] == {
        f"discriminator.{part}" for part in ("trunk", "source", "domain")
    }
    assert all(math.isfinite(value) for value in values.values())


@pytest.mark.parametrize(
    "make",
    [
        partial(Cycle, cyclegan(), 4),
        partial(Star, stargan(), 4, "wgan-gp", n_critic=1),
        partial(Star, stargan(), 4, "least-squares", n_critic=1),
    ],
)
def test_a_discriminator_sees_images_moved_where_that_is_asked_for(
    make: Callable[..., Cycle | Star],
) -> None:
    seen: list[Tensor] = []
    for flip, shift in ((False, 0.0), (True, 0.0), (False, 0.2)):
        trainer = make(shift=shift, turn=50 * shift, flip=flip)
        x, domain = images(40, len(trainer.domains))
        D = trainer.networks["discriminator"]
        D.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        moved(trainer, x, domain)
        shown = torch.cat(seen)
        plain, mirrored = (
            torch.stack([(shown == y).flatten(1).all(1).any() for y in whole])
            for whole in (x * 2 - 1, (x * 2 - 1).flip(3))
        )
        assert (plain ^ mirrored).all() if not shift else not (plain | mirrored).any()
        assert bool(mirrored.any()) == flip
        seen.clear()


@pytest.mark.parametrize("trainer", [Cycle(cyclegan(), channels=4), Star(stargan(), channels=4)])
def test_data_without_domains_are_refused(trainer: Cycle | Star) -> None:
    x, _ = images(4)
    with pytest.raises(InvalidInput, match=r"the data have no labels; expected images of [23] dom"):
        trainer.training_step(x, {}, random(), None, 1)
    with pytest.raises(InvalidInput, match=r"the data have the label 7, .* knows the domains"):
        trainer.validation_step(x, random(), torch.full((4,), 7))


def loop(
    start: Callable[..., Any],
    kind: str,
    folder: Path,
    stop: int | None = None,
    *,
    loss: str = "wgan-gp",
    epochs: int = 1,
) -> Any:
    """Two or three domains that differ in how light they are; eight steps of 8 images an epoch."""
    torch.manual_seed(3)
    trainer: Cycle | Star
    if kind == "cyclegan":
        trainer = Cycle(cyclegan(), channels=4, pool=5)
    else:
        trainer = Star(stargan(), channels=4, loss=loss, n_critic=2)
    x, domain = images(64, len(trainer.domains))
    data = Dataset("grey", "train", (255 * x).to(torch.uint8), 256, domain)
    adam = {"lr": 0.002}
    return start(trainer, data, folder, stop, architecture=kind, epochs=epochs, optimizer=adam)


@pytest.mark.parametrize("kind", ["cyclegan", "stargan"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    kind: str, start: Callable[..., Any], ends_alike: Callable[..., dict[str, Tensor]]
) -> None:
    ends_alike(partial(loop, start, kind), 5)


@pytest.mark.parametrize(("kind", "epochs"), [("cyclegan", 4), ("stargan", 14)])
def test_translations_come_nearer_to_their_domain(
    kind: str, epochs: int, start: Callable[..., Any], tmp_path: Path
) -> None:
    run = loop(start, kind, tmp_path / "run", loss="least-squares", epochs=epochs)
    before = run.measure()["sliced_wasserstein"]
    run.run()
    assert run.measure()["sliced_wasserstein"] < 0.8 * before
