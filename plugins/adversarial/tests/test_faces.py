"""Drawn faces: domains in groups, and translations against their true counterparts."""

from typing import Any, cast

import pytest
import torch
from torch import Tensor
from zoo_adversarial import counterparts, prompts, shared, styles
from zoo_adversarial.cyclegan import CycleGAN
from zoo_adversarial.stargan import StarGAN
from zoo_adversarial.stargan_trainer import Star

from zoo_core.data import Dataset
from zoo_core.data.faces import drawing, named_attributes, sets
from zoo_core.data.faces.people import share_out
from zoo_core.data.faces.styles import TOON_HEAD
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics.samples import Net

HAIR, SKIN = TOON_HEAD.values["hair_colour"], TOON_HEAD.values["skin"]


def stargan(**config: Any) -> StarGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        given = {"domains": tuple("abcde"), "groups": (2, 3), "channels": 4, "blocks": 1}
        return StarGAN((3, 16, 16), **{**given, **config})


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("groups", [(2, 2), (4, 1), (6,)])
def test_groups_share_the_domains_out(groups: tuple[int, ...]) -> None:
    with pytest.raises(InvalidInput, match="expected numbers of domains, from 2, whose sum is 5"):
        stargan(groups=groups)
    assert stargan(groups=()).groups == (5,)


@pytest.mark.parametrize("condition", ["planes", "norms"])
@pytest.mark.parametrize("mask", [False, True])
def test_each_image_goes_into_a_domain_of_its_own(condition: str, mask: bool) -> None:
    model, x = (
        stargan(condition=condition, mask=mask).eval(),
        torch.rand(3, 3, 16, 16, generator=random()),
    )
    mixed = model(2 * x - 1, torch.tensor([0, 3, 4]))
    alone = torch.cat(
        [model(2 * part - 1, to) for part, to in zip(x.split(1), (0, 3, 4), strict=True)]
    )
    torch.testing.assert_close(mixed, alone)
    assert mixed.abs().max() <= 1
    assert not torch.allclose(model.translate(x, "a"), model.translate(x, "d"))


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(InvalidInput, match="condition is 'plane'; expected planes or norms"):
        stargan(condition="plane")


def test_a_change_is_of_one_group_and_goes_back() -> None:
    trainer = Star(stargan(), channels=4)
    source = trainer._values(torch.tensor([0, 1, 2, 3, 4, 5] * 20))
    wanted = trainer._change(source, random())
    first = torch.tensor([0, 2])
    changed = (wanted.values != source).sum(1)
    assert changed.max() == 1 and 0 < changed.float().mean() < 1
    group = (wanted.to >= 2).long()
    rows = torch.arange(len(source))
    assert torch.equal(wanted.to, first[group] + wanted.values[rows, group])
    assert torch.equal(wanted.back, first[group] + source[rows, group])
    assert set(group.tolist()) == {0, 1}


def test_labels_are_the_numbers_that_domains_make() -> None:
    trainer = Star(stargan(), channels=4)
    assert trainer._values(torch.tensor([0, 5])).tolist() == [[0, 0], [1, 2]]
    with pytest.raises(InvalidInput, match=r"the groups \[2, 3\] have 6 combinations"):
        trainer._values(torch.tensor([6]))
    with pytest.raises(InvalidInput, match=r"the groups \[2, 3\] have 6 combinations"):
        trainer._values(None)


def test_a_validation_of_groups_has_a_value_for_each_row() -> None:
    trainer = Star(stargan(), channels=4)
    x, labels = torch.rand(120, 3, 16, 16, generator=random()), torch.arange(120) % 6
    many, few = (trainer.validation_step(x[:n], random(), labels[:n]) for n in (120, 50))
    assert {key: value.shape for key, value in many.items()} == dict.fromkeys(many, (120,))
    for key, value in many.items():  # both are of the first fifty
        torch.testing.assert_close(value.mean(), few[key].mean())


def test_domains_that_are_unknown_are_neither_changed_nor_asked_for() -> None:
    """Two data sets with different labels: the masks of the paper."""
    trainer = Star(stargan(), channels=4, incomplete=True, n_critic=1)
    # the groups have 2 and 3 domains and one more each for the unknown: (0, ?), (1, ?), (?, 0) …
    labels = torch.tensor([3, 7, 8, 9, 10] * 8)
    source = trainer._values(labels)
    assert source[:5].tolist() == [[0, -1], [1, -1], [-1, 0], [-1, 1], [-1, 2]]
    wanted = trainer._change(source, random())
    assert torch.equal(wanted.values < 0, source < 0)
    assert torch.equal(wanted.to < 2, source[:, 0] >= 0)
    assert torch.equal(wanted.back < 2, source[:, 0] >= 0)
    assert set(wanted.to.tolist()) == set(range(5))

    logits = torch.randn(2, 5, generator=random(), requires_grad=True)
    loss = trainer._cross_entropy(logits, torch.tensor([[1, -1], [-1, 0]]))
    expected = -logits[0, :2].log_softmax(0)[1] - logits[1, 2:].log_softmax(0)[0]
    assert torch.allclose(loss, expected)
    alone = trainer._cross_entropy(logits, torch.tensor([[1, -1], [0, -1]]))  # nobody knows the 2nd
    (gradient,) = torch.autograd.grad(alone, logits)
    assert gradient.isfinite().all() and not gradient[:, 2:].any()

    found = trainer.validation_step(torch.rand(40, 3, 16, 16), random(), labels)
    assert all(value.isfinite().all() for value in found.values())
    with pytest.raises(InvalidInput, match="unknown in every group"):
        trainer._values(torch.tensor([11]))
    with pytest.raises(
        InvalidInput, match=r"\[2, 3\], with one more for an unknown domain, have 12"
    ):
        trainer._values(torch.tensor([12]))


@pytest.mark.parametrize("incomplete", [False, True])
def test_both_networks_learn_from_groups(incomplete: bool) -> None:
    trainer, x = (
        Star(
            stargan(condition="norms", mask=True),
            channels=4,
            n_critic=1,
            r1=1.0,
            incomplete=incomplete,
        ),
        torch.rand(6, 3, 16, 16),
    )
    moved: list[str] = []

    def update(name: str) -> Any:
        def apply(loss: Tensor) -> None:
            network = trainer.networks[name]
            gradients = torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
            moved.extend(name for g in gradients if g is not None and g.abs().max() > 0)

        return apply

    updates = {name: update(name) for name in ("model", "discriminator")}
    values = trainer.training_step(x, updates, random(), torch.arange(6), 0)
    assert set(moved) == {"model", "discriminator"} and set(values) == {"distance", "domain"}
    found = trainer.validation_step(x, random(), torch.arange(6))
    assert set(found) == {"sliced_wasserstein", "cycle"}
    assert trainer.preview(x, random()).shape[1:] == (3, 16, 16)


def test_cyclegan_enlarges_by_neighbours_too() -> None:
    model = CycleGAN((3, 16, 16), channels=4, blocks=1, up="nearest")
    assert model.translate(torch.rand(2, 3, 16, 16), "b").shape == (2, 3, 16, 16)
    with pytest.raises(InvalidInput, match="up is 'near'; expected transposed or nearest"):
        CycleGAN((3, 16, 16), up="near")


# Figures


@pytest.fixture
def faces(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    try:
        drawing.check_packages()
    except InvalidInput as error:
        pytest.skip(str(error))
    labels = share_out(TOON_HEAD, {"train": 8, "validation": 0, "test": 0}, 0, "faces")["train"]
    x = drawing.draw([sets._job(TOON_HEAD, number) for number in labels.tolist()], 64)
    data = Dataset("faces", "test", x, 256, labels, attributes=TOON_HEAD.values)
    heads = tuple(len(values) for values in TOON_HEAD.values.values())
    net = FeatureNet((3, 64, 64), heads, channels=[4, 4, 4, 8], stem=4).eval()
    for module in (counterparts, shared):
        monkeypatch.setattr(module, "load", lambda protocol, root: data)
        monkeypatch.setattr(module, "feature_net", lambda name: Net(net, f"{name}@01"))
    return data


def test_an_untranslated_image_is_as_far_from_its_counterpart_as_it_was(faces: Dataset) -> None:
    class Identity(torch.nn.Module):
        event_shape, domains, groups = (3, 64, 64), tuple("abcde"), (5,)

        def __init__(self) -> None:
            super().__init__()
            self.one = torch.nn.Parameter(torch.ones((), dtype=torch.float64))

        def translate(self, x: Tensor, to: str) -> Tensor:
            assert x.dtype == torch.float64  # rows come to the model's place and type
            return self.one * x

    protocol = counterparts.OfCounterparts(
        data="faces:test", attributes=("hair_colour",), rows=2, features="x"
    )
    model = Identity()
    far = counterparts.counterpart_l1(model, protocol)
    assert far.value == counterparts.untranslated_counterpart_l1(model, protocol).value > 0
    assert far.n == 10 and far.settled == {"features": "x@01"}
    assert (
        counterparts.worst_asked(model, protocol).value <= counterparts.asked(model, protocol).value
    )
    assert (
        counterparts.worst_kept(model, protocol).value <= counterparts.kept(model, protocol).value
    )


def test_groups_must_be_of_the_attributes(faces: Dataset) -> None:
    model = stargan(domains=tuple("abcdefg"), groups=(2, 5))
    protocol = counterparts.OfCounterparts(attributes=("skin",), rows=2, features="x")
    with pytest.raises(InvalidInput, match=r"attributes \['skin'\] of faces have \[5\] values"):
        counterparts.asked(model, protocol)


class Painter(torch.nn.Module):
    """Draws each person whose caption is given, but for every fourth: that one as the first."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        super().__init__()
        self.texts = texts

    def read(self, texts: list[str]) -> Tensor:
        return torch.tensor([[float(self.texts.index(text))] for text in texts])

    def sample(self, n: int, *, prompt: Tensor, generator: torch.Generator) -> Tensor:
        row = torch.where(prompt % 4 == 3, 0.0, prompt)
        return (row / 255).view(n, 1, 1, 1).expand(n, 3, 4, 4)


def test_attributes_that_a_caption_names_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = share_out(TOON_HEAD, {"train": 16, "validation": 0, "test": 0}, 0, "faces")["train"]
    x = torch.arange(16).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    texts = tuple(sets._captions(TOON_HEAD, labels))
    data = Dataset("faces", "test", x, 256, labels, texts=texts, attributes=TOON_HEAD.values)
    true = torch.stack([data.column(name) for name in data.attributes], 1)
    named = named_attributes(data)
    monkeypatch.setattr(prompts, "load", lambda protocol, root: data)
    monkeypatch.setattr(prompts, "feature_net", lambda name: Net(cast("Any", None), f"{name}@01"))
    monkeypatch.setattr(prompts, "require_heads", lambda net: net)
    monkeypatch.setattr(
        prompts, "predict_attributes", lambda net, x: true[(255 * x[:, 0, 0, 0]).round().long()]
    )
    row = torch.arange(16)
    right = true[torch.where(row % 4 == 3, 0, row)] == true
    found = prompts.prompt_attributes(Painter(texts), prompts.OfNames(features="x"))
    assert found.value == pytest.approx(100 * float(right[named].float().mean()))
    assert found.n == named.sum() and found.real == 100
    assert found.settled == {"features": "x@01"}
    worst = prompts.worst_prompt_attribute(Painter(texts), prompts.OfNames(features="x"))
    shares = [100 * float(right[:, k][named[:, k]].float().mean()) for k in range(named.shape[1])]
    assert worst.value == pytest.approx(min(shares)) and worst.value < found.value
    shuffled = prompts.prompt_attributes(
        Painter(texts), prompts.OfNames(shuffled=True, features="x")
    )
    assert shuffled.value < found.value and shuffled.real == 100


class Restyler(torch.nn.Module):
    """Changes the style of all, but what is shared of one of three that become `b`."""

    event_shape, domains = (3, 4, 4), ("a", "b")

    def translate(self, x: Tensor, to: str) -> Tensor:
        kept = (255 * x).round() % 3
        if to == "b":
            kept = torch.where(kept == 1, 2, kept)
        return (3 * self.domains.index(to) + kept) / 255


def test_style_and_what_is_shared_are_seen_by_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(6).repeat(2)  # two styles of three persons
    x = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    data = Dataset("styles", "test", x, 256, labels, tuple("abcdef"))
    net = FeatureNet((3, 4, 4), (2, 3), channels=[4, 4, 4, 8], stem=4)
    monkeypatch.setattr(shared, "load", lambda protocol, root: data)
    monkeypatch.setattr(shared, "feature_net", lambda name: Net(net, f"{name}@01"))

    def see(judge: FeatureNet, x: Tensor) -> Tensor:
        return torch.stack(torch.unravel_index((255 * x[:, 0, 0, 0]).round().long(), (2, 3)), 1)

    monkeypatch.setattr(shared, "predict_attributes", see)
    model, protocol = Restyler(), styles.OfStyle(features="x")
    asked, worst = shared.style_asked(model, protocol), shared.worst_style_asked(model, protocol)
    assert (asked.value, asked.n, worst.value, worst.n) == (100, 12, 100, 6)
    kept, worst = shared.shared_kept(model, protocol), shared.worst_shared_kept(model, protocol)
    assert kept.value == pytest.approx(100 * 10 / 12) and worst.value == pytest.approx(100 * 4 / 6)
    assert asked.settled == worst.settled == {"features": "x@01"}
