"""An entry that is trained again is compared bit by bit."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import zoo_core
from zoo_core.publishing import Item, place_of, publish
from zoo_core.registry import Registry
from zoo_core.training.replay import compare, replay

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


@pytest.mark.skipif(
    not (DATA / "binary" / "nltcs").is_dir(),
    reason="ZOO_DATA names no folder with the table binary/nltcs, which these entries count",
)
@pytest.mark.parametrize("model", ["bernoulli", "markov", "chow-liu", "joint"])
def test_a_published_entry_in_closed_form_is_reproduced(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOO_REGISTRY")
    result = replay(f"{model}.nltcs", data_root=DATA, quiet=True)
    assert result.same_weights, (result.verdict, result.parted)
