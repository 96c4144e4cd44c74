"""The family's readme names what the family has."""

import re
from pathlib import Path

from zoo_adversarial.losses import LOSSES

from zoo_core import plugins

FOLDER = Path(__file__).parent.parent
README = (FOLDER / "README.md").read_text("utf-8")


def test_each_architecture_has_a_row_that_states_its_tasks() -> None:
    rows = dict(re.findall(r"^\| `([\w-]+)` \|.*\| ([\w, ]+) \|$", README, re.M))
    for name, architecture in plugins.load("adversarial").architectures.items():
        assert set(rows[name].split(", ")) == set(architecture.tasks), name


def test_each_recipe_is_named() -> None:
    recipes = {path.stem for path in (FOLDER / "recipes").glob("*.toml")}
    assert recipes <= set(re.findall(r"`([\w-]+\.[\w-]+)`", README))


def test_each_game_has_a_row() -> None:
    table = README.partition("| `trainer.loss` |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^\| `([\w-]+)`", table, re.M)) == sorted(LOSSES)
