"""An entry that is trained again is compared bit by bit."""

import dataclasses
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from safetensors.torch import load_file

import zoo_core
from zoo_core.errors import InvalidInput, UnknownName
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.training.checksums import read_checksums
from zoo_core.training.replay import compare, find_step, replay

Zoo = Callable[..., Result]

DATA = Path(os.environ.get("ZOO_DATA") or "data").absolute()
"""Before each test's environment is its own."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    settings = {"data": "bars-and-stripes", "epochs": 1, "threads": 1, "quiet": True}
    for name, seed in (("nade.stripes", 0), ("other/nade.stripes", 1)):
        zoo_core.train("nade", seed=seed, output=folder / name, config={"hidden": 8}, **settings)
    return folder


@pytest.fixture(autouse=True)
def _published(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Item.of(str(runs / "nade.stripes"))
    publish([item], place_of(str(tmp_path / "zoo")), pictures=False)
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)


def test_the_same_recipe_on_the_same_versions_gives_the_same_file() -> None:
    result = replay("nade.stripes", quiet=True)
    assert result.path == Path("runs/replay/nade.stripes/model.safetensors")
    assert result.same_file and result.same_weights and result.parted == ()
    assert result.verdict == (
        "nade.stripes is reproduced: its file is the registry's, byte by byte."
    )


def test_other_weights_say_where_the_trainings_part(runs: Path) -> None:
    entry = Registry.load().lookup("nade.stripes")
    published, other = (
        runs / name / "model.safetensors" for name in ("nade.stripes", "other/nade.stripes")
    )
    result = compare(entry, published, other)
    assert not result.same_weights
    (parted,) = result.parted
    assert parted.startswith("the recipe: sha256 ")
    assert result.tensors and all(0 < change < 10 for change in result.tensors.values())
    assert "is not reproduced: " in result.verdict and "tensors differ, by up to" in result.verdict
    assert result.step == "the first step that differs: none, the weights differ before it"


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ("0:a 1:b 2:c", "0:x 1:y 2:z", "none, the weights differ before it"),
        ("0:a 1:b 2:c", "0:a 1:y 2:z", "step 1"),
        ("0:a 1:b 2:c 4:d", "0:a 1:b 2:z 4:d", "step 2"),
        ("0:a 1:b 2:c 4:d 8:e", "0:a 1:b 2:c 4:d 8:z", "one of steps 5 to 8"),
        ("0:a 1:b 2:c 4:d", "0:a 1:b 2:c", "one after step 2, the last with a checksum"),
        ("4:d 8:e", "0:a 1:b 2:c 4:z 8:e", "one of steps 0 to 4"),
    ],
)
def test_the_first_step_that_differs_lies_between_two_checksums(
    then: str, now: str, said: str
) -> None:
    assert find_step(then.split(), now.split()) == f"the first step that differs: {said}"


def test_weights_without_checksums_have_no_step(runs: Path) -> None:
    entry = Registry.load().lookup("nade.stripes")
    entry = dataclasses.replace(entry, weights=dataclasses.replace(entry.weights, checksums=()))
    ours = runs / "nade.stripes" / "model.safetensors"
    assert compare(entry, ours, ours).step == ""
    other = runs / "other" / "nade.stripes" / "model.safetensors"
    step = compare(entry, ours, other).step
    assert step.startswith("the first step that differs: not known, since the registry has no ")


def test_the_registry_has_the_checksums_of_a_run_and_another_rate_parts_at_step_1(
    zoo: Zoo, runs: Path, tmp_path: Path
) -> None:
    entry = Registry.load().lookup("nade.stripes")
    assert entry.weights.checksums == read_checksums(runs / "nade.stripes")
    (recipe,) = (tmp_path / "zoo" / "recipes").iterdir()
    text = recipe.read_text()
    assert "lr = 0.001" in text
    recipe.write_text(text.replace("lr = 0.001", "lr = 0.002"))
    result = zoo("train", "--replay", "nade.stripes", "-q")
    assert result.exit_code == 7
    assert result.stdout.splitlines()[1] == "the first step that differs: step 1"


def test_other_versions_may_give_the_same_weights(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_core.training.entry.version", lambda name: "9.9")
    result = replay("nade.stripes", quiet=True)
    assert result.same_weights and not result.same_file
    assert any("zoo-core: " in line and "9.9 now" in line for line in result.parted)
    assert "its weights are the registry's, bit by bit" in result.verdict


def test_the_command_fails_for_other_weights(zoo: Zoo, tmp_path: Path) -> None:
    result = zoo("train", "--replay", "nade.stripes", "-q")
    assert (result.exit_code, result.stdout) == (
        0,
        "nade.stripes is reproduced: its file is the registry's, byte by byte.\n",
    )
    (recipe,) = (tmp_path / "zoo" / "recipes").iterdir()
    recipe.write_text(recipe.read_text().replace("seed = 0", "seed = 3"))
    result = zoo("train", "--replay", "nade.stripes", "-q", "--force")
    assert result.exit_code == 7
    assert result.stdout.startswith("the recipe: sha256 ")
    assert "nade.stripes: what differs is listed above" in result.stderr


@pytest.mark.parametrize("given", [("--epochs", "3"), ("nade",), ("--set", "clip=1")])
def test_a_replay_is_of_the_entrys_own_recipe(zoo: Zoo, given: tuple[str, ...]) -> None:
    result = zoo("train", *given, "--replay", "nade.stripes")
    assert result.exit_code == 2
    assert "would change it: use --like nade.stripes" in result.stderr


def test_what_is_not_reproduced_says_its_figures_and_the_machine(zoo: Zoo, tmp_path: Path) -> None:
    (recipe,) = (tmp_path / "zoo" / "recipes").iterdir()
    recipe.write_text(recipe.read_text().replace("seed = 0", "seed = 3"))
    result = zoo("train", "--replay", "nade.stripes", "-q", "--threads", "1")
    (then,) = Registry.load().lookup("nade.stripes").metrics
    assert f", in the registry {then.value:g}.\n" in result.stdout
    assert "listed above. Here: 1 threads, " in result.stderr


def test_threads_are_those_of_the_recipe_where_it_names_them() -> None:
    with pytest.raises(InvalidInput, match=r"says 1 threads, and threads=2 would change it"):
        replay("nade.stripes", quiet=True, threads=2)


@pytest.mark.parametrize(
    ("model", "sha256"),
    [
        ("bernoulli", "4e30a8d4927d9758c288ee11cef10ffa69b46a7e7f06a8fc8c3cf5f9073a9270"),
        ("markov", "4935bf13ed45a776241a98a1319ccd0b6016f6ac46daa7d5b80f824a000f622e"),
        ("chow-liu", "f02a7631e6cbf4cc285703f2f29053d9fd25b9c52c66ddf6355cae9da5a64a33"),
        ("joint", "2e314a558b1e8015c18d7e12f560c0313c36f47daa959a6ea1241da1ae1d25e2"),
    ],
)
def test_counting_gives_these_weights_on_every_machine(
    model: str, sha256: str, tmp_path: Path
) -> None:
    """Of data that code draws: what can be replayed where there are no data sets."""
    folder = tmp_path / f"{model}.stripes"
    run = zoo_core.train(model, data="bars-and-stripes", epochs=1, output=folder, quiet=True)
    tensors = load_file(run.folder / "model.safetensors")
    data = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
    assert hashlib.sha256(data).hexdigest() == sha256


REPLAYED = [
    *(f"{model}.nltcs" for model in ("bernoulli", "markov", "chow-liu", "joint", "nade")),
    *(f"{model}.mnist" for model in ("bernoulli", "categorical", "markov", "chow-liu")),
    "chow-liu.mnist-noised",
    *(f"{model}.dna" for model in ("fvsbn", "made", "nade")),
]
"""All entries in closed form, and those of small tables."""


def test_these_are_all_entries_that_take_a_few_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZOO_REGISTRY")
    entries = Registry.load().entries.values()
    assert {e.name for e in entries if {"closed-form", "table"} & {*e.tags}} == {*REPLAYED}


@pytest.mark.parametrize("name", REPLAYED)
def test_a_published_entry_is_reproduced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit by bit what is counted; what is trained, in its figure at least.

    `ZOO_DATA=folder uv run pytest tests/test_training_replay.py` replays all of them.
    """
    monkeypatch.delenv("ZOO_REGISTRY")
    entry = Registry.load().lookup(name)
    try:
        zoo_core.dataset(str(entry.data), root=DATA)
    except (InvalidInput, UnknownName) as error:
        pytest.skip(f"ZOO_DATA, else ./data, is to hold {entry.data}: {error}")
    result = replay(name, data_root=DATA, quiet=True)
    is_counted = "closed-form" in entry.tags
    assert result.same_weights or not is_counted, (result.verdict, result.parted)
    for metric in entry.metrics:
        then, now = result.figures[metric.name]
        assert now == pytest.approx(then, abs=metric.tolerance), result.verdict
