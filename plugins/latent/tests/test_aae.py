"""Adversarial autoencoders: priors, encoders, where labels come in, and what training makes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from torch import Tensor
from zoo_latent.aae import AAE
from zoo_latent.adversarial import Adversarial, energy_distance
from zoo_latent.priors import Mixture, Normal, SwissRoll

from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Classifier, Conditional, LatentVariable
from zoo_core.training import loop
from zoo_core.training.augmentation import jitter

SHAPE = (1, 3, 3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(**config: Any) -> AAE:
    torch.manual_seed(0)
    return AAE(SHAPE, **{"z": 2, "hidden": [16], **config}).eval()


def anything(n: int) -> Tensor:
    return torch.full((n,), -1)


# Priors


def test_a_normal_prior_has_its_moments() -> None:
    z = Normal(3, 5.0).draw(anything(20_000), seeded())
    assert float(z.mean(0).abs().max()) < 0.15
    torch.testing.assert_close(z.T.cov(), 25.0 * torch.eye(3), atol=0.8, rtol=0)


def test_each_part_of_a_mixture_is_a_petal() -> None:
    prior = Mixture(2, 10, 2.0)
    for k in (0, 3, 9):
        z = prior.draw(torch.full((20_000,), k), seeded())
        angle = 2 * math.pi * k / 10
        R = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        along, across = (z @ R.T).unbind(1)
        assert float(along.mean()) == pytest.approx(6.0, abs=0.05)
        assert float(across.mean()) == pytest.approx(0.0, abs=0.05)
        assert float(along.std()) == pytest.approx(1.5, abs=0.05)
        assert float(across.std()) == pytest.approx(0.5, abs=0.05)


def test_a_mixture_knows_its_parts_and_fills_them_alike() -> None:
    prior = Mixture(2, 10, 1.0)
    label = torch.arange(10).repeat(500)
    told = prior.part(prior.draw(label, seeded()))
    assert float((told == label).float().mean()) > 0.98
    open_ = prior.part(prior.draw(anything(10_000), seeded()))
    assert torch.bincount(open_).tolist() == pytest.approx([1000] * 10, abs=120)


def test_a_swiss_roll_is_a_spiral_that_is_evenly_filled() -> None:
    z = SwissRoll(2, 4, 1.0).draw(anything(20_000), seeded(), temperature=0.0)
    radius = z.norm(dim=1)
    t = radius / 3
    wound = torch.stack([(4 * math.pi * t).cos(), (4 * math.pi * t).sin()], 1) * radius.unsqueeze(1)
    torch.testing.assert_close(z, wound, atol=1e-4, rtol=0)
    quantiles = torch.quantile(t**2, torch.tensor([0.25, 0.5, 0.75]))
    torch.testing.assert_close(quantiles, torch.tensor([0.25, 0.5, 0.75]), atol=0.02, rtol=0)


def test_a_part_of_a_swiss_roll_is_a_piece_of_it() -> None:
    for k in range(4):
        z = SwissRoll(2, 4, 1.0).draw(torch.full((500,), k), seeded(), temperature=0.0)
        t = (z.norm(dim=1) / 3) ** 2
        assert k / 4 - 1e-4 <= float(t.min()) < float(t.max()) <= (k + 1) / 4 + 1e-4


def test_energy_distance_is_zero_between_equals_and_known_between_others() -> None:
    a, b = torch.randn(2, 3000, 1, generator=seeded())
    assert abs(float(energy_distance(a, b).mean())) < 0.01
    # E|N(0, 4)| + ... for N(0, 1) and N(0, 4): 2 E|c − p| − E|p − p'| − E|c − c'|
    expected = math.sqrt(2 / math.pi) * (2 * math.sqrt(5) - math.sqrt(2) - math.sqrt(8))
    assert float(energy_distance(a, 2 * b).mean()) == pytest.approx(expected, abs=0.03)


# The model


@pytest.mark.parametrize(
    ("kind", "varies"), [("deterministic", False), ("gaussian", True), ("universal", True)]
)
def test_encoders_draw_or_do_not(kind: str, varies: bool) -> None:
    x = torch.rand(5, *SHAPE, generator=seeded())
    encoder = model(encoder=kind)
    mean, a, again, b = (
        encoder.encode(x, generator=g) for g in (None, seeded(1), seeded(1), seeded(2))
    )
    assert torch.equal(a, again)
    assert torch.equal(a, b) is not varies
    assert torch.equal(a, mean) is not varies
    assert torch.equal(mean, encoder.encode(x))


def test_a_gaussian_encoder_has_mean_and_deviation() -> None:
    encoder = model(encoder="gaussian")
    x = torch.rand(1, *SHAPE, generator=seeded()).expand(20_000, *SHAPE)
    z = encoder.encode(x, generator=seeded())
    mu, log_var = encoder.head_z(encoder.features(x[:1].flatten(1)))[0].chunk(2)
    torch.testing.assert_close(z.mean(0), mu, atol=0.05, rtol=0)
    torch.testing.assert_close(z.std(0), (0.5 * log_var).exp(), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"classes": 4, "labels": "prior", "prior": "mixture"},
        {"classes": 4, "labels": "decoder"},
        {"classes": 4},
        {"clusters": 4},
    ],
)
def test_it_goes_both_ways(config: dict[str, Any]) -> None:
    aae = model(**config)
    assert isinstance(aae, LatentVariable)
    assert isinstance(aae, Conditional)
    assert isinstance(aae, Classifier)
    wide = config.get("labels") != "prior" and bool(config)
    assert aae.latent_dim == (6 if wide else 2)
    z = aae.encode(torch.rand(3, *SHAPE))
    assert aae.decode(z).shape == (3, *SHAPE)
    for way in aae.traversals():
        assert all(len(values) == len(way.dims) for values in way.values)
        assert max(way.dims) < aae.latent_dim
    if wide:
        torch.testing.assert_close(z[:, 2:].sum(1), torch.ones(3))
        assert aae.traversals()[0].dims == (2, 3, 4, 5)
    assert torch.equal(aae.path(z[0], z[1], 5)[[0, 4]], z[:2])


@pytest.mark.parametrize("labels", ["prior", "decoder", "encoder"])
def test_a_label_is_where_the_config_says(labels: str) -> None:
    aae = model(classes=4, labels=labels, prior="mixture", components=7)
    asked = torch.tensor([2, 0, 3, 4, 2])
    z = aae.latent(5, generator=seeded(), label=asked)
    if labels == "prior":
        assert aae.p.part(z)[[0, 1, 2, 4]].tolist() == [2, 0, 3, 2]
    else:
        assert z[[0, 1, 2, 4], 2:].argmax(1).tolist() == [2, 0, 3, 2]
        assert torch.equal(z[:, 2:].sum(1), torch.ones(5))
    alike = aae.sample(6, generator=seeded(), label=1)
    assert torch.equal(alike, aae.sample(6, generator=seeded(), label=torch.full((6,), 1)))
    assert not torch.equal(alike, aae.sample(6, generator=seeded(), label=2))
    assert torch.equal(
        aae.sample(6, generator=seeded()), aae.sample(6, generator=seeded(), label=4)
    )


def test_temperature_zero_is_the_middle_of_the_prior() -> None:
    assert torch.equal(model().latent(3, generator=seeded(), temperature=0.0), torch.zeros(3, 2))


def test_a_decoder_with_labels_classifies_by_what_it_reproduces() -> None:
    aae = model(classes=3, labels="decoder")
    with torch.no_grad():
        z = torch.randn(40, 2, generator=seeded())
        label = torch.randint(3, (40,), generator=seeded())
        x = aae.decode(aae.join_code(z, label))
        aae.code = lambda x, *_, **__: type(aae).code(aae, x, None)._replace(z=z)  # type: ignore[method-assign]
        assert torch.equal(aae.classify(x), label)


@pytest.mark.parametrize(
    ("config", "label", "text"),
    [
        ({"classes": 4}, 5, "unknown label 5: expected 0 to 3."),
        ({"classes": 4}, -1, "unknown label -1: expected 0 to 3."),
        ({}, 0, "unknown label 0: this model was trained without labels."),
    ],
)
def test_a_label_that_there_is_not(config: dict[str, Any], label: int, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        model(**config).sample(2, label=label)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"encoder": "none"}, "encoder 'none' is unknown: expected deterministic, gaussian, univ"),
        ({"labels": "both"}, "labels 'both' is unknown: expected prior, decoder, encoder"),
        ({"classes": 3, "clusters": 3}, "classes is 3 and clusters 3"),
        ({"classes": 3, "labels": "prior"}, "a normal prior has one part"),
        ({"prior": "cube"}, "prior 'cube' is unknown: expected normal, mixture, swiss-roll"),
        ({"prior": "mixture", "z": 3}, "prior 'mixture' is two-dimensional: expected z = 2"),
    ],
)
def test_a_config_that_does_not_work(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        model(**config)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, "this AAE has no classes: it was trained without labels"),
        (
            {"classes": 4, "labels": "prior", "prior": "swiss-roll"},
            "SwissRoll does not say which part a latent comes from",
        ),
    ],
)
def test_a_model_that_does_not_classify(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        model(**config).classify(torch.rand(2, *SHAPE))


# Training


def heaps(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images of three kinds, one bright row each, and which it is."""
    random = seeded(seed)
    y = torch.randint(3, (n,), generator=random)
    x = 0.3 * torch.rand(n, *SHAPE, generator=random)
    x[torch.arange(n), 0, y] += 0.7
    return x, y


def told(known: int) -> tuple[Tensor, Tensor]:
    """Inputs of which only the first ones have labels."""
    x, y = heaps(120)
    return x, y.where(torch.arange(120) < known, -1)


def trained(aae: AAE, steps: int, x: Tensor, y: Tensor, **settings: Any) -> Adversarial:
    """Train with a loop of its own, each step on all inputs."""
    trainer = Adversarial(aae.train(), **{"hidden": [32], **settings})
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=3e-3)
        for name, network in trainer.networks.items()
    }

    def updater(name: str) -> Any:
        def update(loss: Tensor) -> None:
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()

        return update

    updates = {name: updater(name) for name in optimizers}
    random = seeded(7)
    trainer.begin(x.mean(0))
    for _ in range(steps):
        trainer.training_step(x, updates, random, y)
    aae.eval()
    return trainer


def waves(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images on a surface of two dimensions, and no classes."""
    A = torch.randn(2, 9, generator=seeded(9))
    x = (1.5 * torch.randn(n, 2, generator=seeded(seed)) @ A).sigmoid()
    return x.view(n, *SHAPE), anything(n)


def test_codes_come_to_the_prior_and_inputs_are_reproduced() -> None:
    x, y = waves(1000, seed=1)

    def values(w_a: float) -> dict[str, float]:
        trainer = trained(model(), 300, *waves(120), w_a=w_a)
        with torch.no_grad():
            made = trainer.validation_step(x, seeded(), y)
        assert all(value.shape == (1000,) for value in made.values())
        return {key: float(value.mean()) for key, value in made.items()}

    free, drawn = values(0.0), values(1.0)
    assert drawn["mismatch"] < 0.6 * free["mismatch"]
    mean = float((x - x.mean(0)).square().flatten(1).sum(1).mean())
    assert free["squares"] < drawn["squares"] < 0.6 * mean
    expected = drawn["squares"] + 10 * drawn["mismatch"]
    assert drawn["criterion"] == pytest.approx(expected, rel=1e-4)


def test_few_labels_teach_the_classes() -> None:
    trainer = trained(model(classes=3), 150, *told(12))
    x, y = heaps(300, seed=1)
    aae = trainer.networks["model"]
    assert isinstance(aae, AAE)
    with torch.no_grad():
        values = trainer.validation_step(x, seeded(), y)
        wrong = 100.0 * (aae.classify(x) != y)
    assert float(wrong.mean()) < 5
    assert torch.equal(values["criterion"], values["error"])
    assert torch.equal(values["error"], wrong)


def test_labels_fill_the_parts_of_the_prior() -> None:
    aae = model(classes=3, labels="prior", prior="mixture")
    trained(aae, 300, *told(120))
    x, y = heaps(300, seed=1)
    with torch.no_grad():
        assert float((aae.classify(x) == y).float().mean()) > 0.9
        drawn = aae.sample(300, generator=seeded(), label=1)
    assert float((drawn[:, 0].sum(2).argmax(1) == 1).float().mean()) > 0.8


def test_clusters_look_at_no_label() -> None:
    weights = []
    for known in (0, 120):
        aae = model(clusters=3)
        trained(aae, 5, *told(known))
        weights.append(torch.cat([p.detach().flatten() for p in aae.parameters()]))
    assert torch.equal(*weights)


def test_a_model_of_classes_asks_for_labels() -> None:
    trainer = Adversarial(model(classes=3), hidden=[4])
    x, _ = heaps(4)
    with pytest.raises(InvalidInput, match="classes is 3, but the data have no labels"):
        trainer.training_step(x, {}, seeded())


def test_a_moved_image_is_what_is_encoded_and_what_is_reconstructed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, _ = heaps(20)
    aae = model()
    encode, seen = aae.code, []
    monkeypatch.setattr(aae, "code", lambda x, random: seen.append(x) or encode(x, random))
    trainer = Adversarial(aae, hidden=[4], shift=0.2, turn=20.0, zoom=0.2)
    monkeypatch.setattr(trainer, "_reproduce", lambda code, y: 0.0)
    values = trainer.training_step(x, dict.fromkeys(trainer.networks, lambda loss: None), seeded())
    moved = jitter(x, 0.2, 20.0, 0.2, seeded())
    assert not torch.equal(moved, x) and torch.equal(seen[0], moved)
    torch.testing.assert_close(values["squares"], moved.square().flatten(1).sum(1).mean())


def test_a_moved_image_only_has_to_keep_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = heaps(20)
    aae = model(clusters=3)
    encode, seen = aae.code, []
    monkeypatch.setattr(aae, "code", lambda x, random: seen.append(x) or encode(x, random))
    trainer = Adversarial(aae, hidden=[4], shift=0.2, turn=20.0, zoom=0.2, w_same=2.0)
    losses: list[Tensor] = []
    updates = dict.fromkeys(trainer.networks, losses.append)
    values = trainer.training_step(x, updates, seeded())
    moved = jitter(x, 0.2, 20.0, 0.2, seeded())
    assert torch.equal(seen[0], x) and torch.equal(seen[1], moved)
    q, other = (encode(seen[i], None).logits.softmax(1) for i in (0, 1))
    expected = (q * (q / other).log()).sum(1).mean()
    torch.testing.assert_close(values["divergence"], expected)
    total = values["squares"] + 2 * values["deceit"] + 2.0 * expected  # two discriminators
    torch.testing.assert_close(losses[-1], total)


@pytest.mark.parametrize("settings", [{}, {"clusters": 3}, {"classes": 3, "labels": "decoder"}])
def test_moved_images_keep_a_class_only_where_there_are_both(settings: dict[str, Any]) -> None:
    moves = {} if "clusters" in settings else {"turn": 5.0}
    with pytest.raises(InvalidInput, match="the weight of moved images"):
        Adversarial(model(**settings), hidden=[4], w_same=1.0, **moves)


def test_the_discriminator_of_clusters_sees_the_mean_of_the_batch() -> None:
    """One code alone does not show that a cluster is left unused."""
    trainer = Adversarial(model(clusters=3), hidden=[4])
    seen: list[Tensor] = []
    trainer.networks["discriminator_y"].register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    x, _ = heaps(20)
    trainer.training_step(x, dict.fromkeys(trainer.networks, lambda loss: None), seeded())
    sampled, given = seen[0].detach().split(20)
    assert torch.equal(seen[1], given) and not torch.equal(sampled, given)
    for y in (sampled, given):
        torch.testing.assert_close(y[:, :3].sum(1), torch.ones(20))
        torch.testing.assert_close(y[:, 3:], y[:, :3].mean(0).expand(20, 3))


def test_rows_of_a_table_cannot_be_moved() -> None:
    with pytest.raises(InvalidInput, match="shift, turn and zoom are of images; inputs have"):
        Adversarial(AAE((6,), z=2, hidden=[4]), hidden=[4], zoom=0.1)


def test_withheld_labels_do_not_move_the_classes() -> None:
    """The cross-entropy is over the labelled inputs alone."""
    x, y = heaps(30)
    some = y.where(torch.arange(30) < 10, -1)
    trainer = Adversarial(model(classes=3), hidden=[4])
    quiet = dict.fromkeys(trainer.networks, lambda loss: None)
    values = trainer.training_step(x, quiet, seeded(), some)
    alone = trainer.training_step(x[:10], quiet, seeded(), y[:10])
    torch.testing.assert_close(values["cross_entropy"], alone["cross_entropy"])
    nothing = trainer.training_step(x, quiet, seeded(), torch.full((30,), -1))
    assert float(nothing["cross_entropy"]) == 0


# Runs


def zoo(*arguments: str) -> int:
    return CliRunner().invoke(root, arguments).exit_code


TINY = [
    "train", "aae", "--data", "bars-and-stripes", "--epochs", "2", "--threads", "1", "-q",
    "--set", "config.hidden=[8]", "--set", "config.classes=2", "--set", "config.z=2",
    "--set", "config.dropout=0.2", "--set", "trainer.hidden=[8]", "--set", "trainer.noise=0.1",
    "--set", "labels=4", "--set", "labelled=4", "--set", "ema=0.9",
    "--set", "optimizer.discriminator_z.lr=3e-3",
]  # fmt: skip


def test_an_interrupted_run_of_several_optimisers_ends_in_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert zoo(*TINY, "-o", str(whole)) == 0
    step, steps = Adversarial.training_step, []

    def killed(self: Adversarial, *arguments: Any) -> dict[str, Tensor]:
        if len(steps) == 13:
            raise KeyboardInterrupt
        steps.append(1)
        return step(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)  # a checkpoint after each step
        patch.setattr(Adversarial, "training_step", killed)
        assert zoo(*TINY, "-o", str(cut)) != 0
    assert zoo("train", "--resume", str(cut), "-q") == 0
    files = [load_file(folder / "checkpoints" / "last.safetensors") for folder in (whole, cut)]
    assert {name.split("/")[1] for name in files[0] if name.startswith("optimizers")} == {
        "model",
        "discriminator_z",
        "discriminator_y",
    }
    assert files[0].keys() == files[1].keys()
    assert all(torch.equal(tensor, files[1][name]) for name, tensor in files[0].items())
