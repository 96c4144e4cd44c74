"""GAN, DCGAN and InfoGAN: their networks, what their codes mean, and that a run can be stopped."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from zoo_adversarial.dcgan import DCGAN
from zoo_adversarial.gan import GAN, Maxout
from zoo_adversarial.infogan import InfoGAN, InfoTrainer
from zoo_adversarial.layers import ImageConv2d, UpConv2d, truncated_normal
from zoo_adversarial.trainer import AdversarialTrainer, Generated, Judged

from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.loading import WEIGHTS
from zoo_core.protocols import Classifier, Conditional, Decoder, Featurizer

SMALL = {"shape": (1, 8, 8), "z": 3, "clusters": 4, "codes": 2, "channels": 4, "hidden": 8}


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def made(cls: type, **config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return cls(**config).eval()


def size(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


# GAN


def test_the_papers_networks_for_mnist() -> None:
    model = GAN()
    assert size(model) == 100 * 1200 + 1200 + 1200 * 1200 + 1200 + 1200 * 784 + 784
    assert size(model.opponent()) == 785 * 1200 + 241 * 1200 + 241


def test_a_maxout_unit_is_the_largest_of_its_pieces() -> None:
    unit, x = Maxout(3, 2, 4), torch.randn(5, 3, generator=random())
    with torch.no_grad():
        maps = unit.maps(x)
        y = unit(x)
    assert torch.equal(y[:, 0], maps[:, :4].max(1).values)
    assert torch.equal(y[:, 1], maps[:, 4:].max(1).values)


def test_a_generator_starts_from_the_datas_mean() -> None:
    model, mean = made(GAN, shape=(1, 2, 2)), torch.tensor([[[0.2, 0.5], [0.9, 0.7]]])
    AdversarialTrainer(model).begin(mean)
    with torch.no_grad():
        x = model.decode(torch.zeros(1, 100))
    torch.testing.assert_close(x[0], mean)


def test_a_generator_without_a_start_is_left_as_it_is() -> None:
    model = made(DCGAN, shape=(1, 8, 8), channels=4)
    before = [p.clone() for p in model.parameters()]
    AdversarialTrainer(model).begin(torch.rand(1, 8, 8))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_temperature_takes_variety() -> None:
    model = made(GAN, shape=(1, 4, 4), z=5, hidden=[16])
    spread = [
        float(model.sample(64, generator=random(), temperature=t).std(0).mean().detach())
        for t in (1.0, 0.3, 1e-6)
    ]
    assert spread[1] < 0.5 * spread[0]
    assert spread[2] < 1e-5


def test_truncation_draws_again_what_lies_outside() -> None:
    model = made(GAN, shape=(1, 4, 4), z=50, hidden=[16])
    z = model.latent(4000, generator=random(), truncation=0.8)
    free = model.latent(40_000, generator=random(1))
    again = free[free.abs() <= 0.8]
    assert float(z.abs().max()) <= 0.8
    assert float(z.std()) == pytest.approx(float(again.std()), rel=0.01)
    assert float(z.abs().mean()) == pytest.approx(float(again.abs().mean()), rel=0.01)
    far = truncated_normal(torch.tensor([-1.0, 0.0, 1.0]), 40.0)
    assert far[1] == 0 and far.isfinite().all()
    wide = model.sample(64, generator=random()).std(0).mean()
    assert model.sample(64, generator=random(), truncation=0.2).std(0).mean() < 0.5 * wide


def test_truncation_of_uniform_latents_is_a_factor() -> None:
    for model in (made(DCGAN, shape=(1, 8, 8), channels=4), made(InfoGAN, **SMALL)):
        narrow, wide = (
            model.sample(4, generator=random(), **options)
            for options in ({"truncation": 0.3}, {"temperature": 0.3})
        )
        assert torch.equal(narrow, wide)
        as_it_is = model.sample(4, generator=random(), truncation=2.0)
        assert torch.equal(as_it_is, model.sample(4, generator=random()))


# DCGAN


@pytest.mark.parametrize(
    ("side", "first", "times"), [(28, 4, 3), (32, 4, 3), (64, 4, 4), (9, 3, 2), (22, 3, 3)]
)
def test_a_dcgan_begins_small_and_doubles(side: int, first: int, times: int) -> None:
    model = made(DCGAN, shape=(3, side, side), channels=2, z=5)
    ups = [layer for layer in model.network if isinstance(layer, nn.ConvTranspose2d)]
    assert len(ups) == times
    assert model.network[0].out_features == 2 * 2 ** (times - 1) * first**2
    discriminator = model.opponent().eval()
    with torch.no_grad():
        x = model(model.latent(2, generator=random()))
        assert x.shape == (2, 3, side, side)
        assert discriminator(x).shape == (2,)


def test_only_an_odd_side_takes_an_odd_kernel() -> None:
    model = made(DCGAN, channels=2)
    networks = (model.network, list(model.opponent())[:-2][::-1])
    for network in networks:
        kernels = [m.kernel_size for m in network if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert kernels == [(5, 5), (4, 4), (4, 4)]  # from 4 to 7, 14 and 28


def test_only_the_outer_layers_have_no_norm() -> None:
    model = made(DCGAN, shape=(1, 32, 32), channels=4)
    for network in (model.network, model.opponent()):
        kinds = [type(layer).__name__ for layer in network]
        linear = [i for i, kind in enumerate(kinds) if kind.startswith(("Conv", "Linear"))]
        normed = [any("BatchNorm" in k for k in kinds[i + 1 : i + 3]) for i in linear]
        ends = (True, False) if network is model.network else (False, False)
        assert (normed[0], normed[-1]) == ends
        assert all(normed[1:-1])


def test_the_compact_preset_has_the_sizes_that_are_known() -> None:
    model = DCGAN((1, 32, 32), preset="compact")
    assert round(size(model) / 1e6, 2) == 1.05
    assert round(size(model.opponent()) / 1e6, 2) == 0.10
    assert model.prior == "normal"


def test_weights_start_narrow() -> None:
    model = made(DCGAN, shape=(1, 32, 32), channels=16)
    weights = torch.cat([m.weight.flatten() for m in model.network if hasattr(m, "stride")])
    assert float(weights.detach().std()) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 20, 40), (1, 4, 4)])
def test_a_side_that_does_not_halve_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="expected square images of side 5 or more, as 28"):
        DCGAN(shape)


@pytest.mark.parametrize("config", [{}, {"shape": (3, 16, 16), "preset": "compact"}])
def test_the_features_of_a_dcgan_are_each_layers_maxima(config: dict[str, Any]) -> None:
    model = made(DCGAN, channels=4, trunk=True, **config)
    D = model.opponent().eval()
    model.keep(D)
    x = torch.rand(3, *model.event_shape, generator=random())
    seen: list[Tensor] = []
    for layer in D:
        if isinstance(layer, nn.LeakyReLU):
            layer.register_forward_hook(lambda *call: seen.append(call[2].clone()))
    with torch.no_grad():
        D(2 * x - 1)
        features = model.features(x)
    assert isinstance(model, Featurizer) and features.shape == (3, model.feature_dim)
    assert model.feature_dim == 16 * sum(h.shape[1] for h in seen)
    first = seen[0]
    steps = [i * first.shape[2] / 4 for i in range(5)]
    top = first[:, :, : math.ceil(steps[1]), math.floor(steps[1]) : math.ceil(steps[2])]
    assert torch.equal(features[:, 1], top.amax((2, 3))[:, 0])
    assert not any(p.requires_grad for p in model.trunk.parameters())


def test_a_dcgan_holds_the_discriminator_that_a_validation_saw() -> None:
    model = made(DCGAN, shape=(1, 8, 8), channels=4, trunk=True)
    trainer = AdversarialTrainer(model)
    before = [p.clone() for p in model.trunk.parameters()]
    with torch.no_grad():
        trainer.validation_step(torch.rand(4, 1, 8, 8, generator=random()), random())
    D = trainer.networks["discriminator"]
    kept = list(zip(model.trunk.parameters(), D.parameters(), strict=False))
    assert kept and all(torch.equal(a, b) for a, b in kept)
    assert not all(torch.equal(a, b) for a, b in zip(before, D.parameters(), strict=False))


def test_a_dcgan_without_a_trunk_has_no_features_and_says_so() -> None:
    model = made(DCGAN, shape=(1, 8, 8), channels=4)
    model.keep(model.opponent())
    assert not isinstance(model, Featurizer)
    with pytest.raises(InvalidInput, match=r"no features.* with trunk = true in its config"):
        model.features(torch.rand(1, 1, 8, 8))


def test_a_discriminator_of_another_width_cannot_be_kept() -> None:
    model = made(DCGAN, shape=(1, 8, 8), channels=4, trunk=True)
    with pytest.raises(InvalidInput, match=r"Leave trainer\.discriminator\.channels out"):
        model.opponent(channels=6)


@pytest.mark.parametrize(
    ("cls", "known"), [(DCGAN, "paper or compact"), (InfoGAN, "paper or compact or dcgan")]
)
def test_an_unknown_preset_is_refused(cls: type, known: str) -> None:
    with pytest.raises(InvalidInput, match=f"preset is 'tiny'; expected {known}"):
        cls(preset="tiny")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: InfoGAN((1, 9, 8)), "sides that are multiples of 4. Set the size that"),
        (lambda: DCGAN((1, 6, 6), preset="compact"), "sides that are multiples of 4"),
        (lambda: GAN((9,)), r"shape is \(9,\); expected that of an image, \(C, H, W\)"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(make: Any, text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        make()


@pytest.mark.parametrize(
    ("layer", "before"),
    [(UpConv2d(3, 5), nn.Upsample(scale_factor=2)), (ImageConv2d(3, 2), nn.Identity())],
)
def test_a_convolution_by_fewer_products_is_the_same(layer: nn.Conv2d, before: nn.Module) -> None:
    plain = nn.Conv2d(3, layer.out_channels, 3, padding=1)
    plain.load_state_dict(layer.state_dict())
    results = []
    for network, convolution in ((layer, layer), (nn.Sequential(before, plain), plain)):
        x = torch.rand(2, 3, 4, 6, generator=random()).requires_grad_()
        y = network(x)
        y.square().sum().backward()
        results.append((y, x.grad, convolution.weight.grad, convolution.bias.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


# InfoGAN


def test_the_papers_infogan_for_mnist() -> None:
    model = InfoGAN()
    assert model.latent_dim == 62 + 10 + 2
    generator = 74 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 6272 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1
    assert size(model.network) == generator
    trunk = 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 6272 * 1024 + 2 * 1024
    own = 1024 * 128 + 2 * 128 + 128 * 12 + 12
    assert size(model.Q) == trunk + own
    assert size(model.opponent()) == trunk + own + 1025


def test_an_infogan_with_dcgans_networks_differs_by_its_codes() -> None:
    model = InfoGAN((3, 64, 64), z=90, clusters=8, codes=2, channels=32, preset="dcgan")
    other = DCGAN((3, 64, 64), z=100, channels=32, up="nearest")
    assert size(model.network) == size(other.network)
    features = 256 * 4 * 4
    own = features * 128 + 128 + 128 * 10 + 10
    assert size(model.opponent()) == size(other.opponent(norm="none")) + own
    assert model.feature_dim == features


def test_latents_are_noise_a_category_and_codes() -> None:
    model = made(InfoGAN, **SMALL)
    z = model.latent(2000, generator=random())
    noise, category = torch.cat([z[:, :3], z[:, 7:]], 1), z[:, 3:7]
    assert torch.equal(category.sum(1), torch.ones(2000))
    assert set(category.unique().tolist()) == {0.0, 1.0}
    assert category.mean(0).tolist() == pytest.approx([0.25] * 4, abs=0.04)
    assert float(noise.abs().max()) <= 1
    assert float(noise.std()) == pytest.approx(3**-0.5, rel=0.03)


def test_a_label_is_the_category_and_leaves_the_rest() -> None:
    model = made(InfoGAN, **SMALL)
    asked, free = (model.latent(6, generator=random(), label=y) for y in (2, None))
    assert asked[:, 3:7].argmax(1).tolist() == [2] * 6
    assert torch.equal(asked[:, :3], free[:, :3]) and torch.equal(asked[:, 7:], free[:, 7:])
    assert torch.equal(free, model.latent(6, generator=random(), label=4))
    alike = model.sample(6, generator=random(), label=2)
    assert torch.equal(alike, model.sample(6, generator=random(), label=torch.full((6,), 2)))
    assert not torch.equal(alike, model.sample(6, generator=random(), label=3))


def test_a_label_that_there_is_not_is_refused() -> None:
    for label in (-1, 5):
        with pytest.raises(InvalidInput, match=f"unknown label {label}: expected 0 to 3"):
            made(InfoGAN, **SMALL).sample(2, label=label)


def test_what_an_infogan_can_do() -> None:
    model = made(InfoGAN, **SMALL)
    assert isinstance(model, Classifier) and isinstance(model, Conditional)
    assert isinstance(model, Decoder) and isinstance(model, Featurizer)
    ways = model.traversals()
    assert [(way.name, way.dims) for way in ways] == [
        ("cluster", (3, 4, 5, 6)),
        ("c1", (7,)),
        ("c2", (8,)),
    ]
    assert (ways[1].values[0], ways[1].values[-1]) == ((-2.0,), (2.0,))
    z0, z1 = model.latent(2, generator=random())
    assert torch.equal(model.path(z0, z1, 5)[[0, 4]], torch.stack([z0, z1]))


def test_the_information_bound_is_known_for_known_answers() -> None:
    trainer = InfoTrainer(made(InfoGAN, **SMALL), w_category=2.0, w_codes=0.5)
    z = trainer.networks["model"].latent(7, generator=random())
    generated = Generated(torch.empty(0), z)

    def figures(said: Tensor) -> tuple[float, dict[str, float]]:
        judged = Judged(torch.zeros(7), said)
        values = trainer.figures(judged, judged, generated)
        return float(trainer.generator_term(judged, generated)), {
            k: float(v) for k, v in values.items()
        }

    knowing = torch.cat([50 * z[:, 3:7], z[:, 7:]], 1)
    term, values = figures(knowing)
    assert values["information"] == pytest.approx(math.log(4), abs=1e-5)
    assert (term, values["code_error"]) == pytest.approx((0, 0), abs=1e-5)
    term, values = figures(torch.zeros(7, 6))
    squares = float(z[:, 7:].square().sum(1).mean())
    assert values["information"] == pytest.approx(0, abs=1e-6)
    assert values["code_error"] == pytest.approx(squares)
    assert term == pytest.approx(2 * math.log(4) + 0.5 * squares / 2)


def test_an_epoch_may_end_with_a_batch_of_one() -> None:
    trainer = InfoTrainer(made(InfoGAN, **SMALL).train())
    updates = dict.fromkeys(trainer.networks, Tensor.backward)
    values = trainer.training_step(torch.rand(1, 1, 8, 8), updates, random(), None, 1)
    assert all(value.isfinite() for value in values.values())


def test_the_published_model_has_the_discriminators_q() -> None:
    model = made(InfoGAN, **SMALL)
    trainer = InfoTrainer(model)
    for network in trainer.networks.values():
        network.eval()
    D, x = trainer.networks["discriminator"], torch.rand(16, 1, 8, 8, generator=random())
    with torch.no_grad():
        for p in D.parameters():
            p.add_(torch.randn(p.shape, generator=random(1)))
        trainer.validation_step(x, random())
        _, codes = D(2 * x - 1)
        assert torch.equal(model.classify(x), codes[:, :4].argmax(1))
        assert torch.equal(model.Q.codes(model.features(x)), codes)
    assert len(model.classify(x).unique()) > 1
    assert not any(p.requires_grad for p in model.Q.parameters())


def test_a_preview_has_a_row_for_each_category() -> None:
    model = made(InfoGAN, **SMALL)
    with torch.no_grad():
        shown = InfoTrainer(model).preview(torch.empty(0), random()).unflatten(0, (4, 4))
        z = model.latent(4, generator=random())
        z[:, 3:7] = torch.eye(4)[2]
        torch.testing.assert_close(shown[2], model.decode(z))


def test_categories_come_to_tell_images_apart() -> None:
    """Two kinds of images, without labels: a bright left or right half."""
    torch.manual_seed(0)
    small = {"shape": (1, 4, 4), "z": 1, "clusters": 2, "codes": 0, "channels": 4, "hidden": 16}
    model = InfoGAN(**small)
    trainer = InfoTrainer(model)
    optimizers = {
        name: torch.optim.Adam(trainer.networks[name].parameters(), lr=1e-2, betas=(0.5, 0.9))
        for name in ("model", "discriminator")
    }

    def updater(name: str) -> Any:
        def update(loss: Tensor) -> None:
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()

        return update

    stream, updates = random(1), {name: updater(name) for name in optimizers}
    side = torch.rand(128, generator=stream) < 0.5
    x = 0.3 * torch.rand(128, 1, 4, 4, generator=stream)
    x[side, :, :, :2] += 0.7
    x[~side, :, :, 2:] += 0.7
    found = []
    for _ in range(12):  # when they do depends on the last bits of sums, so on the threads
        for _ in range(20):
            values = trainer.training_step(x, updates, stream, None, 1)
        for network in trainer.networks.values():
            network.eval()
        with torch.no_grad():
            trainer.validation_step(x, random())
            agree = float((model.classify(x) == side).float().mean())
        # which of the two is which it cannot know; information is at most log 2
        found.append((max(agree, 1 - agree), float(values["information"])))
        for network in trainer.networks.values():
            network.train()
    assert any(agreement > 0.9 and information > 0.6 for agreement, information in found), found


# Runs


TINY = [
    "train", "infogan", "--data", "bars-and-stripes-4", "--epochs", "2", "--batch-size", "256",
    "--threads", "1", "--set", "config.channels=4", "--set", "config.hidden=8", "-q",
    "--set", "ema=0.9", "--set", "optimizer.discriminator.lr=3e-3",
]  # fmt: skip

KILLED = """
import os, signal, sys
from zoo_adversarial.infogan import InfoTrainer
from zoo_core.cli import root
from zoo_core.training import loop
loop._CHECKPOINT_SECONDS = -1.0  # a checkpoint after each step
step, steps = InfoTrainer.training_step, []
def killed(self, *arguments):
    steps.append(1)
    if len(steps) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, *arguments)
InfoTrainer.training_step = killed
root(sys.argv[1:])
"""


def test_a_run_that_was_killed_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert CliRunner().invoke(root, [*TINY, "-o", str(whole)]).exit_code == 0
    process = subprocess.run([sys.executable, "-c", KILLED, *TINY, "-o", str(cut)], check=False)
    assert process.returncode == -signal.SIGKILL
    assert CliRunner().invoke(root, ["train", "--resume", str(cut), "-q"]).exit_code == 0
    files = [load_file(folder / "checkpoints" / "last.safetensors") for folder in (whole, cut)]
    assert {name.split("/")[1] for name in files[0] if name.startswith("optimizers")} == {
        "model",
        "discriminator",
    }
    assert files[0].keys() == files[1].keys()
    assert [name for name in files[0] if not torch.equal(files[0][name], files[1][name])] == []


def test_a_checkpoint_of_a_trainer_that_counted_its_steps_can_be_resumed(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert CliRunner().invoke(root, [*TINY, "-o", str(whole)]).exit_code == 0
    process = subprocess.run([sys.executable, "-c", KILLED, *TINY, "-o", str(cut)], check=False)
    assert process.returncode == -signal.SIGKILL
    path = cut / "checkpoints" / "last.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    count = torch.tensor(json.loads(metadata["progress"])["step"])
    save_file({**load_file(path), "modules/counter/count": count}, path, metadata)
    assert CliRunner().invoke(root, ["train", "--resume", str(cut), "-q"]).exit_code == 0
    left, right = load_file(whole / WEIGHTS), load_file(cut / WEIGHTS)
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def test_dcgan_enlarges_by_neighbours_too() -> None:
    model = DCGAN((3, 32, 32), z=4, channels=4, up="nearest")
    assert model(torch.rand(2, 4)).shape == (2, 3, 32, 32)
    assert DCGAN((1, 28, 28), z=4, channels=4, up="nearest")(torch.rand(2, 4)).shape[2:] == (28, 28)
    with pytest.raises(InvalidInput, match="up is 'bilinear'; expected transposed or nearest"):
        DCGAN((1, 28, 28), up="bilinear")


def test_a_spectral_discriminator_bounds_its_layers_and_has_no_batch_norm() -> None:
    network = DCGAN((1, 16, 16), z=4, channels=4).opponent(norm="spectral")
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network)
    for _ in range(50):
        network(torch.rand(4, 1, 16, 16))
    norms = [
        torch.linalg.matrix_norm(m.weight.flatten(1), 2) for m in network if hasattr(m, "weight")
    ]
    assert norms and all(abs(float(norm.detach()) - 1) < 0.1 for norm in norms)
    with pytest.raises(InvalidInput, match=r"config\.trunk = false: what is kept"):
        DCGAN((1, 16, 16), z=4, channels=4, trunk=True).opponent(norm="spectral")
    with pytest.raises(InvalidInput, match="norm is 'layer'; expected batch, spectral, none"):
        DCGAN((1, 16, 16), z=4, channels=4).opponent(norm="layer")


def test_packed_images_are_judged_together() -> None:
    """PacGAN: a pack's score is another when any of its images is, and that of no other pack."""
    torch.manual_seed(0)
    model = DCGAN((3, 16, 16), z=4, channels=4)
    network = model.opponent(norm="none", pack=3).eval()
    x = torch.rand(7, 3, 16, 16, requires_grad=True)
    scores = network(x)
    assert scores.shape == (3,)
    for pack, of in enumerate([{0, 1, 2}, {3, 4, 5}, {6, 0, 1}]):  # the last is filled up
        (slope,) = torch.autograd.grad(scores[pack], x, retain_graph=True)
        assert set(slope.flatten(1).any(1).nonzero().flatten().tolist()) == of
    assert model.opponent(norm="none", pack=1)(x).shape == (7,)
    assert GAN((3, 16, 16), z=4, hidden=(8,)).opponent((8,), pieces=2, pack=3)(x).shape == (3,)
    with pytest.raises(InvalidInput, match=r"pack = 2 needs config\.preset = 'paper' and"):
        DCGAN((1, 16, 16), z=4, channels=4, trunk=True).opponent(pack=2)


def test_a_discriminator_without_norms_keeps_the_scale_of_its_maps() -> None:
    torch.manual_seed(0)
    network = DCGAN((3, 64, 64), z=4, channels=16).opponent(norm="none")
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network)
    scores = network(torch.randn(64, 3, 64, 64, generator=torch.Generator().manual_seed(0)))
    assert 0.1 < float(scores.detach().square().mean().sqrt()) < 10


@pytest.mark.parametrize(
    "model", [GAN((1, 8, 8), z=6, hidden=(20, 9)), DCGAN((1, 16, 16), z=6, channels=4)]
)
def test_directions_are_ranked_by_what_they_change(model: GAN | DCGAN) -> None:
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    found = model.eval().traversals()
    response = model.first_response().detach()
    directions = torch.tensor([walk.values[-1] for walk in found])
    assert directions.shape == (6, 6) and all(walk.added for walk in found)
    sizes = (directions @ response).norm(dim=1)
    assert (sizes.diff() <= 1e-4).all()
    lengths = directions.norm(dim=1)
    reach = 3.0 if model.prior == "normal" else 3 / 3**0.5
    torch.testing.assert_close(lengths, torch.full((6,), reach))
    assert [walk.name for walk in found] == [f"direction {i + 1}" for i in range(6)]
