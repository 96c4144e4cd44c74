"""The ladder: which architectures fit a table, and how their settings are chosen."""

import time
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

import zoo_core
from zoo_core import errors
from zoo_core.hookspecs import Architecture
from zoo_core.training import ladder
from zoo_core.training.ladder import Rung, climb
from zoo_core.training.patience import TimeLimit
from zoo_core.training.run import Run
from zoo_core.training.rungs import Candidate
from zoo_core.training.train import train


def climbed(
    data: Path, folder: Path, budget: float = 0.01, **options: Any
) -> tuple[dict[str, Rung], list[str]]:
    said: list[str] = []
    rungs = climb(str(data), folder, budget=budget, say=said.append, device="cpu", **options)
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

    monkeypatch.setattr(ladder, "train", recorded)
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

    rungs = climb(str(tmp_path / "t.csv"), tmp_path, budget=1, only=["fvsbn"], say=say)
    assert [rung.name for rung in rungs] == ["fvsbn"]
    assert any("of 1,000,000 epochs" in line and "slower than planned" in line for line in said)
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
    list(climbing.climb([Candidate(name, record, [{}]) for name in found], 100.0))
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

    monkeypatch.setattr(ladder, "train", train_slowly)
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


def test_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidInput, match="holds images: the ladder is of tables"):
        list(climb("bars-and-stripes", tmp_path))
