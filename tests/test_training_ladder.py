"""The ladder: which architectures fit a table, and how their settings are chosen."""

import math
import re
import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from torch import Tensor
from zoo_autoregressive.bernoulli import Bernoulli

import zoo_core
from zoo_core import errors
from zoo_core.hookspecs import Architecture
from zoo_core.training import ladder
from zoo_core.training.ladder import Rung
from zoo_core.training.patience import TimeLimit
from zoo_core.training.run import Run
from zoo_core.training.rungs import Candidate
from zoo_core.training.train import train


def climbed(
    data: Path, folder: Path, budget: float = 0.01, **options: Any
) -> tuple[dict[str, Rung], list[str]]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "say", said.append)
        rungs = zoo_core.ladder(data, output=folder, budget=budget, device="cpu", **options)
    return {rung.name: rung for rung in rungs}, said


def test_rungs_of_mixed_columns(tmp_path: Path) -> None:
    """Fitted, chosen on validation, and left out where a model cannot take the table."""
    rows = [f"{(i * 37 % 60) / 4 if i else ''},{i % 2},{(i % 2) ^ (i % 7 == 0)}" for i in range(60)]
    (tmp_path / "t.csv").write_text("r,a,b\n" + "\n".join(rows) + "\n")
    names = ("mixed-independent", "mixed-tree", "mixed-made")
    rungs, said = climbed(tmp_path / "t.csv", tmp_path / "ladder", 60, only=names)
    assert set(rungs) == {"mixed-independent", "mixed-tree"}
    assert any("mixed-made is left out" in line and "missing cells" in line for line in said)
    tree = rungs["mixed-tree"]
    assert tree.test.parameters >= rungs["mixed-independent"].test.parameters
    assert tree.test.bits_per_dim is None, "a density has none"
    assert (tree.run.folder / "model.safetensors").is_file()
    assert not (tmp_path / "ladder" / ".tries").exists(), "what is not kept is removed"

    found = {}
    for line in said:
        if line.startswith("mixed-tree, config.alpha = "):
            alpha, _, nats = line.removeprefix("mixed-tree, config.alpha = ").partition(": ")
            found[alpha] = float(nats.split()[0])
    assert set(found) == {"0.1", "1.0", "10.0"}
    assert found[str(tree.settings["config.alpha"])] == min(found.values())


def test_rungs_of_binary_columns(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    only = ("bernoulli", "fvsbn")
    rungs, _ = climbed(tmp_path / "t.csv", tmp_path / "ladder", only=only, seeds=2)
    assert rungs["bernoulli"].deviation == 0, "counting has no seed"
    fvsbn = rungs["fvsbn"]
    assert (fvsbn.deviation or 0) >= 0
    assert fvsbn.test.nats and fvsbn.test.nats.value == pytest.approx(fmean(fvsbn.of_seeds))
    with pytest.raises(errors.UnknownName, match="'mixed-tree' is no rung for this table; there"):
        climbed(tmp_path / "t.csv", tmp_path / "ladder", only=["mixed-tree"])


def test_a_run_of_an_earlier_ladder_that_is_not_fitted_again_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0\n1\n1\n" * 20)  # of one column, which made cannot take
    (tmp_path / "made.t").mkdir()
    rungs, said = climbed(tmp_path / "t.csv", tmp_path, only=["bernoulli", "made"], force=True)
    assert set(rungs) == {"bernoulli"}
    assert said[-1] == f"{tmp_path}/made.t is of an earlier ladder; it was not fitted again"


def test_seeds_share_a_recipe_and_an_epoch_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    trained: list[dict[str, Any]] = []

    def recorded(name: str, *, output: Path, force: bool, **recipe: Any) -> Run:
        callbacks = recipe.pop("callbacks")
        trained.append({"folder": output.name, **recipe})
        return train(name, output=output, force=force, callbacks=callbacks, **recipe)

    monkeypatch.setattr("zoo_core.training.train.train", recorded)
    climbed(tmp_path / "t.csv", tmp_path / "ladder", only=["fvsbn"], seeds=3)
    measured = [recipe for recipe in trained if recipe["folder"] == "measured"]
    assert len(measured) == 1, "weight decay does not change the pace"
    kept, *others = trained[-3:]
    assert (kept["folder"], kept["seed"]) == ("fvsbn.t", 0)
    assert [recipe["seed"] for recipe in others] == [1, 2]
    for recipe in others:
        assert recipe | {"seed": 0, "folder": "fvsbn.t"} == kept


def test_a_training_that_is_slower_than_planned_is_stopped_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    monkeypatch.setattr(ladder._Ladder, "_epochs", lambda *_: 10**6)
    began, said = time.monotonic(), list[str]()

    def say(line: str) -> None:
        said.append(line)
        time.sleep(0.6)  # more than a second over, however fast the machine is

    monkeypatch.setattr(ladder, "say", say)
    rungs = zoo_core.ladder(tmp_path / "t.csv", output=tmp_path, budget=1, only=["fvsbn"])
    assert [rung.name for rung in rungs] == ["fvsbn"]
    assert any(
        "of 1,000,000 epochs: it was slower" in line and "slower than planned" in line
        for line in said
    )
    took = next(line for line in said if line.startswith("the ladder took"))
    assert took.endswith("s, and was to take 1 s"), "what trainings take beside their epochs"
    assert time.monotonic() - began < 60


def test_what_is_stopped_is_named_as_a_rung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mixed-independent` and `mixed-chain` are rungs of the architecture `mixed-tree`."""
    rows = [f"{i * 37 % 60 / 4},{i % 2}" for i in range(8000)]  # two batches of 5,000
    (tmp_path / "t.csv").write_text("r,a\n" + "\n".join(rows) + "\n")
    monkeypatch.setattr(ladder, "_SLACK", 0)
    names = ("mixed-independent", "mixed-chain")
    rungs, said = climbed(tmp_path / "t.csv", tmp_path / "ladder", 60, only=names)
    assert {line.split(":")[0] for line in said if ": stopped at" in line} == set(names)
    assert {rung.validation.name for rung in rungs.values()} == set(names)


def test_the_best_rung_has_half_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is left when settings are chosen; the others share the rest alike."""
    found, shares = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 4.0}, dict[str, float]()

    def choose(_: object, rung: Candidate, share: float) -> ladder._Choice:
        return ladder._Choice(rung, {}, found[rung.name], 0.0)

    def train_rung(_: object, choice: ladder._Choice, share: float) -> None:
        shares[choice.rung.name] = share

    monkeypatch.setattr(ladder._Ladder, "_choose", choose)
    monkeypatch.setattr(ladder._Ladder, "_rung", train_rung)
    monkeypatch.setattr(ladder, "_left", lambda ends: ends - sum(shares.values()))
    climbing = ladder._Ladder.__new__(ladder._Ladder)
    object.__setattr__(climbing, "_paces", {})
    record = Architecture("a", "a:A", "", ())
    list(climbing.climb([Candidate(name, "autoregressive", record, [{}]) for name in found], 100.0))
    assert shares == pytest.approx({"b": 50, "c": 50 / 3, "a": 50 / 3, "d": 50 / 3})
    assert [*shares] == ["b", "c", "a", "d"]


def test_with_no_time_no_settings_are_tried_and_one_rung_is_trained(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    only = ("bernoulli", "fvsbn", "made")
    rungs, said = climbed(tmp_path / "t.csv", tmp_path / "ladder", only=only)
    assert set(rungs) == {"bernoulli", "fvsbn"}
    assert "made is left out: no time is left for it" in said
    assert (
        "made: no time to try config.dropout = 0.0; config.dropout = 0.2; config.dropout = 0.5"
        in said
    )


def test_a_seed_that_was_stopped_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(600))
    (tmp_path / "t.csv").write_text(rows)

    def train_slowly(name: str, *, seed: int, callbacks: list[TimeLimit], **recipe: Any) -> Run:
        callbacks[0].ends = time.monotonic() + (0 if seed == 1 else 60)
        return train(name, seed=seed, callbacks=callbacks, **recipe)

    monkeypatch.setattr("zoo_core.training.train.train", train_slowly)
    rungs, _ = climbed(tmp_path / "t.csv", tmp_path / "ladder", 2, only=["fvsbn"], seeds=3)
    assert len(rungs["fvsbn"].of_seeds) == 2


def test_counting_is_bounded_by_the_budget(tmp_path: Path) -> None:
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    rungs, said = climbed(tmp_path / "t.csv", tmp_path, only=("bernoulli", "markov", "chow-liu"))
    assert set(rungs) == {"bernoulli"}
    assert rungs["bernoulli"].settings["config.alpha"] == 1.0, "the usual one"
    assert "bernoulli: no time to try config.alpha = 0.1; config.alpha = 10.0" in said
    assert "markov is left out: no time is left for it" in said
    assert "chow-liu is left out: no time is left for it" in said


def test_a_rung_of_too_many_parameters_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step of it may take longer than the ladder, and cannot be stopped."""
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(rows)
    monkeypatch.setattr(ladder, "_MOST_PARAMETERS", 11)
    rungs, said = climbed(tmp_path / "t.csv", tmp_path, only=("bernoulli", "fvsbn"))
    assert set(rungs) == {"bernoulli"}
    assert any(
        "fvsbn is left out: it would have 12 parameters, and a ladder takes at most 11" in line
        and "zoo train fvsbn --data" in line
        for line in said
    )


def test_a_ladder_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n" + "".join(f"{i % 3},{i / 7}\n" for i in range(60)))
    names = ["mixed-tree", "mixed-independent"]
    rungs = zoo_core.ladder("t.csv", budget=60, only=names, device="cpu", quiet=True)
    assert sorted(rung.name for rung in rungs) == sorted(names)
    assert rungs[0].test.parameters <= rungs[1].test.parameters
    assert rungs[0].run.folder.parent == Path("runs/ladder.t")
    assert "mixed-tree: " not in capsys.readouterr().err
    Path("gaps.csv").write_text("a,b\n" + "".join(f"{i % 3 or ''},{i / 7}\n" for i in range(60)))
    with pytest.raises(errors.InvalidInput, match=r"no model could be fitted.*mixed-made is left"):
        zoo_core.ladder("gaps.csv", budget=0.1, only=["mixed-made"], device="cpu", quiet=True)


def test_images_are_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="holds images: the ladder is of tables"):
        zoo_core.ladder("bars-and-stripes")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"budget": "soon"}, "budget='soon': expected a time above 0, as 90s, 10m or 1h, or sec"),
        ({"budget": 0}, "budget=0: expected a time above 0"),
        ({"budget": float("nan")}, "budget=nan: expected a time above 0"),
        ({"budget": None}, "expected a time above 0"),
        ({"only": "mixed-tree"}, "only='mixed-tree': expected a list of names of rungs"),
        ({"seeds": 0}, "seeds=0: expected a whole number, 1 or more"),
        ({"seeds": "3"}, "seeds='3': expected a whole number"),
        ({"columns": "a=real"}, "columns='a=real': expected kinds of columns by their names"),
        ({"data": [[1.0, 2.0]]}, "data is of the type list; expected a name or a path. Save"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], says: str) -> None:
    """They are so before the table is looked for."""
    data = arguments.pop("data", "nowhere.csv")
    with pytest.raises(errors.InvalidInput, match=re.escape(says)):
        zoo_core.ladder(data, **arguments)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7", 7)])
def test_a_budget_is_a_number_or_a_text(text: str, seconds: float) -> None:
    assert ladder._seconds(text) == ladder._seconds(seconds) == seconds


def test_measuring_is_bounded_by_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On fewer rows, which is said, and in the entry of the run; a try needs no test split."""
    rows = "".join(f"{i % 2},{i % 3 % 2},{i % 5 % 2}\n" for i in range(30_000))
    (tmp_path / "t.csv").write_text(rows)
    log_prob = Bernoulli.log_prob

    def slow(self: Bernoulli, x: Tensor) -> Tensor:
        time.sleep(0.5)  # 3 seconds for all rows of a split
        return log_prob(self, x)

    monkeypatch.setattr(Bernoulli, "log_prob", slow)
    rungs, said = climbed(tmp_path / "t.csv", tmp_path / "ladder", 3, only=["bernoulli"])
    rung = rungs["bernoulli"]
    assert rung.test.nats and rung.test.nats.n == 500
    assert "bernoulli: 500 of 3,000 rows of the test split are measured" in "\n".join(said)
    assert rung.validation.nats and rung.validation.nats.n == 500
    (metric,) = rung.run.entry["metrics"]
    assert metric["protocol"]["data"].endswith("t.csv:test[0:500]")
    assert zoo_core.evaluate(rung.run.folder)["test_nll"].value == pytest.approx(
        metric["value"], abs=0.0006
    )


def test_the_best_rung_comes_to_the_entropy_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of r, a Gaussian, and s, one about 0.8 r: log(2πe · 2 · 0.6) nats."""
    monkeypatch.setattr(ladder._Ladder, "_epochs", lambda *_: 30)  # on a slow machine too
    random = torch.Generator().manual_seed(0)
    r = 2 * torch.randn(4000, generator=random)
    s = 0.8 * r + 0.6 * torch.randn(4000, generator=random)
    rows = [f"{a:.5f},{b:.5f}" for a, b in zip(r.tolist(), s.tolist(), strict=True)]
    (tmp_path / "t.csv").write_text("r,s\n" + "\n".join(rows) + "\n")
    names = ("mixed-independent", "mixed-ar")
    rungs, _ = climbed(tmp_path / "t.csv", tmp_path / "ladder", 600, only=names)
    found, apart = rungs["mixed-ar"].test.nats, rungs["mixed-independent"].test.nats
    assert found and apart
    entropy = math.log(2 * math.pi * math.e * 2 * 0.6)
    assert abs(found.value - entropy) < 3 * found.error
    shared = 0.5 * math.log(1 + (0.8 * 2 / 0.6) ** 2)  # information between the two
    assert apart.value - entropy == pytest.approx(shared, abs=4 * apart.error)
    assert min(rungs.values(), key=lambda rung: rung.nats).name == "mixed-ar"
