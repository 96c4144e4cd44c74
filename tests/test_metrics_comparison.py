"""Models beside one another: exact values, bounds, and none."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo_core
from zoo_core import plugins
from zoo_core.data import Dataset, load_dataset
from zoo_core.data.columns import Column
from zoo_core.errors import InvalidInput
from zoo_core.loading.meta import build_blank
from zoo_core.metrics.comparison import Comparison, parameters
from zoo_core.protocols import ELBO
from zoo_core.registry import Registry, own_registry

BARS = "bars-and-stripes:test"


class Noise(nn.Module):
    """An implicit model: it draws, and gives no likelihood."""

    levels = 2
    event_shape = (1, 3, 3)

    def sample(
        self, n: int, *, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        return torch.rand(n, 1, 3, 3, generator=generator).round()


class Bounded(Noise):
    """A model with a bound that is estimated from random numbers."""

    levels = 2

    def elbo(self, x: Tensor, *, generator: torch.Generator | None = None) -> ELBO:
        return ELBO(-torch.ones(len(x)), 9 + torch.rand(len(x), generator=generator))

    def log_prob_bound(
        self, x: Tensor, k: int = 1, *, generator: torch.Generator | None = None
    ) -> Tensor:
        return -10 - torch.rand(len(x), generator=generator)


class FairCoins(Noise):
    """Independent variables, each 1 with probability 1/2, by nine numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(9))

    def log_prob(self, x: Tensor) -> Tensor:
        return x.flatten(1).shape[1] * -math.log(2) + 0 * x.flatten(1).sum(1)


class Economical(FairCoins):
    """It says that it uses three of its numbers."""

    free_parameters = 3


def test_an_explicit_model_is_exact() -> None:
    standing = Comparison(BARS, samples=5).stand("coins", FairCoins())
    assert (standing.kind, standing.note, standing.values) == ("exact", "", "binary")
    assert standing.nats is not None
    assert standing.nats.value == pytest.approx(9 * math.log(2), abs=1e-5)
    assert standing.bits_per_dim == pytest.approx(1, abs=1e-5)
    assert standing.samples is not None
    assert standing.samples.shape == (5, 1, 3, 3)


def test_a_bound_is_marked_and_the_same_each_time() -> None:
    first, again = (Comparison(BARS).stand("bounded", Bounded()) for _ in range(2))
    assert first.kind == "bound"
    assert first.nats == again.nats
    assert first.nats is not None
    assert 10 < first.nats.value < 11


def test_an_implicit_model_is_listed_with_a_note() -> None:
    standing = Comparison(BARS, samples=2).stand("noise", Noise())
    assert (standing.nats, standing.bits_per_dim, standing.kind) == (None, None, "")
    assert standing.note == "an implicit model: it can be sampled, and has no likelihood"
    assert standing.samples is not None


def test_a_model_may_say_how_many_of_its_numbers_are_used() -> None:
    assert (parameters(FairCoins()), parameters(Economical())) == (9, 3)


def test_a_registry_states_the_parameters_that_a_comparison_shows() -> None:
    """Those of the model, without its buffers, which its file holds too."""
    for entry in Registry.load([own_registry()]).entries.values():
        found = plugins.architecture(entry.architecture, entry.family)
        model = build_blank(plugins.import_class(found.path), entry.config)
        assert parameters(model) == entry.weights.parameters, entry.name


def test_rows_of_another_shape_name_the_model_and_what_to_do(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.csv").write_text("0,1,1,0\n1,1,0,0\n")
    with pytest.raises(InvalidInput, match=r"coins takes rows of shape \(1, 3, 3\), but those of"):
        Comparison(f"{tmp_path}:test").stand("coins", FairCoins())


def test_a_table_in_memory_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n" + "".join(f"{i % 3 or ''},{i / 7}\n" for i in range(60)))
    model = zoo_core.train("mixed-tree", data="t.csv", quiet=True, output="run").model
    read = Comparison("t.csv:test").stand("tree", model)
    table = load_dataset("t.csv:test")
    Path("t.csv").unlink()
    held = Comparison("t.csv:test", table=table).stand("tree", model)
    assert held.nats and read.nats
    assert held.nats.value == pytest.approx(read.nats.value, abs=1e-6)
    assert (held.nats.n, held.values, held.kind) == (read.nats.n, read.values, read.kind)


def test_rows_in_memory_are_measured_as_long_as_there_is_time() -> None:
    """In a random order that is the same for all models, at least a batch of them."""
    x = torch.arange(1200.0).remainder(7).unsqueeze(1).expand(-1, 9)
    table = Dataset("t", "test", x, None)

    class OfFirst(FairCoins):
        levels = None  # type: ignore[assignment]

        event_shape = (9,)  # type: ignore[assignment]

        def log_prob(self, x: Tensor) -> Tensor:
            return -x[:, 0]

    comparison = Comparison("t:test", table=table)
    some, whole = (comparison.stand("a", OfFirst(), seconds=s) for s in (0.0, math.inf))
    assert some.nats and some.nats.n == 500 and whole.nats and whole.nats.n == 1200
    assert some.each is not None and whole.each is not None
    assert some.each.equal(whole.each[:500])
    assert whole.each.sort().values.equal(x[:, 0].double().sort().values)
    assert not whole.each.equal(x[:, 0].double()), "a table may be sorted"
    assert whole.nats.value == pytest.approx(x[:, 0].mean().item())


def test_missing_cells_that_are_scored_by_orders_are_said_to_be(tmp_path: Path) -> None:
    columns = [Column("a", "binary", ("0", "1")), Column("b", "ordinal", ("0", "1", "2"))]
    tables = [column.table() for column in columns]
    model, tree = (
        zoo_core.create(name, shape=(2,), columns=tables) for name in ("mixed-eonade", "mixed-tree")
    )
    x = torch.tensor([[0.0, 1.0], [1.0, 2.0], [1.0, math.nan]])
    table = Dataset("t", "test", x, None, columns=tuple(columns))
    found = Comparison("t:test", table=table).stand("any-order", model)
    assert found.kind == "by orders" and "is no marginal" in found.note
    whole = Comparison("t:test", table=table[:2]).stand("any-order", model)
    assert (whole.kind, whole.note) == ("exact", "")
    assert Comparison("t:test", table=table).stand("tree", tree).kind == "exact"

    Path(tmp_path, "t.csv").write_text("a,b\n0,1\n1,2\n1,\n")
    scored = zoo_core.run(model, "score", inputs=tmp_path / "t.csv")
    assert [row["likelihood"] for row in scored.rows] == ["exact", "exact", "by orders"]
    assert any("is no marginal" in note for note in scored.notes)
    assert "likelihood" not in zoo_core.run(tree, "score", inputs=tmp_path / "t.csv").rows[0]
    judged = zoo_core.run(model, "detect", inputs=tmp_path / "t.csv")
    assert any("is no marginal" in note for note in judged.notes)


def test_what_is_no_model_to_compare() -> None:
    with pytest.raises(InvalidInput, match="no model is given to compare: expected some"):
        zoo_core.compare()
    for several in ([FairCoins()], ("bernoulli.nltcs", "nade.nltcs")):
        with pytest.raises(InvalidInput, match=r"give each on its own, as compare\(\*models\)"):
            zoo_core.compare(several)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match=r"3 is no model to compare\. Expected a model"):
        zoo_core.compare(3)  # type: ignore[arg-type]


def test_comparing_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models in memory and names of runs, on the test split of what all were trained on."""
    monkeypatch.chdir(tmp_path)
    zoo_core.train("bernoulli", data="bars-and-stripes", epochs=1, quiet=True, output="bernoulli")
    run = zoo_core.train("markov", data="bars-and-stripes", epochs=1, quiet=True, output="markov")
    first, second = zoo_core.compare("./bernoulli", run.model)
    assert (first.name, second.name) == ("bernoulli.bernoulli", "markov.markov")
    comparison = Comparison(BARS)
    assert second == comparison.stand(second.name, run.model)
    assert first.nats and second.nats and first.nats.value > second.nats.value
    untrained = zoo_core.create("nade", shape=(1, 3, 3))
    with pytest.raises(InvalidInput, match=r"no data set in common: .* nade on unknown data. Give"):
        zoo_core.compare(run.model, untrained)
    (alone,) = zoo_core.compare(untrained, data="bars-and-stripes")
    assert alone.nats and alone.nats.n == first.nats.n
