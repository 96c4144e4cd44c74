"""Progressive GAN: its layers in closed form, how it grows, and that it can be stopped anywhere."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn
from zoo_adversarial.growth import Growing, frames
from zoo_adversarial.progan import (
    Conv,
    Critic,
    Growth,
    Linear,
    ProGAN,
    down,
    fade,
    normalise,
    up,
    with_deviation,
)
from zoo_adversarial.progan_trainer import Progressive

import zoo_core
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import Dataset
from zoo_core.draws import Streams
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Decoder
from zoo_core.tasks.result import Result
from zoo_core.training.protocols import Restarting

SHAPE, CHANNELS = (3, 16, 16), (8, 6, 4)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generator(grown: tuple[int, int, int] = (2, 1, 1)) -> ProGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ProGAN(SHAPE, z=5, channels=CHANNELS)
    model.grown.copy_(torch.tensor(grown))
    return model.eval().requires_grad_(False)


def critic() -> Critic:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Critic(SHAPE, CHANNELS)


@pytest.mark.parametrize("layer", [Conv(64, 256, 3), Linear(576, 256)])
def test_weights_are_standard_normal_and_scaled_when_used(layer: nn.Module) -> None:
    weight = next(layer.parameters())
    assert float(weight.detach().std()) == pytest.approx(1, abs=0.01)
    # He's variance, 2 / fan-in, gives outputs of variance 2 for inputs of variance 1
    shape = (64, 64, 8, 8) if weight.ndim == 4 else (512, 576)
    y = layer(torch.randn(shape, generator=random()))
    inside = y[..., 1:-1, 1:-1] if weight.ndim == 4 else y
    assert float(inside.detach().var()) == pytest.approx(2, rel=0.05)


def test_pixel_norm_gives_each_place_a_mean_square_of_one() -> None:
    x = normalise(3 * torch.randn(2, 7, 4, 4, generator=random()))
    assert torch.allclose(x.square().mean(1), torch.ones(2, 4, 4), atol=1e-5)


def test_the_appended_map_is_the_mean_standard_deviation() -> None:
    x = torch.randn(5, 3, 4, 4, generator=random())
    y = with_deviation(x)
    expected = x.std(0, correction=0).mean()
    assert torch.equal(y[:, :3], x)
    assert torch.allclose(y[:, 3], expected.expand(5, 4, 4), atol=1e-6)
    assert float(with_deviation(x[:1].expand(4, -1, -1, -1))[:, 3].max()) < 1e-3  # no variety


def test_up_and_down_are_inverse() -> None:
    x = torch.rand(2, 3, 4, 4, generator=random())
    assert torch.equal(down(up(x)), x)
    assert torch.equal(up(x)[0, 0, 2:4, 6:8], x[0, 0, 1, 3].expand(2, 2))


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_each_stage_doubles_the_side(stage: int) -> None:
    G, D, side = generator(), critic(), 4 << stage
    z = normalise(G.latent(2, generator=random()))
    x = G(z, stage, 0.5)
    assert x.shape == (2, 3, side, side)
    assert D(x, 0.5).shape == (2,)
    assert fade(torch.rand(2, *SHAPE), stage, 0.5).shape == x.shape


def test_a_stage_fades_in_from_the_one_before() -> None:
    G, D = generator(), critic()
    z = normalise(G.latent(3, generator=random()))
    before, after = G(z, 1), G(z, 2)
    assert torch.equal(G(z, 2, 0.0), up(before))
    assert torch.allclose(G(z, 2, 0.25), 0.75 * up(before) + 0.25 * after, atol=1e-6)
    # the new stage of the discriminator does not matter at 0, and the old input not at 1
    x = torch.rand(3, *SHAPE, generator=random())
    assert torch.allclose(D(x, 0.0), D(down(x)), atol=1e-6)
    assert torch.equal(D(x, 1.0), D(x))
    assert not torch.equal(D(x, 0.5), D(x))


def test_real_images_fade_in_alike() -> None:
    x = torch.rand(2, *SHAPE, generator=random())
    assert torch.equal(fade(x, 2, 1.0), x)
    assert torch.equal(fade(x, 2, 0.0), up(down(x)))
    assert torch.allclose(fade(x, 0, 1.0), x.unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2)))


def test_the_number_of_images_decides_the_stage() -> None:
    trainer = Progressive(ProGAN(SHAPE, 5, CHANNELS), stable=[100, 50], fade=20)
    stages = {seen: trainer.growth(seen) for seen in (1, 100, 101, 120, 170, 171, 189, 190, 9999)}
    assert stages == {
        1: (0, 1, 1),
        100: (0, 1, 1),
        101: (1, 1, 20),
        120: (1, 1, 1),
        170: (1, 1, 1),
        171: (2, 1, 20),
        189: (2, 19, 20),
        190: (2, 1, 1),
        9999: (2, 1, 1),
    }


def test_optimisers_start_again_where_a_stage_begins_and_where_it_is_all_there() -> None:
    G = ProGAN(SHAPE, 5, CHANNELS)
    trainer = Progressive(G, stable=[20, 30], fade=20)
    assert isinstance(trainer, Restarting)
    begun = []
    for seen in range(10, 130, 10):
        if trainer.restarts(10):
            begun.append(seen)
        trainer.count(10)
    # one stage fades in between 20 and 40 images, the next one between 70 and 90
    assert begun == [30, 40, 80, 90]


def test_a_network_that_has_not_grown_up_gives_enlarged_images() -> None:
    G = generator((1, 3, 4))
    assert G.growth_now == Growth(1, 0.75)
    x = G.decode(G.latent(2, generator=random()))
    assert x.shape == (2, *SHAPE)
    assert torch.equal(up(down(x)), x)
    assert [tuple(images.shape[2:]) for images in G.growth(2, generator=random())] == [
        (4, 4),
        (8, 8),
    ]


def test_weights_of_a_network_that_has_grown_up_are_the_best() -> None:
    x = torch.rand(4, *SHAPE)
    G = ProGAN(SHAPE, 5, CHANNELS)
    trainer = Progressive(G)
    for grown, to_come in (((0, 1, 1), 2), ((1, 1, 4), 1.75), ((2, 1, 4), 0.75), ((2, 1, 1), 0)):
        G.grown.copy_(torch.tensor(grown))
        values = trainer.validation_step(x, random())
        assert torch.equal(values[trainer.monitor], values["sliced_wasserstein"] + to_come)


def test_growth_ends_with_the_samples() -> None:
    G = generator()
    *_, last = G.growth(3, generator=random())
    assert torch.equal(last, G.sample(3, generator=random()))
    assert isinstance(G, Decoder)


def test_what_is_exported_grows_as_far_as_the_network_has() -> None:
    G, z = generator((2, 1, 4)), torch.randn(2, 5, generator=random())
    functions = {function.name: function.call for function in G.exports()}
    *_, last = functions["growth"](z)
    assert torch.equal(last, functions["decode"](z))


# The task


def grown(G: ProGAN, **options: Any) -> Result:
    loading.set_info(G, loading.Info(name="progan.x", architecture="progan"))
    return zoo_core.run(G, "growth", **{"fade": 3, "seed": 0, **options})


def test_growth_shows_each_resolution_and_the_way_from_one_to_the_next() -> None:
    G = generator()
    assert isinstance(G, Growing)
    result = grown(G, n=3, seed=5)
    images = G.growth(3, generator=Streams(5))
    assert list(result.tensors) == ["samples_4x4", "samples_8x8", "samples_16x16"]
    assert all(map(torch.equal, result.tensors.values(), images))
    assert result.images is not None and result.images.shape == (9, *SHAPE)
    assert torch.equal(result.images[:3], up(images[0], 4)) and result.columns == 3
    assert len(result.frames) == 3 * 2 + 2 * 3
    between = torch.lerp(up(images[0], 4), up(images[1]), 0.5)  # as a stage fades in
    torch.testing.assert_close(result.frames[3], between)
    assert torch.equal(result.frames[-1], images[2])


def test_a_film_that_exceeds_memory_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"^n=16 hold=1000000000000 fade=4: .* samples of progan.x take "
    ):
        grown(generator(), hold=10**12, fade=4)


def test_many_samples_take_several_rows_of_each_resolution() -> None:
    G = generator((1, 1, 1))
    result = grown(G, n=11, batch_size=4)
    assert result.columns == 8 and list(result.names) == ["4x4", "", "8x8", ""]
    assert result.images is not None and len(result.images) == 32
    assert result.figures == ("4x4, 8x8",)
    assert result.summary == "11 samples from progan.x as it grew"


def test_frames_of_one_resolution_stand_still() -> None:
    x = torch.rand(2, 1, 4, 4, generator=random())
    assert all(torch.equal(frame, x) for frame in frames([x], 3, 2))
    assert up(x, 1) is x


@pytest.mark.parametrize(("key", "n", "least"), [("hold", 0, 1), ("fade", -1, 0)])
def test_a_film_without_frames_is_refused(key: str, n: int, least: int) -> None:
    with pytest.raises(InvalidInput, match=f"^{key} is {n}; expected .* of at least {least}"):
        grown(generator(), **{key: n})


def test_growth_is_a_film_by_default_and_a_picture_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"shape": list(SHAPE), "z": 5, "channels": list(CHANNELS)}
    record = {"family": "adversarial", "requires": "zoo-adversarial", "architecture": "progan"}
    weights = tmp_path / "progan.small.safetensors"
    loading.save(generator(), weights, {**record, "name": "progan.small", "config": config})
    command = ["run", str(weights), "--task", "growth", "-n", "2", "--seed", "0"]
    for more in ([], ["-o", "grid.png"]):
        result = CliRunner().invoke(root, [*command, *more])
        assert result.exit_code == 0, result.output
    with Image.open("progan.small-growth.gif") as film, Image.open("grid.png") as picture:
        assert film.n_frames > 3
        assert picture.height > 2 * film.height


def test_only_the_direction_of_a_latent_matters_and_temperature_takes_variety() -> None:
    G = generator()
    z = G.latent(3, generator=random())
    assert torch.allclose(G.decode(z), G.decode(4 * z), atol=1e-5)
    spread = [
        float(G.sample(32, generator=random(), temperature=t).std(0).mean()) for t in (1, 0.3, 1e-6)
    ]
    assert spread[1] < 0.7 * spread[0]
    assert spread[2] < 1e-5


def test_earlier_readouts_learn_without_moving_anything_else() -> None:
    G = generator().requires_grad_(True)
    maps = G.feature_maps(normalise(G.latent(4, generator=random())), 2)
    G.readout_loss(maps, G.images(maps)).backward()
    moved = {name for name, p in G.named_parameters() if p.grad is not None}
    assert moved == {f"to_rgb.{s}.{kind}" for s in (0, 1) for kind in ("weight", "bias")}


@pytest.mark.parametrize("options", [{}, {"loss": "non-saturating", "r1": 0.5}])
def test_each_loss_moves_its_own_network(options: dict[str, Any]) -> None:
    G = ProGAN(SHAPE, 5, CHANNELS)
    trainer = Progressive(G, stable=4, fade=100, **options)
    moved: dict[str, set[str]] = {}

    def update(name: str) -> object:
        def note(loss: torch.Tensor) -> None:
            trainer.networks[name].zero_grad()
            loss.backward()
            named = trainer.networks[name].named_parameters()
            moved[name] = {key for key, p in named if p.grad is not None and p.grad.any()}

        return note

    x = torch.rand(8, *SHAPE, generator=random())
    updates = {name: update(name) for name in trainer.networks}
    values = trainer.training_step(x, updates, random(), None, 1)
    assert all(math.isfinite(value) for value in values.values())
    assert int(G.seen) == 8 and G.growth_now == Growth(1, 0.04)
    stages = {"first", "blocks.0", "to_rgb.0", "to_rgb.1"}
    assert {key.rsplit(".", 1)[0] for key in moved["model"]} >= stages - {"first", "blocks.0"}
    assert any(key.startswith("blocks.0") for key in moved["model"])
    assert not any(key.startswith(("blocks.1", "to_rgb.2")) for key in moved["model"])
    assert any(key.startswith("from_rgb.1") for key in moved["discriminator"])


def growing(start: Callable[..., Any], stable: int, folder: Path, stop: int | None = None) -> Any:
    """Eight steps of 16 images; a stage fades in over 48."""
    torch.manual_seed(3)
    trainer = Progressive(ProGAN((1, 8, 8), 4, (6, 4)), stable, 48, penalty_every=2)
    x = torch.randint(256, (128, 1, 8, 8), dtype=torch.uint8, generator=random())
    data, adam = Dataset("noise", "train", x, 256), {"lr": 0.001, "betas": [0.0, 0.99]}
    return start(trainer, data, folder, stop, architecture="progan", batch_size=16, optimizer=adam)


@pytest.mark.parametrize("stable", [16, 48, 64])
def test_a_run_stopped_before_or_while_it_grows_ends_as_one_that_was_not(
    stable: int,
    start: Callable[..., Any],
    ends_alike: Callable[..., dict[str, torch.Tensor]],
) -> None:
    # it is stopped after 64 images: at the end of fading in, in the midst of it, just before it
    left = ends_alike(partial(growing, start, stable), 4)
    assert left["model.grown"][0] == 1 and left["model.ema.seen"] == 128


def test_moments_are_those_since_the_stage_was_all_there(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    loop = growing(start, 16, tmp_path)  # it is all there from the fourth of eight steps on
    loop.run()
    for optimizer in loop.optimizers.of.values():
        steps = {int(state["step"]) for state in optimizer.state.values()}
        assert steps == {5}


@pytest.mark.parametrize(
    ("shape", "channels"), [((3, 64, 64), (8, 4)), ((3, 8, 16), (8, 4)), ((1, 4), (8,))]
)
def test_a_shape_that_the_stages_do_not_reach_is_refused(
    shape: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidInput, match="expected square images of side 4, 8, 16"):
        ProGAN(shape, 4, channels)


def test_a_schedule_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"trainer\.fade is \[1\]; .* each of the 2 times"):
        Progressive(ProGAN(SHAPE, 5, CHANNELS), fade=[1])


@pytest.mark.parametrize("grown", [[5, 1, 1], [-1, 1, 1], [1, 2, 1], [1, 0, 0]])
def test_weights_of_a_stage_that_there_is_not_are_refused(grown: list[int]) -> None:
    network = ProGAN((1, 8, 8), 4, (4, 4))
    network.load_state_dict(network.state_dict() | {"grown": torch.tensor([1, 3, 4])})
    with pytest.raises(ValueError, match="no stage of the network"):
        network.load_state_dict(network.state_dict() | {"grown": torch.tensor(grown)})
