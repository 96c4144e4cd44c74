"""The hidden Chow-Liu tree against the sum over all its hidden states, and the tree it learns."""

import dataclasses
import itertools

import pytest
import torch
from torch import Tensor
from zoo_autoregressive import hidden_tree
from zoo_autoregressive.hidden_tree import HiddenTree, TreeLikelihood
from zoo_autoregressive.mixed_tree import MixedTree

from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput

K = 3


def tree(D: int = 4, parent: tuple[int, ...] = (1, -1, 1, 2)) -> HiddenTree:
    torch.manual_seed(0)
    model = HiddenTree((D,), states=K)
    model.connect(torch.tensor(parent))
    return model.eval().requires_grad_(False)


def summed(model: HiddenTree, x: Tensor) -> Tensor:
    """log p of rows, (B,), by the sum over all hidden states."""
    of_states = model.logits.log_softmax(1)
    of_values = next(iter(model.cells)).logits.view(-1, 2, K).log_softmax(1)
    each = []
    for z in itertools.product(range(K), repeat=len(model.parent)):
        log_p = torch.zeros(len(x))
        for i, p in enumerate(model.parent.tolist()):
            log_p = log_p + of_states[i, z[i], z[p] if p >= 0 else 0]
            log_p = log_p + of_values[i, x[:, i].long(), z[i]]
        each.append(log_p)
    return torch.stack(each).logsumexp(0)


@pytest.mark.parametrize("parent", [(1, -1, 1, 2), (-1, 0, 1, 2), (-1, -1, 0, 1), (-1,) * 4])
def test_one_pass_is_the_sum_over_all_hidden_states(parent: tuple[int, ...]) -> None:
    model = tree(parent=parent)
    x = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    assert torch.allclose(model.log_prob(x), summed(model, x), atol=1e-5)


def test_the_root_is_in_the_middle() -> None:
    assert tree(5, (-1, 0, 1, 2, 3)).parent.tolist() == [1, 2, -1, 2, 3]
    assert tree(5, (-1, -1, 1, 1, 1)).parent.tolist() == [-1, -1, 1, 1, 1]


def test_what_normalization_fixes_is_no_free_parameter() -> None:
    in_one_tree = tree()
    assert in_one_tree.free_parameters == 2 + 3 * 2 * 3 + 4 * 3
    in_two = tree(parent=(-1, -1, 0, 1))
    assert in_two.free_parameters == 2 * 2 + 2 * 2 * 3 + 4 * 3
    real = Column("r", "real", mean=1.0, std=2.0, knots=(0.0, 1.0, 2.0))
    assert HiddenTree((1,), [real.table()], states=K).free_parameters == 2 + 2 * K


def test_many_columns_keep_their_precision() -> None:
    """A product of 2,000 probabilities is far below what float32 holds."""
    model = tree(2000, tuple(range(-1, 1999)))
    log_p = model.log_prob(torch.zeros(1, 2000)).item()
    assert log_p < -300
    assert log_p == pytest.approx(model.double().log_prob(torch.zeros(1, 2000).double()).item())


def rows(n: int) -> Tensor:
    """Rows in which column 3 mostly repeats column 0, and 2 repeats 1."""
    random = torch.Generator().manual_seed(0)
    x = torch.randint(2, (n, 4), generator=random).float()
    kept = torch.rand(n, generator=random) < 0.9
    x[:, 3] = torch.where(kept, x[:, 0], x[:, 3])
    x[:, 2] = torch.where(kept, x[:, 1], x[:, 2])
    return x


def test_the_tree_is_that_of_all_rows_so_far() -> None:
    torch.manual_seed(0)
    model, x = HiddenTree((4,), states=2), rows(1600)
    trainer, random = TreeLikelihood(model, counted=4), torch.Generator()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    def update(loss: Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    trees = []
    for step in range(1, 201):
        batch = x[(step - 1) % 8 * 200 :][:200]
        trainer.training_step(batch, {"model": update}, random, step=step)
        trees.append(model.parent.tolist())
    counted = MixedTree((4,))
    counted.fit(counted.statistics(x[:800]))
    edges = {frozenset((i, p)) for i, p in enumerate(counted.parent.tolist()) if p >= 0}
    assert edges == {frozenset((0, 3)), frozenset((1, 2))}
    assert {frozenset((i, p)) for i, p in enumerate(trees[-1]) if p >= 0} == edges
    assert trees[3] == trees[-1], "the tree stays as it is when enough is counted"
    # as good as the tables of the tree itself
    with torch.no_grad():
        assert model.log_prob(x).mean() > counted.log_prob(x).mean() - 0.02


def test_the_edges_of_very_many_columns_are_learned_by_fewer_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Column("r", "real", knots=(-2.0, -1.0, 0.0, 1.0, 2.0))
    columns = [dataclasses.replace(real, name=f"r{i}") for i in range(4)]
    monkeypatch.setattr(hidden_tree, "_MOST_PAIRS", 6 * 9)
    model = HiddenTree((4,), [column.table() for column in columns], states=K)
    trainer = TreeLikelihood(model)
    assert trainer._tree.sizes == [3, 3, 3, 3]
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0))
    x[:, 3] = x[:, 0]
    trainer.training_step(x, {"model": lambda loss: None}, torch.Generator())
    assert model.parent[3] == 0 or model.parent[0] == 3


@pytest.mark.parametrize(
    ("parent", "found"),
    [([1, 0, -1, -1], "goes in a circle"), ([7, -1, -1, -1], "names columns that there are not")],
)
def test_weights_without_a_tree_are_refused(parent: list[int], found: str) -> None:
    state = tree().state_dict() | {"parent": torch.tensor(parent)}
    with pytest.raises(ValueError, match=found):
        tree().load_state_dict(state)


def test_a_tree_without_states_is_refused() -> None:
    with pytest.raises(InvalidInput, match="states is 0; expected 1 or more"):
        HiddenTree((4,), states=0)
