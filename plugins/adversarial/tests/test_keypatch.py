"""The key-patch GAN: patches that can be worked out by hand, its losses, and what runs show."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_training import moved
from zoo_adversarial.keypatch import KeyPatch
from zoo_adversarial.keypatch_trainer import Assembly, _spread
from zoo_adversarial.patches import crops, key_patches, masks, overlap

from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.protocols import Completer, Generator, PartCompleter
from zoo_core.training.loop import Loop

SHAPE = (3, 16, 16)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def model(**config: Any) -> KeyPatch:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return KeyPatch(SHAPE, **{"channels": 4, "z": 3, "code": 6, **config})


def images(n: int) -> Tensor:
    """Two squares on white, whose colours tell where they are."""
    x = torch.ones(n, *SHAPE)
    for i, (a, b) in enumerate(torch.randint(0, 5, (n, 2), generator=random()).tolist()):
        x[i, :, a : a + 4, b : b + 4] = torch.tensor([a / 8, b / 8, 0.0]).view(3, 1, 1)
        x[i, :, a + 7 : a + 10, b + 6 : b + 9] = torch.tensor([a / 8, b / 8, 1.0]).view(3, 1, 1)
    return x


# Patches


def test_a_patch_frames_what_is_whole() -> None:
    x = torch.ones(2, 3, 64, 64)
    x[0, :, 22:34, 10:22] = 0
    x[1, :, 6:10, 42:58] = 0.5
    boxes = key_patches(x, 1)[:, 0]
    assert boxes.dtype == torch.int64
    left, top, w, h = boxes.unbind(1)
    things = ((10, 22, 22, 34), (42, 6, 58, 10))
    for i, (x0, y0, x1, y1) in enumerate(things):
        assert left[i] < x0 and x1 < left[i] + w[i]
        assert top[i] < y0 and y1 < top[i] + h[i]


def test_a_contour_that_runs_through_the_frame_does_not_count() -> None:
    bar, cross = torch.ones(2, 1, 64, 64)
    bar[:, 30:34] = 0  # through each box that sees it
    cross[:, 30:34] = 0
    cross[:, 8:16, 8:16] = 0  # a smaller one, which is whole
    x, y, w, h = key_patches(cross.unsqueeze(0), 1)[0, 0].tolist()
    assert x < 8 and y < 8 and x + w > 16 and 16 < y + h <= 30
    assert key_patches(bar.unsqueeze(0), 1).shape == (1, 1, 4)


def test_patches_lie_in_the_image_are_not_long_and_overlap_little() -> None:
    x = torch.rand(5, 3, 32, 64, generator=random())
    boxes = key_patches(x, 3)
    assert boxes.shape == (5, 3, 4)
    left, top, w, h = boxes.unbind(2)
    assert (left >= 0).all() and (left + w <= 64).all()
    assert (top >= 0).all() and (top + h <= 32).all()
    assert (torch.maximum(w, h) <= 2 * torch.minimum(w, h)).all()
    for i, j in ((0, 1), (0, 2), (1, 2)):
        a, b = (masks(boxes[:, k : k + 1], 32, 64) for k in (i, j))
        assert (overlap(a, b) <= 0.25).all()


def test_patches_are_of_each_image_alone() -> None:
    x = images(6)
    alone = torch.cat([key_patches(one, 3) for one in x.split(1)])
    assert torch.equal(key_patches(x, 3), alone)


def test_a_crop_knows_neither_place_nor_scale() -> None:
    x = torch.zeros(1, 1, 32, 32)
    x[..., 4:6, 8:10] = x[..., 16:20, 24:28] = 1  # the same corner of a patch twice as large
    small, large = crops(x, torch.tensor([[[8, 4, 4, 4], [24, 16, 8, 8]]]))[0]
    assert small.shape == (1, 32, 32)
    apart = (small - large).abs()
    assert float(apart.mean()) < 0.03
    assert float(small[0, 8, 8]) == 1 and float(small[0, 24, 24]) == 0


def test_a_crop_of_everything_is_the_image() -> None:
    x = torch.rand(2, 3, 16, 16, generator=random())
    whole = torch.tensor([[[0, 0, 16, 16]]]).expand(2, -1, -1)
    assert torch.allclose(crops(x, whole)[:, 0], x, atol=1e-5)
    assert masks(whole, 16, 16).all()


@pytest.mark.parametrize("box", [(0, 0, 17, 4), (-1, 0, 4, 4), (3, 3, 0, 4), (3, 14, 2, 4)])
def test_a_box_that_is_not_within_the_image_is_refused(box: tuple[int, ...]) -> None:
    named = ",".join(map(str, box))
    with pytest.raises(InvalidInput, match=rf"the patch {named} is not within an image of 16x16"):
        crops(images(1), torch.tensor([[box]]))


def test_no_box_at_all_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no image has a box: expected at least one part"):
        crops(images(2), torch.zeros(2, 0, 4, dtype=torch.int64))


def test_masks_are_the_union_of_boxes() -> None:
    mask = masks(torch.tensor([[[0, 0, 2, 3], [1, 0, 2, 1]]]), 4, 4)
    assert mask[0, 0].tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    other = masks(torch.tensor([[[0, 0, 1, 1]]]), 4, 4)
    assert float(overlap(mask, other)) == pytest.approx(1 / 7)


# The model


def test_it_completes_from_parts_and_does_nothing_else() -> None:
    G = model()
    assert isinstance(G, PartCompleter)
    assert not isinstance(G, Completer | Generator)


def test_nothing_but_the_parts_is_looked_at() -> None:
    G, x = model().eval(), images(3)
    boxes = G.find_parts(x)
    hidden = torch.where(masks(boxes, 16, 16) > 0, x, torch.rand_like(x))
    with torch.no_grad():
        seen, blind = (G.complete_from(y, boxes, generator=random()) for y in (x, hidden))
    assert torch.allclose(seen.parts, blind.parts, atol=1e-5)
    assert torch.allclose(seen.images, blind.images, atol=1e-5)
    assert seen.images.shape == x.shape and seen.mask.shape == (3, 1, 16, 16)
    for y in (seen.images, seen.mask):
        assert 0 <= float(y.min()) < float(y.max()) <= 1


def test_the_order_of_parts_does_not_matter_and_any_number_is_taken() -> None:
    G, x = model().eval(), images(2)
    boxes = G.find_parts(x)
    with torch.no_grad():
        one, other = (
            G.complete_from(x, some, generator=random()) for some in (boxes, boxes.flip(1))
        )
        fewer = G.complete_from(x, boxes[:, :1], generator=random())
    assert torch.allclose(one.images, other.images, atol=1e-5)
    assert torch.allclose(one.mask, other.mask, atol=1e-5)
    assert fewer.parts.shape == (2, 1, *SHAPE)


def test_noise_moves_the_image_and_not_the_mask() -> None:
    G, x = model().eval(), images(2)
    with torch.no_grad():
        for parameter in G.drawing.parameters():
            parameter.mul_(5)  # the initial weights hardly let anything through
        boxes = G.find_parts(x)
        drawn = [G.complete_from(x, boxes, generator=random(seed)) for seed in (0, 0, 1)]
        still = [G.complete_from(x, boxes, generator=random(s), temperature=1e-6) for s in (0, 1)]
    assert torch.equal(drawn[0].images, drawn[1].images)
    assert not torch.allclose(drawn[0].images, drawn[2].images, atol=1e-4)
    assert torch.equal(drawn[0].mask, drawn[2].mask)
    assert torch.allclose(still[0].images, still[1].images, atol=1e-4)


@pytest.mark.parametrize("shape", [(3, 16, 32), (3, 24, 24), (3, 4, 4), (16, 16)])
def test_a_shape_that_cannot_be_halved_down_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="with a power of 2 from 8 as S"):
        KeyPatch(shape)


# Training


def test_every_second_step_moves_the_generator_too() -> None:
    trainer, x = Assembly(model()), images(6)
    steps = [moved(trainer, x, step=step) for step in range(1, 5)]
    D = {"discriminator.trunk", "discriminator.head"}
    both = {"discriminator", "model"}
    assert [set(reached) for reached, _ in steps] == [{"discriminator"}, both] * 2
    assert steps[1][0] == {
        "discriminator": D,
        "model": {"model.encoder", "model.placing", "model.drawing"},
    }
    assert all(math.isfinite(value) for _, values in steps for value in values.values())


@pytest.mark.parametrize("cut", ["predicted", "true"])
def test_the_losses_are_the_papers_and_parts_may_be_looked_for_at_their_true_places(
    cut: str,
) -> None:
    trainer = Assembly(model(), w_first=0.02, w_last=0.02, cut=cut, n_critic=1, flip=False)
    x = images(4)
    G, D = trainer.networks["model"], trainer.networks["discriminator"]
    boxes = trainer._generator.find_parts(x)
    M, X = masks(boxes, 16, 16), x * 2 - 1
    log, other = torch.nn.functional.logsigmoid, X.roll(1, 0)
    with torch.no_grad():
        z = trainer._generator.noise(4, generator=random())
        y, mask = G(crops(x, boxes) * 2 - 1, z)
        fakes = (y, X * M + other * (1 - M), other * M + X * (1 - M))
        expected_D = -log(D(X)).mean() - sum(log(-D(fake)).mean() for fake in fakes)
        drawn = y * (mask if cut == "predicted" else M)
        apart = (mask - M).abs().sum() + (drawn - X * M).abs().sum()
        expected_G = -log(D(y)).mean() + 0.02 * apart / 4
    # batch norms see the same images again, so that their outputs are the same
    _, values = moved(trainer, x)
    assert values["discriminator"] == pytest.approx(float(expected_D), rel=1e-4)
    assert values["model"] == pytest.approx(float(expected_G), rel=1e-4)


def test_half_of_the_images_are_seen_in_a_mirror() -> None:
    trainer, x = Assembly(model()), images(200)
    seen: list[Tensor] = []
    D = trainer.networks["discriminator"]
    D.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    moved(trainer, x)
    mirrored, plain = ((seen[0] == y * 2 - 1).flatten(1).all(1) for y in (x.flip(3), x))
    assert (mirrored ^ plain).all() and 70 < int(mirrored.sum()) < 130


@pytest.mark.parametrize(
    ("setting", "known"), [("mask_loss", "l1 or overlap"), ("cut", "predicted or true")]
)
def test_a_loss_that_there_is_not_is_refused(setting: str, known: str) -> None:
    with pytest.raises(InvalidInput, match=rf"trainer\.{setting} is 'iou'; expected {known}"):
        Assembly(model(), **{setting: "iou"})


def test_an_unknown_layer_is_refused() -> None:
    with pytest.raises(InvalidInput, match="up is 'near'; expected transposed or nearest"):
        model(up="near")
    with pytest.raises(InvalidInput, match=r"trainer\.norm is 'layer'; expected batch or none"):
        Assembly(model(), norm="layer")


def test_slopes_are_penalised_every_second_step() -> None:
    def loss(step: int, r1: float) -> float:
        torch.manual_seed(0)  # of the discriminator's weights
        trainer = Assembly(model(up="nearest"), norm="none", r1=r1, penalty_every=2, flip=False)
        return float(moved(trainer, images(6), step=step)[1]["discriminator"])

    plain = loss(2, 0.0)
    assert loss(1, 1.0) == plain < loss(2, 1.0)
    assert loss(2, 2.0) - plain == pytest.approx(2 * (loss(2, 1.0) - plain), rel=1e-3)


def test_each_batch_has_a_random_number_of_parts() -> None:
    trainer, x, stream = Assembly(model(), most=4), images(3), random()
    numbers = [trainer._inspect(x, stream).parts.shape[1] for _ in range(40)]
    assert set(numbers) == {1, 2, 3, 4}
    assert trainer._inspect(x).parts.shape[1] == 3  # a validation has the model's number


def test_several_completions_of_the_same_parts_are_generated_at_once() -> None:
    G, x = model().eval(), images(2)
    parts, z = crops(x, G.find_parts(x)) * 2 - 1, G.noise(6, generator=random())
    with torch.no_grad():
        together, mask = G(parts, z)
        one_by_one = [G(parts, some) for some in z.chunk(3)]
    assert torch.allclose(together, torch.cat([y for y, _ in one_by_one]), atol=1e-6)
    assert mask.shape == (2, 1, 16, 16)


def test_completions_are_to_differ_beside_the_parts_as_their_noise_does() -> None:
    z = torch.tensor([[0.0], [0.0], [0.5], [1.0]])
    mask = torch.zeros(2, 1, 2, 2)
    mask[:, :, 0] = 1
    y = torch.zeros(4, 3, 2, 2)
    y[2:, :, 0] = 1  # differences within the parts do not count
    y[2, :, 1], y[3, :, 1] = 0.1, 0.8
    assert _spread(y, z, mask).tolist() == pytest.approx([0.2, 0.8])
    y[3, :, 1, 0] = -0.8
    assert _spread(y, z, mask).tolist() == pytest.approx([0.2, 0.8])

    def loss(w_vary: float) -> float:
        torch.manual_seed(0)
        trainer = Assembly(model(), n_critic=1, flip=False, w_vary=w_vary, vary=1e-9)
        return float(moved(trainer, images(4))[1]["model"])

    assert loss(1e9) - loss(2e9) == pytest.approx(1, rel=1e-3)  # it counts up to a limit


def test_masks_can_be_compared_by_their_overlap() -> None:
    apart = Assembly(model(), mask_loss="overlap").spatial
    true = masks(torch.tensor([[[0, 0, 2, 4]]]), 4, 4)
    assert float(apart(true, true)) == 0
    assert float(apart(1 - true, true)) == 16
    assert float(apart(torch.ones_like(true), true)) == 8
    assert float(Assembly(model()).spatial(torch.full_like(true, 0.25), true)) == 8


def test_the_weight_falls_evenly_in_its_logarithm() -> None:
    trainer = Assembly(model(), w_images=1000)
    weights = [trainer.weight(seen) for seen in (0, 500, 1000, 5000)]
    assert weights == pytest.approx([1e-2, 1e-3, 1e-4, 1e-4])


def test_the_weight_is_that_of_the_images_that_were_seen() -> None:
    trainer, seen = Assembly(model(), w_images=1000, n_critic=1), []
    trainer.weight = lambda n: seen.append(n) or 0.0  # type: ignore[method-assign, func-returns-value]
    updates: Any = {"model": lambda loss: None, "discriminator": lambda loss: None}
    for step, size in enumerate((4, 4, 2), start=1):  # the last batch of an epoch is smaller
        trainer.training_step(images(size), updates, random(), None, step)
    assert seen == [4, 8, 10]


def test_a_validation_has_a_value_of_each_input() -> None:
    trainer, x = Assembly(model()), images(5)
    for network in trainer.networks.values():
        network.eval()
    with torch.no_grad():
        values = trainer.validation_step(x, random())
        shown = trainer.preview(x, random())
    assert set(values) == {"sliced_wasserstein", "mask_iou", "parts"}
    for value in values.values():
        assert value.shape == (5,) and (value >= 0).all()
    assert shown.shape == (40, *SHAPE)
    assert torch.equal(shown.unflatten(0, (5, 8))[:, 6], x)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    start: Callable[..., Loop], ends_alike: Callable[..., dict[str, Tensor]]
) -> None:
    data = Dataset("squares", "train", (255 * images(64)).to(torch.uint8), 256)

    def make(folder: Path, stop: int | None) -> Loop:
        torch.manual_seed(3)
        trainer, adam = Assembly(model(), w_images=64), {"lr": 0.002}
        return start(trainer, data, folder, stop, architecture="keypatch", optimizer=adam)

    ends_alike(make, 5)


def test_parts_come_to_their_places() -> None:
    G, x = model(channels=8), images(8)
    trainer = Assembly(G, w_first=1.0, w_last=1.0, n_critic=1, flip=False)
    optimizer = torch.optim.Adam(G.parameters(), 0.005, betas=(0.5, 0.999))

    def learn(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    updates = {"model": learn, "discriminator": lambda loss: None}

    def measured() -> dict[str, float]:
        with torch.no_grad():
            values = trainer.validation_step(x, random())
        return {key: float(value.mean()) for key, value in values.items()}

    before = measured()
    for step in range(1, 31):
        trainer.training_step(x, updates, random(), None, step)
    after = measured()
    assert after["mask_iou"] > 0.4 > 2 * before["mask_iou"]
    assert after["parts"] < 0.7 * before["parts"]
