"""Laws of the models of mixed columns: they sum to one, sample what they score, and know gaps."""

import dataclasses
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from zoo_autoregressive import mixed_tree
from zoo_autoregressive.hidden_tree import HiddenTree
from zoo_autoregressive.mixed import MixedChainRule
from zoo_autoregressive.mixed_ar import MixedAR
from zoo_autoregressive.mixed_attention import MixedAttention
from zoo_autoregressive.mixed_eonade import AnyOrder, MixedEoNADE
from zoo_autoregressive.mixed_fvsbn import MixedFVSBN
from zoo_autoregressive.mixed_made import MixedMADE
from zoo_autoregressive.mixed_nade import MixedNADE
from zoo_autoregressive.mixed_tree import MixedTree

import zoo_core
from zoo_core import errors
from zoo_core.data.columns import Column
from zoo_core.draws import Streams
from zoo_core.loading.meta import build_blank
from zoo_core.metrics.likelihood import kind_of

NAN = float("nan")
DISCRETE = [
    Column("a", "categorical", ("x", "y", "z")),
    Column("b", "binary", ("0", "1")),
    Column("c", "ordinal", ("1", "2", "3", "4")),
]
REAL = Column("r", "real", mean=10.0, std=2.0, knots=(6.0, 9.0, 10.0, 11.0, 15.0))
STATES = torch.tensor(list(itertools.product(range(3), range(2), range(4)))).float()


def rows(n: int = 400) -> Tensor:
    """Rows of three columns: b says whether a is x, in nine of ten; c is on its own."""
    random = torch.Generator().manual_seed(0)
    x = STATES[torch.randint(len(STATES), (n,), generator=random)]
    kept = torch.rand(n, generator=random) < 0.9
    x[:, 1] = torch.where(kept, (x[:, 0] > 0).float(), x[:, 1])
    return x


def built(cls: type[nn.Module], *more: Column, **config: object) -> nn.Module:
    """A small model: fitted where it counts, else with weights that are not zero."""
    columns = [*DISCRETE, *more]
    torch.manual_seed(0)
    model = cls((len(columns),), [column.table() for column in columns], **config)
    if isinstance(model, MixedTree):
        x = rows()
        if more:
            spread = torch.randn(len(x), 1, generator=torch.Generator().manual_seed(1))
            x = torch.cat([x, x[:, :1] - 1 + spread], 1)
        model.fit(model.statistics(x))
    else:
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


MODELS = [
    (MixedTree, {"structure": "tree"}),
    (MixedTree, {"structure": "chain"}),
    (MixedTree, {"structure": "independent"}),
    (HiddenTree, {"states": 5}),
    (MixedEoNADE, {"hidden": (16,), "orders": 3}),
    (MixedAR, {"k": 1}),
    (MixedAR, {"k": 2, "order": "random"}),
    (MixedFVSBN, {"order": "random"}),
    (MixedMADE, {"hidden": (16, 16)}),
    (MixedMADE, {"hidden": (16,), "order": "random"}),
    (MixedNADE, {"hidden": 16}),
    (MixedNADE, {"hidden": 16, "order": "random", "activation": "relu"}),
    (MixedAttention, {"d": 16, "h": 2}),
    (MixedAttention, {"d": 8, "h": 1, "order": "random"}),
]
TREES, CHAINS = MODELS[:4], MODELS[5:]
all_models = pytest.mark.parametrize(("cls", "config"), MODELS)
all_chains = pytest.mark.parametrize(("cls", "config"), CHAINS)


@all_models
def test_categories_sum_to_one(cls: type[nn.Module], config: dict[str, object]) -> None:
    total = built(cls, **config).log_prob(STATES).logsumexp(0)
    assert total.item() == pytest.approx(0.0, abs=1e-5)


@all_models
def test_densities_integrate_to_one(cls: type[nn.Module], config: dict[str, object]) -> None:
    model = built(cls, REAL, **config)
    z = torch.linspace(-20, 20, 16_001 if cls is MixedTree else 1601)  # steps have edges
    x = torch.cat([STATES.repeat_interleave(len(z), 0), z.repeat(len(STATES)).unsqueeze(1)], 1)
    density = model.log_prob(x).exp().view(len(STATES), len(z)).sum(0)
    total = torch.trapezoid(density, z * REAL.std)  # in the column's units
    assert total.item() == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize(("cls", "config"), TREES)
@pytest.mark.parametrize("gaps", [(0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_trees_sum_missing_cells_out(
    cls: type[nn.Module], config: dict[str, object], gaps: tuple[int, ...]
) -> None:
    model = built(cls, **config)
    x = STATES.clone()
    x[:, list(gaps)] = NAN
    for row, state in zip(x, STATES, strict=True):
        same = torch.stack([s for s in STATES if torch.equal(s[~row.isnan()], state[~row.isnan()])])
        assert model.log_prob(row.unsqueeze(0)).item() == pytest.approx(
            model.log_prob(same).logsumexp(0).item(), abs=1e-5
        )


@pytest.mark.parametrize(("cls", "config"), TREES + CHAINS)
def test_conditionals_sum_to_the_nats_of_the_cells_that_are_there(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    model = built(cls, REAL, **config)
    x = model.sample(6, generator=torch.Generator().manual_seed(0))
    for row, places in enumerate([(3,), (2, 3), (1, 2, 3)]):
        x[row, model.order[list(places)]] = NAN
    if cls in (MixedTree, HiddenTree):
        x[3, 0] = x[4, 1] = x[5, 2] = NAN
    each = model.conditionals(x)
    assert torch.allclose(each.sum(1), model.log_prob(x), atol=1e-4)
    assert not each[x.isnan()].abs().max() > 1e-5


def test_one_column_in_turn_has_the_nats_of_all_at_once() -> None:
    """The likelihood computes the outputs of each column alone; training those of all."""
    model = built(MixedEoNADE, REAL, hidden=(16, 8), orders=1)
    x = torch.cat([rows(20), torch.randn(20, 1)], 1)
    x[::3, 1] = x[::4, 3] = NAN
    known, total = torch.zeros(4, dtype=torch.bool), torch.zeros(20)
    for i in model.orders[0].tolist():
        total += model.log_p(x, known)[:, i]
        known[i] = True
    torch.testing.assert_close(model.log_prob(x), total)


def test_missing_cells_come_last_in_every_order() -> None:
    """The mean of p over these orders: it sums to one, and is no marginal of the whole density."""
    model = built(MixedEoNADE, hidden=(16,), orders=3)
    off = STATES[STATES[:, 1] == 0]

    def summed_out() -> Tensor:
        both = [model.log_prob(off + torch.tensor([0, b, 0.0])) for b in (0, 1)]
        return torch.stack(both).logsumexp(0)

    x = off.clone()
    x[:, 1] = NAN
    found, marginal = model.log_prob(x), summed_out()
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)
    last = [[i for i in order if i != 1] + [1] for order in model.orders.tolist()]
    assert last != model.orders.tolist()
    model.orders.copy_(torch.tensor(last))
    assert torch.allclose(found, summed_out(), atol=1e-5)
    assert not torch.allclose(found, marginal, atol=1e-3)
    assert (kind_of(model), kind_of(model, missing=True)) == ("exact", "by orders")


def test_weights_of_a_tree_without_edges_had_a_column_for_each_value(tmp_path: Path) -> None:
    """What changed, and what to do, is said of such a file; trees and chains are as they were."""
    path, columns = tmp_path / "old.safetensors", [column.table() for column in DISCRETE]
    model = zoo_core.create("mixed-tree", shape=(3,), columns=columns, structure="independent")
    zoo_core.save(model, path)
    with safe_open(path, framework="pt") as file:
        said = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    tensors["logits"] = tensors["logits"].repeat(1, 4)
    save_file(tensors, path, said)
    with pytest.raises(errors.InvalidWeights, match=r"\(9, 4\) instead of \(9, 1\) \(of structure"):
        zoo_core.load(path)
    with pytest.raises(errors.InvalidWeights, match="such weights are trained again, which takes"):
        zoo_core.load(path)


@all_models
def test_samples_have_the_models_entropy(cls: type[nn.Module], config: dict[str, object]) -> None:
    model = built(cls, **config)
    x = model.sample(20_000, generator=torch.Generator().manual_seed(2))
    codes = (x * torch.tensor([8.0, 4.0, 1.0])).sum(1).long()
    found = torch.bincount(codes, minlength=24) / len(x)
    p = model.log_prob(STATES).exp()
    assert (found - p).abs().sum().item() < 0.04, "total variation 0.02"


@all_models
def test_real_samples_have_the_models_density(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    model = built(cls, REAL, **config)
    x = model.sample(4000, generator=torch.Generator().manual_seed(3))
    z = torch.linspace(-40, 40, 20_001)
    states, of, counts = x[:, :3].unique(dim=0, return_inverse=True, return_counts=True)
    most = int(counts.argmax())
    grid = torch.cat([states[most].expand(len(z), 3), z.unsqueeze(1)], 1)
    density = model.log_prob(grid).exp()
    cdf = density.cumsum(0) / density.sum()
    found = x[of == most, 3].sort().values
    expected = cdf[((found + 40) / 80 * 20_000).round().long()]
    steps = torch.arange(1, len(found) + 1) / len(found)
    assert (expected - steps).abs().max().item() < 1.63 / len(found) ** 0.5, "Kolmogorov, 1 %"


def test_the_tree_finds_what_depends_and_leaves_the_rest_alone() -> None:
    model = built(MixedTree)
    assert model.parent.tolist() == [-1, 0, -1]
    assert model.free_parameters == 2 + 3 + 3
    assert built(MixedTree, structure="chain").parent.tolist() == [-1, 0, 1]


def test_counts_need_no_cell_that_is_missing() -> None:
    model = MixedTree((3,), [column.table() for column in DISCRETE])
    x = rows()
    x[::3, 0] = NAN
    model.fit(model.statistics(x))
    share = ((x[:, 0] == 1).sum() + 1) / ((~x[:, 0].isnan()).sum() + 3)
    first = torch.tensor([[1.0, NAN, NAN]])
    assert model.log_prob(first).exp().item() == pytest.approx(share.item(), abs=1e-5)


def test_columns_of_many_values_are_counted_as_those_of_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By sums of rows in the place of a product; where they are too many a sentence says so."""
    columns, x = [column.table() for column in DISCRETE], rows()
    x[::3, 0] = NAN
    for structure, size in (("tree", 9 + 6 + 12 + 8), ("chain", 9 + 6 + 8), ("independent", 9)):
        model = MixedTree((3,), columns, structure=structure)
        product = model.statistics(x)
        assert len(product) == size
        monkeypatch.setattr(mixed_tree, "_FEW_VALUES", 0)
        assert torch.equal(model.statistics(x), product)
        monkeypatch.undo()
    monkeypatch.setattr(mixed_tree, "_MOST", 35)
    MixedTree((3,), columns, structure="independent").statistics(x)
    with pytest.raises(errors.InvalidInput, match=r"a chain of 3 columns with 9 values takes 36 n"):
        MixedTree((3,), columns, structure="chain").statistics(x)
    with pytest.raises(errors.InvalidInput, match=r"'c': 'skip'\} of 4, or take .* = independent"):
        MixedTree((3,), columns).statistics(x)


def test_an_edge_to_a_constant_gains_nothing() -> None:
    columns = [*DISCRETE, Column("k", "categorical", ("always",))]
    model = MixedTree((4,), [column.table() for column in columns])
    model.fit(model.statistics(torch.cat([rows(), torch.zeros(400, 1)], 1)))
    assert model.parent.tolist() == [-1, 0, -1, -1]


@all_models
def test_known_cells_stay(cls: type[nn.Module], config: dict[str, object]) -> None:
    model = built(cls, REAL, **config)
    x = model.sample(8, generator=torch.Generator().manual_seed(4))
    known = torch.zeros(4, dtype=torch.bool)
    first = isinstance(model, MixedChainRule)
    known[model.order[:2] if first else torch.tensor([1, 3])] = True
    drawn = model.complete(x, known, generator=torch.Generator().manual_seed(5))
    assert torch.equal(drawn[:, known], x[:, known])
    assert not drawn.isnan().any()


@pytest.mark.parametrize("cls", [MixedTree, HiddenTree])
def test_trees_sample_from_the_posterior(cls: type[nn.Module]) -> None:
    model = built(cls)
    x = torch.tensor([[NAN, 1.0, 2.0]]).expand(20_000, 3)
    everything = torch.ones(3, dtype=torch.bool)
    drawn = model.complete(x, everything, generator=torch.Generator().manual_seed(6))
    states = torch.tensor([[a, 1.0, 2.0] for a in range(3)])
    posterior = model.log_prob(states).softmax(0)
    found = torch.bincount(drawn[:, 0].long(), minlength=3) / len(drawn)
    assert (found - posterior).abs().max().item() < 0.02


@all_chains
def test_chains_refuse_what_they_cannot_sum_out(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    model = built(cls, **config)
    x = STATES[:4].clone()
    x[1, model.order[1]] = NAN
    wanted = "1 of the 4 rows of a batch have missing cells before others in the order, which "
    wanted += rf"{cls.name} cannot sum out: put .* last \(config\.order\)\. mixed-tree and hidden-"
    wanted += "tree sum out any cells exactly, and mixed-eonade by its orders"
    with pytest.raises(errors.InvalidInput, match=wanted):
        model.log_prob(x)
    with pytest.raises(errors.InvalidInput, match=wanted):
        model.complete(x, torch.ones(3, dtype=torch.bool))
    x[2, model.order[0]] = NAN  # and now no order has the gaps of both rows last
    with pytest.raises(errors.InvalidInput, match=r"cannot sum out, whatever the order\. mixed-"):
        model.log_prob(x)


@all_chains
def test_chains_leave_out_what_is_missing_last(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    """Rows of which the last one, two or all columns of the order are missing."""
    model = built(cls, **config)
    for d in range(3):
        x = STATES.clone()
        x[:, model.order[d:]] = NAN
        known = STATES[:, model.order[:d]]
        same = (known.unsqueeze(1) == known).all(2)
        each = model.log_prob(STATES).expand(len(STATES), -1).masked_fill(~same, -torch.inf)
        assert torch.allclose(model.log_prob(x), each.logsumexp(1), atol=1e-5)


@all_chains
def test_chains_impute_what_is_missing_last(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    """Rows that lack the last column, all but the first, or nothing, as each would be alone."""
    model = built(cls, REAL, **config)
    x = model.sample(3, generator=Streams(0))
    x[0, model.order[3:]] = NAN
    x[1, model.order[1:]] = NAN
    everything = torch.ones(4, dtype=torch.bool)
    drawn = model.complete(x, everything, generator=Streams(7))
    assert torch.equal(drawn[~x.isnan()], x[~x.isnan()]) and not drawn.isnan().any()
    first = model.complete(x[:1], everything, generator=Streams(7))
    assert torch.allclose(first, drawn[:1], atol=1e-5)
    known = everything.clone()
    known[model.order[1:]] = False
    again = model.complete(x, known, generator=Streams(7))
    assert torch.allclose(again[1], drawn[1], atol=1e-5)


@all_chains
def test_conditionals_see_what_comes_before(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    """By the Jacobian of the outputs where cells are real, by other categories elsewhere."""
    model = built(cls, REAL, dataclasses.replace(REAL, name="s"), **config)
    place, k = model.order.argsort().tolist(), getattr(model, "k", 5)
    x = torch.tensor([[1.0, 0.0, 2.0, 0.3, -0.4]])
    base = model.outputs(x)
    jacobian = torch.autograd.functional.jacobian(model.outputs, x)[0, :, 0]
    for j in range(5):
        moved = x.clone()
        moved[0, j] = (x[0, j] + 1) % 2
        changed = (model.outputs(moved) != base)[0]
        if j > 2:
            changed |= jacobian[:, j] != 0
        for i in range(5):
            sees = bool(changed[model.heads.outputs_of(i)].any())
            assert sees == (0 < place[i] - place[j] <= k), (i, j)


@all_chains
def test_a_walk_gives_the_outputs_of_one_pass(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    model = built(cls, REAL, **config)
    x = torch.tensor([[1.0, 0.0, 2.0, 0.3], [2.0, 1.0, 0.0, -1.0]])
    whole = model.outputs(x)
    for d in range(4):
        held = x.clone()
        held[:, model.order[d:]] = 0.0
        order = model.order[d:].tolist()
        for i, outputs in zip(order, model.walk(held, d), strict=True):
            assert torch.allclose(outputs, whole[:, model.heads.outputs_of(i)], atol=1e-5)
            held[:, i] = x[:, i]


@all_models
def test_nats_are_of_the_columns_own_unit(cls: type[nn.Module], config: dict[str, object]) -> None:
    """The same rows in another unit: standardised alike, and the Jacobian is in the nats."""
    metres = built(cls, REAL, **config)
    feet = dataclasses.replace(
        REAL, mean=REAL.mean * 3, std=REAL.std * 3, knots=tuple(3 * knot for knot in REAL.knots)
    )
    x = torch.cat([STATES, torch.linspace(-2, 2, len(STATES)).unsqueeze(1)], 1)
    lost = metres.log_prob(x) - built(cls, feet, **config).log_prob(x)
    assert torch.allclose(lost, torch.full_like(lost, math.log(3)), atol=1e-4)


def test_the_any_order_loss_is_an_estimate_of_the_likelihood() -> None:
    """Over all numbers of known columns, the weighted sums average to -log p in a random order."""
    model = built(MixedEoNADE, hidden=(16,), orders=6)
    model.orders.copy_(torch.tensor(list(itertools.permutations(range(3)))))
    x = STATES[5:6]
    each = torch.stack([model._log_prob_in(x, order) for order in model.orders])
    trainer, random = AnyOrder(model), torch.Generator().manual_seed(0)
    estimates = torch.cat(
        [trainer.values(x.expand(300, 3), random)["order_nll"] for _ in range(40)]
    )
    error = estimates.std() / len(estimates) ** 0.5
    assert (estimates.mean() + each.mean()).abs().item() < 4 * error.item()


def test_chains_differ_in_what_is_used() -> None:
    """24 states: 9 outputs on 9 inputs; of two in a row 2 x 3 and 4 x 2, of all 4 x 3 more."""
    assert built(MixedAR, k=1).free_parameters == 9 + 2 * 3 + 4 * 2
    assert built(MixedFVSBN).free_parameters == 9 + 2 * 3 + 4 * 2 + 4 * 3
    assert built(MixedMADE, hidden=(16,)).A.weight.numel() == 2 * 3 + 4 * 2 + 4 * 3


@pytest.mark.parametrize(
    ("cls", "config", "what"),
    [
        (MixedAR, {"k": 0}, "k is 0; expected 1, the column before, or more"),
        (MixedFVSBN, {"components": 0}, "components is 0; expected 1 or more"),
        (MixedMADE, {"hidden": ()}, r"hidden is \[\]; expected the size of a layer or more"),
        (MixedNADE, {"hidden": 0}, "sigmoid or relu units, one or more; given hidden = 0"),
        (MixedNADE, {"activation": "tanh"}, "activation = 'tanh'"),
        (MixedAttention, {"d": 9, "h": 2}, "expected a d that is divisible by h"),
    ],
)
def test_settings_that_cannot_be(cls: type[nn.Module], config: dict[str, Any], what: str) -> None:
    with pytest.raises(errors.InvalidInput, match=what):
        cls((3,), [column.table() for column in DISCRETE], **config)


@pytest.mark.parametrize("cls", sorted({cls for cls, _ in MODELS}, key=str))
def test_a_config_that_cannot_be_built(cls: type[nn.Module]) -> None:
    with pytest.raises(errors.InvalidInput, match="columns has 3 columns; expected 2"):
        cls((2,), [column.table() for column in DISCRETE])


@pytest.mark.parametrize(("cls", "config"), MODELS)
def test_models_of_thousands_of_columns_can_be_loaded(
    cls: type[nn.Module], config: dict[str, object]
) -> None:
    """What is made beside the weights is little, and few calls of torch make it."""
    kinds = [
        Column("r", "real", mean=1.0, std=2.0, knots=(0.0, 1.0, 3.0)),
        Column("b", "binary", ("no", "yes")),
        Column("c", "categorical", tuple("abcdefgh")),
    ]
    tables = [{**kinds[i % 3].table(), "name": f"c{i}"} for i in range(3000)]
    config = {**config, "shape": [3000], "columns": tables}
    listed = len(build_blank(cls, config).state_dict())
    assert len(build_blank(cls, config, listed=listed).state_dict()) == listed
