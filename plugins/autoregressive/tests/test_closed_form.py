"""The closed-form models: what their counts come to, and the parameters that textbooks give."""

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from zoo_autoregressive.ar import AR
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.bernoulli import Bernoulli
from zoo_autoregressive.categorical import Categorical
from zoo_autoregressive.chow_liu import ChowLiu
from zoo_autoregressive.counting import Counting
from zoo_autoregressive.joint import Joint
from zoo_autoregressive.markov import Markov

from zoo_core.cli import root
from zoo_core.errors import InvalidInput
from zoo_core.training.likelihood import MaximumLikelihood


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def counted(model: Any, x: Tensor, batches: int = 1) -> Any:
    trainer = Counting(model)
    for batch in x.chunk(batches):
        trainer.training_step(batch, {}, seeded())
    return model


@pytest.mark.parametrize(
    ("model", "numbers"),
    [
        (Bernoulli(), 784),
        (Bernoulli((16,)), 16),
        (Categorical(), 784 * 255),
        (Markov((16,)), 31),
        (ChowLiu((16,)), 31),
        (Joint((16,)), 65535),
        (AR((16,), k=3), 16 + 0 + 1 + 2 + 3 * 13),
        (AR((16,), k=15), 16 * 17 // 2),
        (AR((16,), k=3, tied=True), 4),
        (AR((16,), k=3, tied=True, values="real"), 5),
    ],
)
def test_a_model_has_as_many_numbers_as_its_formula(model: nn.Module, numbers: int) -> None:
    held = sum(parameter.numel() for parameter in model.parameters())
    assert getattr(model, "free_parameters", held) == numbers


def test_counts_do_not_depend_on_batches() -> None:
    x = torch.bernoulli(torch.full((200, 5), 0.3), generator=seeded())
    for make in (Bernoulli, Markov, ChowLiu, Joint):
        whole, parts = counted(make((5,)), x), counted(make((5,)), x, batches=7)
        assert torch.equal(whole.log_prob(x), parts.log_prob(x)), make.__name__


def test_smoothing_is_laplaces_rule() -> None:
    x = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    model = counted(Bernoulli((2,)), x)
    assert torch.sigmoid(model.logits).tolist() == pytest.approx([4 / 5, 2 / 5])
    table = counted(Joint((2,), alpha=0.5), x).log_p().exp()
    assert table.tolist() == pytest.approx([0.5 / 5, 0.5 / 5, 2.5 / 5, 1.5 / 5])


def test_categories_are_counted_one_by_one() -> None:
    x = torch.tensor([[0.0], [0.5], [0.5], [1.0]])
    model = counted(Categorical((1,), levels=3), x)
    assert model.log_p().exp().tolist() == [pytest.approx([2 / 7, 3 / 7, 2 / 7])]


@pytest.mark.parametrize("make", [Bernoulli, Categorical, Markov, ChowLiu, Joint])
@pytest.mark.parametrize("alpha", [0.0, -1.0, math.inf, math.nan])
def test_smoothing_must_leave_the_unseen_possible(make: Any, alpha: float) -> None:
    with pytest.raises(InvalidInput, match=r"alpha is .*; expected a number above 0"):
        make((4,), alpha=alpha)


def test_a_table_of_25_variables_is_refused_with_its_size() -> None:
    with pytest.raises(InvalidInput, match="25 binary variables has 2\\^25 - 1 = 33,554,431 param"):
        Joint((5, 5))
    with pytest.raises(InvalidInput, match="2\\^784 - 1 = about 10\\^236 parameters"):
        Joint((1, 28, 28))


def test_the_table_of_all_seen_data_is_their_distribution() -> None:
    x = torch.bernoulli(torch.full((1000, 4), 0.4), generator=seeded())
    model = counted(Joint((4,), alpha=1e-9), x)
    rows, counts = x.unique(dim=0, return_counts=True)
    assert torch.allclose(model.log_prob(rows).exp(), counts / 1000, atol=1e-6)


PARENTS = {3: 0, 1: 3, 4: 3, 2: 4}
"""Each variable's parent in a tree that is no chain, from the root 0 on."""


def from_tree(n: int) -> Tensor:
    x = torch.zeros(n, 5)
    x[:, 0] = torch.bernoulli(torch.full((n,), 0.5), generator=seeded())
    for number, (child, parent) in enumerate(PARENTS.items()):
        flip = torch.bernoulli(torch.full((n,), 0.15), generator=seeded(1 + number))
        x[:, child] = (x[:, parent] + flip) % 2
    return x


def test_chow_liu_finds_the_tree_that_data_come_from() -> None:
    model = counted(ChowLiu((5,)), from_tree(5000))
    order, parent = model.order.tolist(), model.parent.tolist()
    found = {child: order[place] for child, place in zip(order[1:], parent, strict=True)}
    assert found == PARENTS
    assert order[0] == 0
    assert all(place <= t for t, place in enumerate(parent)), "a child comes before its parent"


def test_the_right_tree_is_worth_more_than_the_chain() -> None:
    x = from_tree(5000)
    tree, chain = (-counted(make((5,)), x).log_prob(x).mean() for make in (ChowLiu, Markov))
    entropy = math.log(2) - 4 * (0.15 * math.log(0.15) + 0.85 * math.log(0.85))
    assert tree == pytest.approx(entropy, abs=0.02)
    assert chain > tree + 0.2


def test_constant_variables_do_not_spoil_the_tree() -> None:
    x = torch.cat([from_tree(1000), torch.zeros(1000, 2)], 1)
    model = counted(ChowLiu((7,)), x)
    assert sorted(model.order.tolist()) == list(range(7))
    assert model.log_prob(x).isfinite().all()


def test_a_tree_completes_any_mask_exactly() -> None:
    model = counted(ChowLiu((5,)), from_tree(5000))
    known = torch.tensor([False, True, False, False, True])
    states = (torch.arange(32).unsqueeze(1) >> torch.arange(5) & 1).float()
    p = model.log_prob(states).exp()
    fits = (states[:, known] == 1).all(1)
    wanted = (p * fits) @ states / (p * fits).sum()
    drawn = model.complete(torch.ones(40_000, 5), known, generator=seeded())
    assert torch.allclose(drawn.mean(0), wanted, atol=0.01)


def test_ar_depends_on_the_k_variables_before_and_on_no_other() -> None:
    model = AR((6,), k=2, order="random", order_seed=3)
    with torch.no_grad():
        model.W.fill_(1.0)
        model.b.fill_(0.5)
    x = torch.zeros(1, 6)
    for place, i in enumerate(model.order.tolist()):
        flipped = x.clone()
        flipped[0, i] = 1
        moved = (model.conditionals(flipped) - model.conditionals(x))[0, model.order].abs() > 1e-6
        assert moved.nonzero().flatten().tolist() == [*range(place, min(place + 3, 6))]


@pytest.mark.parametrize("order", ["backwards", [0, 1], [0, 1, 1], [1, 2, 3], ["a", "b", "c"], 5])
def test_an_order_visits_each_variable_once(order: Any) -> None:
    message = re.escape(
        f"order is {order!r}; expected raster, random, or a list of the variables, 0"
    )
    with pytest.raises(InvalidInput, match=message):
        AR((3,), k=2, order=order)


def test_the_last_weight_belongs_to_the_variable_just_before() -> None:
    model = AR((3,), k=2)
    with torch.no_grad():
        model.W[2] = torch.tensor([5.0, 7.0])
    assert model.location(torch.tensor([[1.0, 0.0, 0.0]]))[0, 2] == 5
    assert model.location(torch.tensor([[0.0, 1.0, 0.0]]))[0, 2] == 7


def test_a_tied_gaussian_ar_finds_the_process_that_data_come_from() -> None:
    torch.manual_seed(0)
    source = AR((30,), k=2, values="real", tied=True)
    with torch.no_grad():
        source.W.copy_(torch.tensor([[-0.5, 0.9]]))
        source.b.fill_(0.3)
        source.log_σ.fill_(math.log(0.2))
    x = source.sample(400, generator=seeded())
    model = AR((30,), k=2, values="real", tied=True)
    trainer = MaximumLikelihood(model)
    trainer.begin(x.mean(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(400):
        optimizer.zero_grad()
        trainer.training_step(x, {"model": torch.Tensor.backward}, seeded())
        optimizer.step()
    assert model.levels is None
    assert model.W[0].tolist() == pytest.approx([-0.5, 0.9], abs=0.03)
    assert model.b.item() == pytest.approx(0.3, abs=0.03)
    assert model.log_σ.exp().item() == pytest.approx(0.2, abs=0.01)


def test_the_gaussian_density_integrates_to_one() -> None:
    model = AR((2,), k=1, values="real")
    with torch.no_grad():
        model.W.fill_(0.7)
        model.b.copy_(torch.tensor([0.2, -0.4]))
    line = torch.linspace(-8, 8, 401)
    x = torch.cartesian_prod(line, line)
    assert model.log_prob(x).exp().sum().item() * 0.04**2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"k": 0}, "k is 0; expected 1 to 3: there are 4 variables"),
        ({"k": 4}, "k is 4; expected 1 to 3"),
        ({"values": "gaussian"}, "values 'gaussian' is unknown: expected binary or real"),
    ],
)
def test_an_ar_that_cannot_be(config: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        AR((4,), **config)


def train(*arguments: str) -> int:
    return CliRunner().invoke(root, ["train", "--quiet", *arguments]).exit_code


def chow_liu(folder: Path) -> list[str]:
    settings = ["--epochs", "5", "--batch-size", "6", "--threads", "1"]
    return ["chow-liu", "--data", "bars-and-stripes", *settings, "-o", str(folder)]


def test_counts_survive_a_run_that_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "chow-liu.whole", tmp_path / "chow-liu.stopped"
    assert train(*chow_liu(whole)) == 0
    step, steps = Counting.training_step, list[int]()

    def until_the_tenth(self: Counting, *arguments: Any) -> dict[str, Tensor]:
        steps.append(1)
        if len(steps) == 10:
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(Counting, "training_step", until_the_tenth)
    assert train(*chow_liu(stopped)) != 0
    monkeypatch.undo()
    assert train("--resume", str(stopped)) == 0
    tables = [tomllib.loads((f / "entry.toml").read_text())["entry"][0] for f in (whole, stopped)]
    assert tables[0]["metrics"] == tables[1]["metrics"]
    last = [(f / "checkpoints" / "last.safetensors").read_bytes() for f in (whole, stopped)]
    assert last[0] == last[1]


def test_an_entry_counts_the_numbers_that_are_used(tmp_path: Path) -> None:
    folder = tmp_path / "ar.bars"
    settings = ["--data", "bars-and-stripes", "--epochs", "1", "--set", "config.k=3"]
    assert train("ar", *settings, "-o", str(folder)) == 0
    (table,) = tomllib.loads((folder / "entry.toml").read_text())["entry"]
    assert table["weights"]["parameters"] == 9 + 0 + 1 + 2 + 3 * 6


def test_levels_are_those_of_the_data(tmp_path: Path) -> None:
    table = tmp_path / "dice.csv"
    table.write_text("\n".join(f"{i % 6},{i // 6 % 6}" for i in range(100)))
    folder = tmp_path / "categorical.dice"
    assert train("categorical", "--data", str(table), "--epochs", "1", "-o", str(folder)) == 0
    (made,) = tomllib.loads((folder / "entry.toml").read_text())["entry"]
    assert made["config"]["levels"] == 6
    assert made["weights"]["parameters"] == 2 * 5


def test_counts_are_whole_numbers_in_mixed_precision() -> None:
    x = (torch.rand(1000, 1, 3, 3, generator=seeded()) < 0.7).float()
    exact, mixed = ChowLiu((1, 3, 3)), ChowLiu((1, 3, 3))
    Counting(exact).training_step(x, {}, seeded())
    with torch.autocast("cpu", torch.bfloat16):
        Counting(mixed).training_step(x, {}, seeded())
    assert all(map(torch.equal, exact.state_dict().values(), mixed.state_dict().values()))
    for model in (Categorical, Attention):
        with pytest.raises(InvalidInput, match="levels is 1; expected 2 or more"):
            model((2,), levels=1)
