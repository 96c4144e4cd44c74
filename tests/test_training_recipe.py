"""Recipes say what is wrong with them before anything is trained, and keep their digests."""

import hashlib
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from zoo_core.errors import InvalidInput
from zoo_core.training import recipe as recipes
from zoo_core.training.recipe import Recipe

HERE = Path(__file__).parents[1]
SOUND = {"architecture": "nade", "data": "x"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown field 'epoch'. Did you mean epochs"),
        ({"epochs": "3"}, "epochs is '3'; expected a whole number of at least 1."),
        ({"epochs": 0}, "epochs is 0; expected a whole number of at least 1."),
        ({"epochs": 2.0}, "epochs is 2.0; expected a whole number"),
        ({"batch_size": -5}, "batch_size is -5; expected a whole number of at least 1."),
        ({"size": 0}, "size is 0; expected a whole number of at least 1."),
        ({"seed": -1}, "seed is -1; expected a whole number of at least 0."),
        ({"patience": -1}, "patience is -1; expected a whole number of at least 0."),
        ({"labelled": -1}, "labelled is -1; expected a whole number of at least 0."),
        ({"clip": -0.5}, "clip is -0.5; expected a number of at least 0."),
        ({"clip": float("nan")}, "clip is nan; expected a number of at least 0."),
        ({"ema": True}, "ema is True; expected a number of at least 0 and below 1."),
        ({"ema": 1}, "ema is 1; expected a number of at least 0 and below 1."),
        ({"gray": 1}, "gray is 1; expected true or false."),
        ({"binarize": "no"}, "binarize is 'no'; expected auto or dynamic or fixed or none."),
        ({"precision": "64"}, "precision is '64'; expected 32-true or bf16-mixed or 16-mixed."),
        ({"data": 3}, "data is 3; expected a name, a folder or a table."),
        ({"data": ""}, "data is ''; expected a name, a folder or a table."),
        ({"seed": 16**5000}, "thousands of digits; expected a whole number of at least 0, in 64"),
        ({"clip": 10**400}, "; expected a number of at least 0, in 64 bits."),
        ({"config": [16**5000]}, "config is a value of type list that cannot be shown; expected a"),
        ({"e\x1b": 1}, r"unknown field 'e\x1b'."),
        ({"config": 3}, "config is 3; expected a table."),
        ({"start_sha256": "0" * 64}, "but there is no start. Name them, or leave start_sha256"),
        ({"entry": {"sumary": "x"}}, "unknown key 'entry.sumary'. Did you mean summary?"),
        ({"entry": {"weights": {}}}, "unknown key 'entry.weights'."),
        ({"entry": {"licence": {"code": "x"}}}, "entry.licence.weights is missing"),
        ({"entry": {"paper": {"year": 3}}}, "entry.paper.title is missing"),
        ({"entry": {"tags": "x"}}, "entry.tags is 'x'; expected a list of words"),
        ({"entry": {"protocol": {"fid": 3}}}, "expected tables by metric, such as [entry.protocol"),
        (
            {"entry": {"published": {"test_nll": {"sorce": "x"}}}},
            "unknown key 'entry.published.test_nll.sorce'. Did you mean source?",
        ),
        (  # a measured value is that of the test split, whatever a recipe says
            {"entry": {"published": {"test_nll": {"value": 1.0}}}},
            "unknown key 'entry.published.test_nll.value'",
        ),
    ],
)
def test_a_recipe_that_is_wrong_says_where(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=r"^given\.toml: ") as caught:
        recipes.parse({**SOUND, **change}, "given.toml")
    assert message in str(caught.value)


def test_a_date_is_no_year() -> None:
    paper = {"title": "x", "authors": "y", "year": date(2016, 5, 17)}
    given = recipes.override({**SOUND, "entry": {"paper": paper}}, {"epochs": 1})
    with pytest.raises(InvalidInput, match=r"given\.toml: entry\.paper\.year is "):
        recipes.parse(given, "given.toml")


def test_a_recipe_without_data_says_so() -> None:
    with pytest.raises(InvalidInput, match="data is missing; expected a name, a folder or a table"):
        recipes.parse({"architecture": "nade"}, "")


def test_each_recipe_of_the_repository_is_sound() -> None:
    paths = [*HERE.glob("plugins/*/recipes/*.toml"), *HERE.glob("examples/*/recipes/*.toml")]
    assert len(paths) > 40
    for path in paths:
        recipes.read(path)


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with pytest.raises(InvalidInput, match=r"x\.toml cannot be read"):
        recipes.read(path)
    for text in ("a = " + "[" * 100_000, "a = 1" + "0" * 5000):
        path.write_text(text)
        with pytest.raises(InvalidInput, match=r"x\.toml is not TOML"):
            recipes.read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(InvalidInput, match=r"x\.toml cannot be read"):
        recipes.read(path)
    path.write_text("#" * 2**20 + "\n")
    with pytest.raises(InvalidInput, match=r"more than the 1,048,576 bytes that are read"):
        recipes.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InvalidInput, match=r"x\.toml cannot be read: it is a named pipe"):
        recipes.read(path)
    path.unlink()
    path.write_text("epochs = ")
    with pytest.raises(InvalidInput, match=r"x\.toml is not TOML"):
        recipes.read(path)


def test_overrides_reach_into_tables_and_keep_the_rest() -> None:
    raw = {"epochs": 3, "optimizer": {"opt": "adam", "lr": 0.1}}
    changed = recipes.override(raw, {"optimizer.lr": 3e-4, "data": "mnist", "gray": True})
    assert changed == {
        "epochs": 3,
        "optimizer": {"opt": "adam", "lr": 3e-4},
        "data": "mnist",
        "gray": True,
    }
    assert raw["optimizer"] == {"opt": "adam", "lr": 0.1}


def test_a_table_is_merged_into_the_one_that_is_there() -> None:
    raw = {"optimizer": {"opt": "adam", "lr": 0.1}}
    assert recipes.override(raw, {"optimizer": {"lr": 1}, "config": {"hidden": 3}}) == {
        "optimizer": {"opt": "adam", "lr": 1},
        "config": {"hidden": 3},
    }
    with pytest.raises(InvalidInput, match=r"a\.b cannot be set: a is not a table"):
        recipes.override({"a": 1}, {"a.b": 2})


@pytest.mark.parametrize(
    ("text", "value"),
    [("3e-4", 3e-4), ("true", True), ("[1, 2]", [1, 2]), ("mnist", "mnist"), ("'3'", "3")],
)
def test_a_value_is_read_as_toml_or_as_a_string(text: str, value: object) -> None:
    assert recipes.value(text) == value


def test_defaults_do_not_enter_the_digest() -> None:
    plain = recipes.parse({"architecture": "nade", "data": "x"}, "")
    assert (
        plain.digest == recipes.parse({"architecture": "nade", "data": "x", "clip": 0.0}, "").digest
    )
    assert (
        plain.digest != recipes.parse({"architecture": "nade", "data": "x", "clip": 1.0}, "").digest
    )


def test_a_digest_depends_on_how_a_number_is_written_and_not_on_what_the_entry_says() -> None:
    one, other = (recipes.parse({**SOUND, "clip": clip}, "").digest for clip in (1, 1.0))
    assert one != other  # as it was when recipes were published
    assert one == recipes.parse({**SOUND, "clip": 1, "entry": {"summary": "x"}}, "").digest


def test_the_digests_of_published_recipes_stay() -> None:
    """All of them, in one: a field that is added must have a default, and none may change."""
    names = ("fvsbn.dna", "nade.mnist", "made.mnist")
    text = " ".join(
        recipes.read(HERE / "plugins" / "autoregressive" / "recipes" / f"{name}.toml").digest
        for name in names
    )
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "83614950ace27717"


def test_a_recipe_can_be_made_in_python() -> None:
    recipe = Recipe("nade", "x", epochs=3)
    assert recipe.digest == recipes.parse({**SOUND, "epochs": 3}, "").digest


def test_a_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('architecture = "nade"\ndata = "x"\n', "utf-8-sig")
    assert recipes.read(tmp_path / "a.toml") == Recipe("nade", "x")


def test_a_password_of_an_address_is_no_part_of_the_name_or_the_digest() -> None:
    of = {word: Recipe("nade", f"ftp://me:{word}@a.org/rows.csv") for word in ("one", "two")}
    assert {recipe.data_name for recipe in of.values()} == {"ftp://…@a.org/rows.csv"}
    assert of["one"].digest == of["two"].digest
