"""Training from Python and from the command line: the same run, and messages that help."""

import inspect
import json
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner

import zoo_core
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.errors import InvalidInput, OutputExists
from zoo_core.header import read_header
from zoo_core.training import recipe as recipes
from zoo_core.training.recipe import Recipe
from zoo_core.training.train import settings, train

TINY = ["nade", "--data", "bars-and-stripes", "--set", "config.hidden=8", "--threads", "1"]
SMALL: dict[str, Any] = {"data": "bars-and-stripes", "config": {"hidden": 8}, "threads": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> zoo_core.Run:
    folder = tmp_path_factory.mktemp("runs") / "nade.bars-and-stripes"
    return zoo_core.train("nade", epochs=4, output=folder, quiet=True, **SMALL)


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
    flags = {param.name for param in command.params} - {"assignments"}
    assert flags == {*inspect.signature(train).parameters} - {"fields"}


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
    assert result.stderr[first:].startswith(f"gan.x: {count:,} parameters (discriminator ")
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


# Starting from weights


def test_training_starts_from_a_run_with_its_architecture_and_config(
    run: zoo_core.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = zoo_core.train(
        start=run.folder, data="bars-and-stripes", epochs=1, threads=1, output=tmp_path / "r"
    )
    assert (started.entry["architecture"], started.entry["config"]["hidden"]) == ("nade", 8)
    assert f"begins from {run.folder}: 5 of 5 tensors\n" in capsys.readouterr().err
    rows = [json.loads(line) for line in (started.folder / "metrics.jsonl").open()]
    first = next(row["val_nll"] for row in rows if "val_nll" in row)
    assert first < run.metrics["test_nll"] + 0.01
    said = recipes.read(started.folder / "recipe.toml")
    source = loading.open_source(run.folder)
    assert (said.start, said.start_sha256) == (str(run.folder), source.sha256)


def test_layers_of_other_shapes_begin_anew_and_are_named(run: zoo_core.Run, tmp_path: Path) -> None:
    arguments = ["--from", str(run.folder), "--data", "bars-and-stripes-4", "--epochs", "1"]
    result = CliRunner().invoke(
        root, ["train", *arguments, "--threads", "1", "-o", str(tmp_path / "nade.four")]
    )
    assert result.exit_code == 0, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("begins from")]
    assert line.startswith(f"begins from {run.folder}: 1 of 5 tensors; begun anew: ")
    assert "W (16, 8) (was (9, 8))" in line
    assert "config.shape" not in result.stderr


def test_a_run_that_was_started_from_weights_resumes(run: zoo_core.Run, tmp_path: Path) -> None:
    given = {"start": run.folder, "data": "bars-and-stripes", "threads": 1, "quiet": True}
    whole = zoo_core.train(**given, epochs=2, output=tmp_path / "a" / "nade.x")
    again = zoo_core.train(resume=whole.folder, quiet=True)
    assert again.entry == whole.entry


def test_weights_of_another_digest_are_not_started_from(run: zoo_core.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Leave start_sha256 out to start from these"):
        zoo_core.train(
            start=run.folder,
            data="bars-and-stripes",
            output=tmp_path / "r",
            start_sha256="0" * 64,
        )


def test_weights_of_which_nothing_fits_are_refused(run: zoo_core.Run, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="there is nothing to start from"):
        zoo_core.train(
            "vae", start=run.folder, data="bars-and-stripes", output=tmp_path / "r", quiet=True
        )


# The folder


def test_a_run_folder_holds_what_it_promises(run: zoo_core.Run) -> None:
    assert {path.name for path in run.folder.iterdir()} - {"tensorboard"} == {
        "checkpoints",
        "curve.png",
        "entry.toml",
        "metrics.jsonl",
        "model.safetensors",
        "recipe.toml",
    }
    rows = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    validations = [row["val_nll"] for row in rows if "val_nll" in row]
    assert len(validations) == 4
    assert validations[-1] < validations[0]


def test_the_weights_of_a_run_load_and_describe_themselves(run: zoo_core.Run) -> None:
    source = loading.open_source(run.folder)
    assert (source.name, source.family) == ("nade.bars-and-stripes", "autoregressive")
    assert source.metadata["recipe_sha256"] == recipes.read(run.folder / "recipe.toml").digest
    assert source.metadata["versions"]["torch"] == torch.__version__
    assert run.model.log_prob(torch.zeros(2, 1, 3, 3)).shape == (2,)


def test_training_flushes_numbers_that_processors_are_slow_with(tmp_path: Path) -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    tiny = torch.full((8,), 1e-40)
    assert (tiny * 1 == tiny).all() and tiny.count_nonzero() == 8
    result = CliRunner().invoke(root, ["train", *TINY, "--epochs", "1", "-o", str(tmp_path / "r")])
    assert result.exit_code == 0, result.stderr
    assert (tiny * 1).count_nonzero() == 0


def test_weights_can_be_stored_in_half_precision(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        root, ["train", *TINY, "--epochs", "2", "--set", "store=float16", "-o", str(tmp_path / "r")]
    )
    assert result.exit_code == 0, result.stderr
    header = read_header(tmp_path / "r" / "model.safetensors")
    assert {tensor.dtype for tensor in header.tensors.values()} == {"F16", "I64"}
    model = loading.load(tmp_path / "r")
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    said = loading.open_source(tmp_path / "r").metadata["metrics"]["test_nll"]
    x = load_dataset("bars-and-stripes-3:test").floats()
    assert float(-model.log_prob(x).mean()) == pytest.approx(said, abs=1e-3)


def test_the_printed_entry_is_a_registry(run: zoo_core.Run) -> None:
    from zoo_core.registry import Registry

    registry = Registry.load((str(run.folder / "entry.toml"),))
    assert registry.lookup("nade").blob.sha256 == loading.open_source(run.folder).sha256


def test_a_folder_with_a_run_is_not_overwritten(run: zoo_core.Run) -> None:
    before = loading.open_source(run.folder).sha256
    result = CliRunner().invoke(root, ["train", *TINY, "-o", str(run.folder)])
    assert result.exit_code == 2
    assert "already holds a run" in result.stderr
    assert loading.open_source(run.folder).sha256 == before


def test_a_run_is_not_resumed_with_other_settings(run: zoo_core.Run) -> None:
    result = CliRunner().invoke(root, ["train", "--resume", str(run.folder), "--lr", "0.5"])
    assert result.exit_code == 2
    assert "was trained with other settings" in result.stderr


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
    assert "the entry has no metrics: table has no test split" in result.stderr
    assert "metrics" not in result.stdout
    assert loading.load("runs/nade.table").event_shape == (3,)
