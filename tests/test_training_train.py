"""Training from Python and from the command line: the same run, and messages that help."""

import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from toy_training import SMALL, TINY

import zoo_core
from factories import picture
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput, OutputExists, UnknownName
from zoo_core.publishing import Item
from zoo_core.registry import Registry
from zoo_core.training import recipe as recipes
from zoo_core.training.recipe import Recipe
from zoo_core.training.train import recipe_of, settings, train


def test_a_run_has_its_model_and_its_metrics(run: zoo_core.Run) -> None:
    assert run.name == "nade.bars-and-stripes"
    assert not run.model.training
    assert not any(p.requires_grad for p in run.model.parameters())
    x = load_dataset("bars-and-stripes:test").floats()
    assert run.metrics == {
        "test_nll": pytest.approx(float(-run.model.log_prob(x).mean()), abs=1e-3)
    }
    assert zoo_core.info(run.model).name == run.name
    assert tomllib.loads((run.folder / "entry.toml").read_text())["entry"] == [run.entry]


def test_the_command_trains_the_same_weights(run: zoo_core.Run, tmp_path: Path) -> None:
    folder = tmp_path / "nade.bars-and-stripes"
    result = CliRunner().invoke(root, ["train", *TINY, "--epochs", "4", "-o", str(folder), "-q"])
    assert result.exit_code == 0, result.stderr
    name = loading.WEIGHTS
    assert (folder / name).read_bytes() == (run.folder / name).read_bytes()


def test_a_recipe_trains_the_same_weights_as_its_settings(
    run: zoo_core.Run, tmp_path: Path
) -> None:
    recipe = recipes.read(run.folder / "recipe.toml")
    again = zoo_core.train(recipe, output=tmp_path / "nade.bars-and-stripes", quiet=True)
    name = loading.WEIGHTS
    assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes()


def test_each_flag_of_the_command_is_a_keyword() -> None:
    command = root.get_command(click.Context(root), "train")
    assert command is not None
    flags = {param.name for param in command.params} - {"assignments", "replay"}
    assert flags == {*inspect.signature(train).parameters} - {"callbacks", "fields"}


def test_what_the_process_draws_does_not_depend_on_a_training(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    zoo_core.train("nade", epochs=1, output=tmp_path / "r", quiet=True, **SMALL)
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_num_threads() == threads


def test_the_number_of_parameters_is_said_before_the_first_step(tmp_path: Path) -> None:
    arguments = ["gan", "--data", "bars-and-stripes", "--epochs", "1", "--threads", "1"]
    result = CliRunner().invoke(root, ["train", *arguments, "-o", str(tmp_path / "gan.x")])
    assert result.exit_code == 0, result.stderr
    first = result.stderr.index("gan.x: ")
    model = loading.load(tmp_path / "gan.x")
    count = sum(p.numel() for p in model.parameters())
    line = result.stderr[first:].splitlines()[0]
    assert re.fullmatch(
        rf"gan.x: {count:,} parameters \(discriminator [\d,]+\), about .* GB of memory", line
    )
    assert first < result.stderr.index("epoch 1")


# Settings


def test_settings_come_from_an_architecture_a_file_a_recipe_or_a_run(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('architecture = "nade"\ndata = "x"\nepochs = 3\n[config]\nhidden = 9\n')
    read = recipes.read(path)
    changes = {"optimizer.lr": 0.1, "config": {"seed": 1}}
    for what, resume in ((str(path), None), (path, None), (read, None), ("", tmp_path)):
        changed = settings(what, changes, resume=resume)
        assert (changed.epochs, changed.optimizer["lr"]) == (3, 0.1)
        assert changed.config == {"hidden": 9, "seed": 1}
    assert settings("nade", {"data": "x"}) == Recipe("nade", "x")


def test_what_a_recipe_says_of_its_data_is_not_said_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A NADE of another table came out with the published 84.81 nats of DNA."""
    monkeypatch.chdir(tmp_path)
    path = recipe_of(Registry.load().lookup("nade.dna"))
    own = settings(path, {"epochs": 1}).entry
    assert own["published"]["test_nll"]["published"] == 84.81
    assert not capsys.readouterr().err
    small = {**SMALL, "size": None, "epochs": 1, "quiet": True}
    run = zoo_core.train(path, **small)
    assert "nade.dna.toml is of binary/dna, not of bars-and-stripes" in capsys.readouterr().err
    assert run.name == "nade.bars-and-stripes"
    assert run.entry["summary"] == "nade on bars-and-stripes"
    assert run.entry["licence"] == {"code": own["licence"]["code"], "weights": "unknown"}
    assert run.entry["paper"] == own["paper"]
    assert "tags" not in run.entry
    assert "published" not in run.entry["metrics"][0]


def test_the_protocol_of_other_data_keeps_what_names_none(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'architecture = "vae"\ndata = "mnist"\n[entry.protocol]\niw_bound = {k = 9}\n'
        'fid = {features = "features.mnist"}\nelbo = {data = "mnist:test"}\n'
    )
    assert set(settings(path, {}).entry["protocol"]) == {"iw_bound", "fid", "elbo"}
    assert settings(path, {"data": "x"}).entry == {"protocol": {"iw_bound": {"k": 9}}}


@pytest.mark.parametrize(
    ("what", "resume"), [("", None), ("nade", "runs/nade.x")], ids=["nothing", "both"]
)
def test_something_says_what_to_train(what: str, resume: str | None) -> None:
    with pytest.raises(InvalidInput, match="give either a recipe or an architecture"):
        zoo_core.train(what, resume=resume)


def test_a_folder_with_a_run_is_refused_or_replaced(run: zoo_core.Run, tmp_path: Path) -> None:
    again = {**SMALL, "epochs": 1, "output": tmp_path / "r", "quiet": True}
    zoo_core.train("nade", **again)
    with pytest.raises(OutputExists, match="already holds a run"):
        zoo_core.train("nade", **again)
    assert zoo_core.train("nade", **again, force=True).entry


# Messages


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either a recipe or an architecture"),
        (["nade", "--data", "bars-and-stripes", "--set", "lr"], "'lr' has no value"),
        (["nade", "--data", "bars-and-stripes", "--set", "config.hiden=3"], "Did you mean hidden"),
        (["nade", "--data", "bars-and-stripes", "--set", "optimizer.opt=nope"], "[optimizer]"),
        (["nade", "--data", "bars-and-stripes", "--set", "schedule.sched=nope"], "[schedule]"),
        (["nade", "--data", "bars-and-stripes", "--set", "trainer.beta=2"], "trainer.beta"),
        (
            ["nade", "--data", "bars-and-stripes", "--set", "config.shape=[4]"],
            "config.shape is (4,)",
        ),
        (
            ["attention", "--data", "bars-and-stripes", "--set", "config.classes=1"],
            "config.classes is 1, but bars-and-stripes has labels from 0 to 1. Set it to 2.",
        ),
        (["none.toml"], "none.toml cannot be read"),
        (["nade", "--data", "bars-and-stripes", "--device", "warp"], "cannot train on 1 x 'warp'"),
    ],
)
def test_a_command_that_is_wrong_says_what_to_do(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(root, ["train", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_data_without_a_test_split_trains_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "table"
    table.mkdir()
    for name in ("train", "valid"):
        (table / f"{name}.csv").write_text("0,1,0\n1,1,0\n0,0,1\n1,0,1\n")
    result = CliRunner().invoke(root, ["train", "nade", "--data", "table", "--epochs", "1"])
    assert result.exit_code == 0, result.stderr
    assert f"the entry has no metrics: {table} has no test split" in result.stderr
    assert "metrics" not in result.stdout
    assert loading.load("runs/nade.table").event_shape == (3,)


def test_a_name_that_is_none_is_said_before_what_else_is_missing() -> None:
    with pytest.raises(UnknownName, match=r"offers an architecture 'nad'\. Did you mean nade"):
        settings("nad", {})
    with pytest.raises(InvalidInput, match="nade: data is missing; expected a name, a folder"):
        settings("nade", {})


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"start": 7}, r"start is of the type int; expected a name or a path\.$"),
        ({"start": torch.nn.Linear(1, 1)}, r"type Linear; .* Save the model with zoo_core\.save"),
        ({"data": torch.zeros(2, 2)}, r"data is of the type Tensor; .* Save the rows as a table"),
    ],
)
def test_what_is_no_name_is_said(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        zoo_core.train("nade", **settings)


def test_a_run_on_a_file_from_here_is_evaluated_and_published_from_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    rows = "".join(f"{i % 2},{i // 2 % 2}\n" for i in range(40))
    Path("coins.csv").write_text(f"a,b\n{rows}")
    run = zoo_core.train("bernoulli", data="coins.csv", epochs=1, threads=1, quiet=True)
    assert run.folder == Path("runs/bernoulli.coins")
    assert run.entry["data"] == str(here / "coins.csv")
    monkeypatch.chdir(tmp_path)
    model = zoo_core.load(here / run.folder)
    assert zoo_core.info(model).data == str(here / "coins.csv")
    figures = zoo_core.evaluate(model, "test_nll")
    assert figures["test_nll"].value == pytest.approx(run.metrics["test_nll"], abs=1e-3)
    metadata = loading.open_source(here / run.folder).metadata
    recipe = recipes.read(here / run.folder / "recipe.toml")
    assert (metadata["data"], recipe.data) == ("coins.csv", str(here / "coins.csv"))
    item = Item.of(str(here / run.folder))
    published = recipes.parse(tomllib.loads((item.recipe or b"").decode()), "it")
    assert (item.table["data"], published.data) == ("coins.csv", "coins.csv")
    assert item.table["metrics"][0]["protocol"]["data"] == "coins.csv:test"
    assert metadata["recipe_sha256"] == recipe.digest == published.digest


def test_machines_that_cannot_meet_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(InvalidInput, match="nodes=2: nothing says where the machines meet"):
        train("fvsbn", data="bars-and-stripes", device="cpu", nodes=2, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_entry_is_no_architecture(tmp_path: Path) -> None:
    words = r"nade\.mnist is an entry, not an architecture: `zoo train --like nade\.mnist`"
    with pytest.raises(UnknownName, match=words):
        train("nade.mnist", output=tmp_path / "run")


def test_a_setting_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    fields: Any = {"optimizer.lr": 0.1, "epochs": 1}
    with pytest.raises(InvalidInput, match=r"optimizer\.lr is given twice"):
        train("nade", data="bars-and-stripes", lr=0.2, output=tmp_path / "run", **fields)


def test_what_takes_the_place_of_a_precision_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    where: Any = {"device": "cpu", "precision": "16-mixed", "epochs": 1}
    train("nade", data="bars-and-stripes", output=tmp_path / "run", **where)
    said = "precision 16-mixed needs a GPU: on cpu bf16-mixed takes its place"
    assert said in capsys.readouterr().err
    assert not [each for each in recwarn if "AMP" in str(each.message)]


def test_a_family_is_named_with_its_architecture(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"data": "bars-and-stripes", "epochs": 1}
    run = train("autoregressive/bernoulli", output=tmp_path / "run", **settings)
    assert run.entry["architecture"] == "bernoulli" and run.name == "bernoulli.run"
    assert zoo_core.load(run.folder).log_prob is not None


def test_a_training_leaves_small_numbers_to_the_process(tmp_path: Path) -> None:
    train("bernoulli", data="bars-and-stripes", epochs=1, output=tmp_path / "run")
    assert 1e-310 * 1.0 > 0 and float(torch.tensor(1e-40) * 1) > 0


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_a_training_has_gradients_whatever_is_around_it(
    without: Callable[[], Any], tmp_path: Path
) -> None:
    with without():
        run = train("fvsbn", data="bars-and-stripes", epochs=1, output=tmp_path / "run")
        assert not torch.is_grad_enabled()
    assert run.metrics["test_nll"] > 0


def test_what_columns_become_is_said_where_they_are_not_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{i % 3},{i % 2}\n" for i in range(60))
    (table := tmp_path / "three.csv").write_text(f"a,b\n{rows}")
    train("categorical", data=str(table), epochs=1, output=tmp_path / "plain")
    assert "categorical keeps no columns: it takes them in their order" in capsys.readouterr().err
    table.write_text(rows)
    train("categorical", data=str(table), epochs=1, output=tmp_path / "numbers")
    train("mixed-tree", data=str(table), epochs=1, output=tmp_path / "mixed")
    assert "keeps no columns" not in capsys.readouterr().err


def test_a_model_of_binary_variables_takes_tables_by_the_columns_that_it_was_trained_on(
    tmp_path: Path,
) -> None:
    cells = [("yes" if i % 3 else "no", 1 + (i % 5 == 0)) for i in range(60)]
    table, other = tmp_path / "ab.csv", tmp_path / "other.csv"
    table.write_text("a,b\n" + "".join(f"{a},{b}\n" for a, b in cells))
    other.write_text("b,id,a\n" + "".join(f"{b},{i},{a}\n" for i, (a, b) in enumerate(cells)))
    run = train("bernoulli", data=str(table), epochs=1, output=tmp_path / "run")
    model = zoo_core.load(run.folder)
    zoo_core.save(model, tmp_path / "again.safetensors")
    for one in (model, zoo_core.load(tmp_path / "again.safetensors")):
        nats = [
            [row["nats"] for row in zoo_core.run(one, "score", inputs=[path]).rows]
            for path in (table, other)
        ]
        assert nats[0] == nats[1] and len(set(nats[0])) == 4
    for row in zoo_core.run(model, "sample", n=4, seed=0).rows:
        assert row["a"] in ("no", "yes") and row["b"] in (1, 2)
    other.write_text("b,a\n2,no\n,yes\n")
    with pytest.raises(InvalidInput, match="row 2, column b is empty, and the model takes no miss"):
        zoo_core.run(model, "score", inputs=[other])
    other.write_text("b,a\n2,no\n3,yes\n")
    with pytest.raises(InvalidInput, match="row 2, column b: '3' is none of its 2 categories"):
        zoo_core.run(model, "score", inputs=[other])


def test_a_model_with_labels_keeps_what_they_are_called(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        for name, level in (("ant", 0), ("bee", 255), ("cow", 128)):
            picture(tmp_path / "pets" / split / name / "a.png", (4, 4), "L", level)
    recipe: Any = {"config": {"blocks": 1, "d": 8, "classes": 3}, "gray": True, "size": 4}
    run = train("attention", data=str(tmp_path / "pets"), epochs=1, output=tmp_path / "r", **recipe)
    model = zoo_core.load(run.folder)
    assert zoo_core.info(model).classes == ["ant", "bee", "cow"]
    assert "of label 1 (bee)" in zoo_core.run(model, "sample", n=1, label=1).summary
    picture(tmp_path / "some" / "bee" / "a.png", (4, 4), "L", 255)
    picture(tmp_path / "some" / "cow" / "a.png", (4, 4), "L", 128)
    found = zoo_core.run(model, "classify", inputs=[tmp_path / "some"])
    assert [row["label"] for row in found.rows] == [1, 2]
    assert not any("are taken for" in note for note in found.notes)
    (tmp_path / "some" / "bee").rename(tmp_path / "some" / "dog")
    found = zoo_core.run(model, "classify", inputs=[tmp_path / "some"])
    assert "classes cow, dog are not the model's ant, bee, cow: no error" in " ".join(found.notes)
    picture(tmp_path / "some" / "eel" / "a.png", (4, 4), "L", 128)
    found = zoo_core.run(model, "classify", inputs=[tmp_path / "some"])
    assert (
        "the inputs' classes cow, dog, eel are taken for the model's ant, bee, cow" in found.notes
    )


def test_a_training_takes_columns_in_the_order_of_the_weights_that_it_starts_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(i % 2, int(i % 5 == 0)) for i in range(60)]
    for name, head, order in (("ab", "a,b", 1), ("ba", "b,n,a", -1), ("cd", "c,d", 1)):
        lines = [
            (f",x{i}," if name == "ba" else ",").join(map(str, row[::order]))
            for i, row in enumerate(rows)
        ]
        (tmp_path / f"{name}.csv").write_text("\n".join([head, *lines]))
    first = train("bernoulli", data=str(tmp_path / "ab.csv"), epochs=1, output=tmp_path / "ab")
    start: Any = {"start": str(first.folder), "epochs": 1}
    capsys.readouterr()
    second = train(data=str(tmp_path / "ba.csv"), output=tmp_path / "ba", **start)
    assert "take their places" not in capsys.readouterr().err
    columns = zoo_core.info(zoo_core.load(second.folder)).columns
    assert [column["name"] for column in columns] == ["a", "b"]
    third = train(data=str(tmp_path / "cd.csv"), output=tmp_path / "cd", **start)
    assert "has other columns (a, b): those of" in capsys.readouterr().err
    columns = zoo_core.info(zoo_core.load(third.folder)).columns
    assert [column["name"] for column in columns] == ["c", "d"]
    (tmp_path / "ab.csv").write_text("a,b\n" + "".join(f"{a},{b + 1}\n" for a, b in rows))
    with pytest.raises(InvalidInput, match="column b: '2' is none of its 2 categories: 0, 1"):
        train(data=str(tmp_path / "ab.csv"), output=tmp_path / "other", **start)
    # a column that has one of its two values here
    (tmp_path / "ab.csv").write_text("a,b\n" + "".join(f"{a},1\n" for a, _ in rows))
    assert train(data=str(tmp_path / "ab.csv"), output=tmp_path / "one", **start).metrics


def test_what_a_model_of_binary_variables_cannot_take_is_named(tmp_path: Path) -> None:
    (table := tmp_path / "t.csv").write_text("a,z\n" + "1,1\n2,1\n" * 30)
    message = r"does not take mixed columns, and of the 2 of .* z \(categorical, always 1\)\. Leave"
    with pytest.raises(InvalidInput, match=message):
        train("fvsbn", data=str(table), output=tmp_path / "run")
    assert train("fvsbn", data=str(table), columns={"z": "skip"}, epochs=1, output=tmp_path / "run")
    table.write_text("a,z\n" + "yes,1\nno,\n" * 30)
    table.write_text(table.read_text() + "no,2\n")
    with pytest.raises(InvalidInput, match=r"fvsbn takes no missing cells, and .* has some"):
        train("fvsbn", data=str(table), output=tmp_path / "other")


def test_a_run_is_trained_again_by_its_own_recipe(run: zoo_core.Run, tmp_path: Path) -> None:
    again = train(like=str(run.folder), output=tmp_path / run.name)
    name = loading.WEIGHTS
    assert (again.folder / name).read_bytes() == (run.folder / name).read_bytes()
