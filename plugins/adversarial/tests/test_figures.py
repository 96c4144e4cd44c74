"""Figures of translations, completions and images of texts: values that can be worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from zoo_adversarial import completions, figures, prompts, styles
from zoo_adversarial.gan_cls import GANCLS
from zoo_adversarial.patches import masks

from zoo_core import metrics, plugins
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics import Measured
from zoo_core.metrics.samples import Net
from zoo_core.protocols import FromParts

Measure = Callable[..., Measured]
STYLES = ("dark", "grey", "light")


class Light(FeatureNet):
    """Sees how light an image is: three styles, and two groups by the sign of its slope."""

    def __init__(self, classes: int = 3) -> None:
        nn.Module.__init__(self)
        self.event_shape, self.heads, self.classes = (1, 4, 4), (classes, 2), classes
        self.feature_dim = 2

    def features(self, x: Tensor) -> Tensor:
        return x[:, 0].mean(1)[:, :2]

    def classify(self, x: Tensor, head: int = 0) -> Tensor:
        if head:
            return (x[:, 0, 0, 3] > x[:, 0, 0, 0]).long()
        return (3 * x.mean((1, 2, 3))).long().clamp(0, 2)


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Measure on data that are handed over, in the features of Light."""

    def run(
        function: Callable[..., Measured], model: nn.Module, data: Dataset, **protocol: Any
    ) -> Measured:
        net = Net(protocol.pop("net", Light()), "light@0123")
        for module in (styles, completions, prompts, figures):
            monkeypatch.setattr(module, "load", lambda *_: data)
            if hasattr(module, "feature_net"):
                monkeypatch.setattr(module, "feature_net", lambda _: net)
        return metrics.measure(
            function.__name__, model, {"data": "things:test", **protocol}, Path()
        )

    return run


def images(n: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(n))


# Translations


class Dimmer(nn.Module):
    """Adds or takes thirds of the range; `wrong` is what it does too much."""

    event_shape = (1, 4, 4)
    domains = STYLES

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.wrong = wrong

    def translate(self, x: Tensor, to: str) -> Tensor:
        is_at = (3 * x.mean((1, 2, 3), keepdim=True)).floor()
        return x + (STYLES.index(to) - is_at) / 3 + self.wrong


def styled(classes: Sequence[str] = STYLES) -> Dataset:
    """Twenty images of each style."""
    x = torch.cat([images(20, i / 3, (i + 1) / 3) for i in range(3)])
    levels = (255 * x).round().to(torch.uint8)
    return Dataset(
        "things", "test", levels, 256, torch.arange(3).repeat_interleave(20), (*classes,)
    )


def test_a_classifier_sees_the_style_that_was_asked_for(measure: Measure) -> None:
    right = measure(styles.translation_style, Dimmer(), styled(), features="light")
    assert right.value == 100
    assert right.n == 3 * 2 * 20
    assert right.settled == {"features": "light@0123"}
    assert measure(styles.untranslated_style, Dimmer(), styled(), features="light").value == 0
    wrong = measure(styles.translation_style, Dimmer(1 / 3), styled(), features="light")
    assert wrong.value == pytest.approx(100 / 3)  # the lightest is as light as can be


def test_the_distance_of_a_true_translation_is_that_of_data(measure: Measure) -> None:
    settings = {"features": "light", "seed": 0, "train": "things:train"}
    right = measure(styles.translation_fid, Dimmer(), styled(), **settings)
    left = measure(styles.untranslated_fid, Dimmer(), styled(), **settings)
    assert right.value < 0.01 < 0.1 < left.value
    assert right.real == pytest.approx(0, abs=1e-6)  # the very rows
    assert right.n == 120


def test_an_error_of_the_cycle_is_twice_that_of_a_way(measure: Measure) -> None:
    assert measure(styles.cycle_error, Dimmer(), styled()).value == pytest.approx(0, abs=1e-4)
    off = measure(styles.cycle_error, Dimmer(0.001), styled())
    assert off.value == pytest.approx(0.2, rel=0.01)


def test_a_classifier_of_other_classes_is_refused(measure: Measure) -> None:
    with pytest.raises(InvalidInput, match=r"light@0123 has 4 classes, but things has dark, gre"):
        measure(styles.translation_style, Dimmer(), styled(), net=Light(4), features="light")
    with pytest.raises(InvalidInput, match="has the classes a, b, c; expected images of the domai"):
        measure(styles.cycle_error, Dimmer(), styled("abc"))
    with pytest.raises(
        InvalidInput,
        match="cycle_error measures a model that translates images into",
    ):
        measure(styles.cycle_error, nn.Linear(1, 1), styled())


# Completions


class Framer(nn.Module):
    """Knows where the part is, and draws the whole row a little too light."""

    event_shape = (1, 4, 4)

    def __init__(self, error: float = 0.0) -> None:
        super().__init__()
        self.error = error

    def find_parts(self, x: Tensor) -> Tensor:
        return torch.tensor([[[0, 0, 2, 4]]]).expand(len(x), -1, -1)

    def complete_from(
        self,
        x: Tensor,
        boxes: Tensor,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
    ) -> FromParts:
        whole = torch.tensor([[[0, 0, 4, 4]]]).expand(len(x), -1, -1)
        return FromParts(x.unsqueeze(1), masks(whole, 4, 4), x + self.error)


def plain(n: int = 30) -> Dataset:
    return Dataset("things", "test", images(n), None)


def test_masks_and_parts_are_held_against_the_true_ones(measure: Measure) -> None:
    assert measure(completions.mask_iou, Framer(), plain()).value == pytest.approx(0.5)
    assert measure(completions.parts_l1, Framer(0.1), plain()).value == pytest.approx(10, abs=1e-3)
    # two uniform pixels are a third apart
    others = measure(completions.others_parts_l1, Framer(), plain(400))
    assert others.value == pytest.approx(100 / 3, rel=0.1)


def test_a_constant_mask_stands_beside_those_that_look(measure: Measure) -> None:
    # true parts are the left half of every row
    assert measure(completions.constant_mask_iou, Framer(), plain()).value == 1


def test_completions_of_the_same_parts_differ_beside_them(measure: Measure) -> None:
    class Chance(Framer):
        def complete_from(self, x: Tensor, boxes: Tensor, **options: Any) -> FromParts:
            done = super().complete_from(x, boxes, **options)
            beside = 1 - masks(boxes, 4, 4)
            u = torch.rand(len(x), 1, 1, 1, generator=options["generator"])
            return done._replace(images=done.images + u * beside)

    found = measure(completions.completion_spread, Chance(), plain(400), draws=2)
    assert found.value == pytest.approx(100 / 3, rel=0.1)
    within = measure(completions.completion_spread, Chance(), plain(), within=True)
    assert within.value == 0


def test_the_distance_of_completions_stands_beside_that_of_data(measure: Measure) -> None:
    right = measure(completions.parts_fid, Framer(), plain(), features="light")
    off = measure(completions.parts_fid, Framer(0.5), plain(), features="light")
    assert right.value == pytest.approx(0, abs=1e-6)
    assert off.value == pytest.approx(0.5, rel=0.01)  # two features, each a half off
    assert off.real == pytest.approx(0, abs=1e-6)


def test_what_does_not_complete_from_parts_is_refused(measure: Measure) -> None:
    with pytest.raises(
        InvalidInput, match="mask_iou measures a model that generates a whole image from parts"
    ):
        measure(completions.mask_iou, nn.Linear(1, 1), plain())


# Texts


class Writer(nn.Module):
    """Reads whether a text says `up`, and draws a slope that rises where it does."""

    event_shape = (1, 4, 4)

    def read(self, texts: Sequence[str]) -> Tensor:
        return torch.tensor([[1.0 if "up" in text else -1.0] for text in texts])

    def sample(
        self,
        n: int,
        *,
        generator: torch.Generator | None = None,
        temperature: float = 1.0,
        prompt: str | Tensor | None = None,
    ) -> Tensor:
        assert isinstance(prompt, Tensor) and len(prompt) == n
        slope = torch.linspace(-0.4, 0.4, 4).expand(n, 1, 4, 4)
        return 0.5 + prompt.view(-1, 1, 1, 1) * slope


def captioned(names: int = 40) -> Dataset:
    """Names of which half rise, each in two styles of three."""
    up = torch.arange(names) % 2
    texts = tuple(f"{'up' if u else 'down'} {i}" for i, u in enumerate(up.tolist()))
    x = Writer().sample(names, prompt=Writer().read(texts))
    labels = torch.cat([up, up + 2])  # of style 0 and 1
    classes = tuple("abcdef")
    return Dataset("names", "test", torch.cat([x, x]), None, labels, classes, texts * 2)


def test_the_distance_of_images_of_the_rows_own_texts(measure: Measure) -> None:
    found = measure(prompts.prompt_fid, Writer(), captioned(), features="light")
    assert found.value == pytest.approx(0, abs=1e-6)
    assert found.n == 80


class Sure(GANCLS):
    """Finds that a text fits where it rises as the image does."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def fits(self, x: Tensor, texts: Sequence[str]) -> Tensor:
        rises = (x[:, 0, 0, 3] - x[:, 0, 0, 0]).sign()
        return rises * Writer().read(texts).squeeze(1)


def test_a_discriminator_is_asked_which_of_two_texts_fits(measure: Measure) -> None:
    found = measure(prompts.matched_text, Sure(), captioned(), draws=3, seed=0)
    assert found.n == 240
    assert found.value == pytest.approx(50, abs=10)  # the other half of the texts fits as well
    with pytest.raises(
        InvalidInput, match="matched_text measures a model of the class GANCLS, which Writer is not"
    ):
        measure(prompts.matched_text, Writer(), captioned(), draws=1)


def test_data_that_tell_no_texts_are_refused(measure: Measure) -> None:
    with pytest.raises(InvalidInput, match="things has no captions: there is nothing to read"):
        measure(prompts.prompt_fid, Writer(), plain(), features="light")
    with pytest.raises(InvalidInput, match="prompt_fid measures a generator conditioned on a text"):
        measure(prompts.prompt_fid, Framer(), captioned(), features="light")


def test_the_family_offers_each_figure_with_its_controls() -> None:
    offered = plugins.load("adversarial").metrics
    for module in (styles, completions, prompts):
        names = {name for name in module.__all__ if name.islower()}
        assert names <= set(offered)
    assert offered["shuffled_prompt_attributes"].protocol["shuffled"]
    assert offered["unseen_matched_text"].path == offered["matched_text"].path
