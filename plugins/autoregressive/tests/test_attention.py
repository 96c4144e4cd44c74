"""Attention: its formula, the sampler that keeps keys and values, and class labels."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_autoregressive.attention import Attention, MultiHead, sinusoids

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Attentive, Conditional, ConditionalDensity
from zoo_core.training.likelihood import MaximumLikelihood

SHAPE = (1, 5, 4)
CONFIGS: dict[str, dict[str, Any]] = {
    "binary": {},
    "three levels": {"levels": 3},
    "random order": {"order": "random", "order_seed": 1},
    "sinusoids": {"positions": "sinusoidal", "activation": "gelu"},
    "labels": {"classes": 4},
    "labels at every place": {"classes": 4, "labels": "every"},
    "window": {"window": 6, "levels": 3},
    "window wider than the input": {"window": 30},
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stirred(**config: Any) -> Attention:
    torch.manual_seed(0)
    model = Attention(SHAPE, **{"blocks": 2, "d": 12, "h": 3, **config}).double()
    generator = seeded()
    for parameter in model.requires_grad_(False).parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_(noise, alpha=0.7)
    return model.eval()


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Attention:
    return stirred(**CONFIGS[request.param])


def levels(model: Attention, n: int = 6) -> Tensor:
    return torch.randint(model.levels, (n, 20), generator=seeded(1))


# The formula


@pytest.mark.parametrize("h", [1, 3])
def test_attention_is_the_papers_formula(h: int) -> None:
    D, d, d_k = 7, 12, 12 // h
    attention = MultiHead(d, h).double().requires_grad_(False)
    s = torch.randn(2, D, d, generator=seeded(), dtype=torch.float64)
    later = torch.ones(D, D, dtype=torch.bool).triu(1)
    heads = []
    for j in range(h):
        mine = slice(j * d_k, (j + 1) * d_k)
        W_Q, W_K, W_V = (W.weight[mine].t() for W in (attention.W_Q, attention.W_K, attention.W_V))
        scores = (s @ W_Q) @ (s @ W_K).transpose(1, 2) / math.sqrt(d_k)
        heads.append(scores.masked_fill(later, -math.inf).softmax(2) @ (s @ W_V))
    expected = torch.cat(heads, 2) @ attention.W_O.weight.t()
    torch.testing.assert_close(attention(s), expected)


def test_sinusoids_of_a_table_are_the_papers() -> None:
    P = sinusoids(torch.arange(50), (50,), 8)
    rates = [10_000 ** (-2 * i / 8) for i in range(4)]
    expected = [math.sin(30 * rate) for rate in rates] + [math.cos(30 * rate) for rate in rates]
    assert P[30].tolist() == pytest.approx(expected, abs=1e-5)


def test_sinusoids_of_an_image_tell_row_and_column() -> None:
    P = sinusoids(torch.arange(20), SHAPE, 8)
    assert torch.equal(P[4 * 2 + 1, :4], P[4 * 2 + 3, :4])  # one row
    assert torch.equal(P[4 * 2 + 1, 4:], P[4 * 4 + 1, 4:])  # one column
    assert len(P.unique(dim=0)) == 20


def test_learned_positions_start_at_the_sinusoids_and_follow_the_order() -> None:
    learned = Attention(SHAPE, d=16, order="random", order_seed=1)
    raster = Attention(SHAPE, d=16, positions="sinusoidal")
    assert torch.equal(learned.P, raster.P[learned.order])
    assert learned.P.requires_grad
    assert not raster.P.requires_grad


def test_dropout_acts_in_training_only() -> None:
    model = stirred(dropout=0.5)
    v = levels(model)
    assert torch.equal(model.logits(v), model.logits(v))
    model.train()
    assert not torch.equal(model.logits(v), model.logits(v))


# The sampler


@pytest.mark.parametrize("d", [0, 1, 7, 19])
def test_a_walk_yields_the_logits_of_a_full_pass(model: Attention, d: int) -> None:
    v = levels(model)
    label = 2 if model.classes else None
    walk = model.walk(v[:, :d], label)
    walked = [next(walk)]
    walked += [walk.send(v[:, i]) for i in range(d, 19)]
    torch.testing.assert_close(torch.stack(walked, 1), model.logits(v, label)[:, d:])


@pytest.mark.parametrize("d", [0, 9])
def test_the_cached_sampler_draws_what_the_naive_one_draws(model: Attention, d: int) -> None:
    n, D = 32, 20
    x = model.sample(n, generator=seeded(5))
    known = torch.zeros(D, dtype=torch.bool)
    known[model.order[:d]] = True
    cached = model.complete(x, known.reshape(SHAPE), generator=seeded(2), temperature=0.8)
    u = torch.rand(D - d, n, generator=seeded(2), dtype=torch.float64)
    v = model.categories(x)
    v[:, d:] = 0
    for i in range(d, D):
        p = (model.logits(v)[:, i] / 0.8).softmax(1)
        v[:, i] = (u[i - d].unsqueeze(1) > p.cumsum(1)[:, :-1]).sum(1)
    naive = v.double() / (model.levels - 1)
    naive = torch.empty_like(naive).index_copy(1, model.order, naive).reshape(n, *SHAPE)
    assert torch.equal(cached, naive)


# Labels


def test_a_label_conditions_samples_and_likelihood() -> None:
    model = stirred(classes=4)
    assert isinstance(model, Conditional) and isinstance(model, ConditionalDensity)
    x = model.sample(64, generator=seeded(), label=3)
    assert torch.equal(x, model.sample(64, generator=seeded(), label=torch.full((64,), 3)))
    assert not torch.equal(x, model.sample(64, generator=seeded(), label=1))
    x = x[:8]
    assert torch.equal(model.log_prob(x), model.log_prob(x, 4))
    each = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
    one = torch.stack([model.log_prob(x[i : i + 1], int(k))[0] for i, k in enumerate(each)])
    torch.testing.assert_close(model.log_prob(x, each), one)
    assert len(model.log_prob(x[:1].expand(5, *SHAPE), torch.arange(5)).unique()) == 5


@pytest.mark.parametrize(
    ("classes", "label", "text"),
    [
        (4, 5, "unknown label 5: expected 0 to 3."),
        (4, -1, "unknown label -1: expected 0 to 3."),
        (0, 0, "unknown label 0: this model was trained without labels."),
    ],
)
def test_a_label_that_there_is_not(classes: int, label: int, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        stirred(classes=classes).sample(2, label=label)
    assert str(caught.value) == text


def test_a_label_at_every_place_reaches_a_place_without_attention() -> None:
    for where, reached in (("start", False), ("every", True)):
        model = stirred(classes=4, labels=where)
        for block in model.blocks:
            block.attention.W_O.weight.zero_()  # a place knows of itself only
        v = levels(model)
        change = (model.logits(v, 0) - model.logits(v, 1)).abs().amax((0, 2))
        assert bool(change[0]) and bool(change[1:].all()) == bool(change[1:].any()) == reached


# Guidance


def test_guidance_is_between_the_logits_with_a_label_and_without() -> None:
    model = stirred(classes=4, labels="every")
    v = levels(model)
    walk = model._guide(v[:, :0], 2, 3.0)
    walked = [next(walk)] + [walk.send(v[:, i]) for i in range(19)]
    of_label, of_none = model.logits(v, 2), model.logits(v)
    expected = of_none + 3 * (of_label - of_none)
    torch.testing.assert_close(torch.stack(walked, 1), expected)
    with pytest.raises(StopIteration):
        walk.send(v[:, 19])


def test_guidance_from_none_to_the_label() -> None:
    model = stirred(classes=4)

    def drawn(**options: Any) -> Tensor:
        return model.sample(16, generator=seeded(), **options)

    assert torch.equal(drawn(label=2, guidance=0.0), drawn())
    assert torch.equal(drawn(label=2, guidance=1.0), drawn(label=2))
    guided = drawn(label=2, guidance=3.0)
    assert guided.shape == (16, *SHAPE) and not torch.equal(guided, drawn(label=2))


def test_guidance_makes_the_label_plainer() -> None:
    model = stirred(classes=4, labels="every")
    model.start.weight.mul_(20)
    plain, guided = (model.sample(200, generator=seeded(), label=2, guidance=g) for g in (1.0, 3.0))
    odds = [float((model.log_prob(x, 2) - model.log_prob(x)).mean()) for x in (plain, guided)]
    assert odds[1] > odds[0] > 0


def test_guidance_leads_towards_a_label() -> None:
    with pytest.raises(InvalidInput, match="guidance is 2, but no label is given"):
        stirred(classes=4).sample(2, guidance=2.0)


# Where it looks


def test_the_weights_of_a_place_are_a_row_of_the_softmax() -> None:
    attention = MultiHead(12, 3).double().requires_grad_(False)
    s = torch.randn(2, 7, 12, generator=seeded(), dtype=torch.float64)
    V = attention._heads(attention.W_V(s))
    for t in (0, 3, 6):
        weights = attention.weights(s, t)
        torch.testing.assert_close(weights.sum(2), torch.ones(2, 3, dtype=torch.float64))
        seen = (weights.unsqueeze(2) @ V[:, :, : t + 1]).transpose(1, 2).flatten(2)
        torch.testing.assert_close(attention.W_O(seen)[:, 0], attention(s)[:, t])


@pytest.mark.parametrize("order", ["raster", "random"])
def test_attention_is_over_the_variables_before(order: str) -> None:
    model = stirred(order=order, order_seed=1)
    assert isinstance(model, Attentive)
    x = model.sample(5, generator=seeded())
    for t in (0, 1, 11):
        variable = int(model.order[t])
        weights = model.attention(x, variable)
        assert weights.shape == (5, 2, 3, 20)
        before = torch.zeros(20, dtype=torch.bool)
        before[model.order[:t]] = True
        assert (weights[..., ~before] == 0).all() and (weights[..., before] > 0).all()
        assert (weights.sum(3) < 1).all() or t == 0
    s = model.blocks[0].norm_1(model._sequence(model.categories(x)[:, :-1], None))
    row = model.blocks[0].attention.weights(s, 11)
    weights = model.attention(x, int(model.order[11]))[:, 0]
    torch.testing.assert_close(weights[..., model.order[:11]], row[..., 1:])


def test_training_learns_both_with_and_without_labels() -> None:
    torch.manual_seed(0)
    model = Attention((3,), blocks=1, d=16, h=2, classes=2)
    trainer = MaximumLikelihood(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    generator = seeded()
    labels = torch.tensor([0, 1]).repeat(32)
    x = labels.float().unsqueeze(1).expand(-1, 3)  # class 0 is all off, class 1 all on
    for _ in range(150):
        optimizer.zero_grad()
        trainer.training_step(x, {"model": torch.Tensor.backward}, generator, labels)
        optimizer.step()
    model.eval()
    with torch.no_grad():
        assert model.log_prob(x[:2], labels[:2]).exp().min() > 0.9
        assert model.log_prob(x[:2]).exp().tolist() == pytest.approx([0.5, 0.5], abs=0.1)
    assert torch.equal(model.sample(9, generator=seeded(), label=1), torch.ones(9, 3))


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"d": 10, "h": 3}, "d is 10 and h is 3: expected a d that is divisible by h."),
        ({"d": -4}, "d is -4 and h is 2: expected a d that is divisible by h, both of at least 1."),
        ({"window": 0}, "window is 0: expected 1, the variable before, or more."),
        ({"positions": "none"}, "positions 'none': expected learned or sinusoidal."),
        ({"labels": "end"}, "labels 'end' is unknown: expected start or every."),
        ({"activation": "tanh"}, "activation 'tanh' is unknown: expected relu or gelu."),
    ],
)
def test_a_config_that_does_not_work(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Attention(SHAPE, **config)
    assert str(caught.value) == text
