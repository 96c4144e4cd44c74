"""A run folder: what it holds, what it says of itself, and that it is not overwritten."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import tomli_w
import torch
from click.testing import CliRunner
from torch import Tensor
from toy_training import SMALL, TINY

import zoo_core
from zoo_core import loading
from zoo_core.cli import root
from zoo_core.data import load_dataset
from zoo_core.errors import DiskError, InvalidInput, OutputExists
from zoo_core.header import read_header
from zoo_core.training import recipe as recipes
from zoo_core.training.callbacks import Callback
from zoo_core.training.loop import Loop
from zoo_core.training.recipe import read
from zoo_core.training.run import claim
from zoo_core.training.train import train


def test_a_run_folder_holds_what_it_promises(run: zoo_core.Run) -> None:
    assert {path.name for path in run.folder.iterdir()} - {"tensorboard", ".lock"} == {
        "checkpoints",
        "checksums.txt",
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


def test_a_notebook_shows_the_curve_of_a_run(run: zoo_core.Run, tmp_path: Path) -> None:
    assert run._repr_png_() == (run.folder / "curve.png").read_bytes()
    assert zoo_core.Run(tmp_path, {})._repr_png_() is None


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
    kept: list[int] = []

    class Watch(Callback):
        def after_step(self, loop: Loop, losses: Mapping[str, Tensor]) -> None:
            kept.append(int((tiny * 1).count_nonzero()))

    output = tmp_path / "r"
    train("nade", data="bars-and-stripes-3", epochs=1, output=output, callbacks=[Watch()])
    assert {*kept} == {0}
    assert (tiny * 1).count_nonzero() == 8  # as before


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
    result = CliRunner().invoke(root, ["train", "--resume", str(run.folder), "--epochs", "500"])
    assert result.exit_code == 2
    epochs = read(run.folder / "recipe.toml").epochs
    assert f"was trained with epochs = {epochs}, not 500; a run is resumed" in result.stderr


@pytest.mark.parametrize(
    ("section", "table", "message"),
    [
        ("optimizer", {"opt": "sgd", "lr": -1.0}, "optimizer.lr is -1.0; expected"),
        ("schedule", {"sched": "nope"}, "[schedule] {"),
    ],
)
def test_settings_that_do_not_work_name_the_run_that_is_resumed(
    run: zoo_core.Run, section: str, table: dict[str, object], message: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "run")
    recipe = tomllib.loads((folder / "recipe.toml").read_text())
    (folder / "recipe.toml").write_text(tomli_w.dumps(recipe | {section: table}))
    with pytest.raises(InvalidInput) as caught:
        zoo_core.train(resume=folder, quiet=True)
    assert str(caught.value).startswith(f"{folder}: the recipe's {message}")


def test_a_run_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(InvalidInput, match="taken is no folder, and a run has one of its own"):
        zoo_core.train("fvsbn", data="bars-and-stripes", output=tmp_path / "taken")


def test_a_run_is_not_resumed_with_other_data(tmp_path: Path) -> None:
    """A table of which most rows were deleted gave epochs without a step, and no word."""
    rows = "".join(f"{i % 2},{i // 2 % 2},{i // 4 % 2},1\n" for i in range(200))
    table, folder = tmp_path / "table.csv", tmp_path / "r"
    table.write_text(rows)
    zoo_core.train("nade", data=table, epochs=1, threads=1, output=folder, quiet=True)
    held = read_header(folder / "checkpoints" / "last.safetensors").metadata["progress"]
    digest = json.loads(held)["data"]["training"]
    table.write_text(rows[: len(rows) // 4])
    with pytest.raises(InvalidInput, match=f"sha256 {digest}, and now it has [0-9a-f]{{64}}"):
        zoo_core.train(resume=folder, quiet=True)


def test_a_folder_is_trained_by_one_process_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    with claim(folder):
        for force in (False, True):
            with pytest.raises(OutputExists, match=rf"is being trained by process {os.getpid()} "):
                zoo_core.train("nade", output=folder, force=force, quiet=True, **SMALL)
        with pytest.raises(OutputExists, match="is being trained by process"):
            (folder / "recipe.toml").write_text('architecture = "nade"\ndata = "bars-and-stripes"')
            zoo_core.train(resume=folder, quiet=True)
    with claim(folder):
        pass


def test_the_folder_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    code = (
        "import os, sys, time, pathlib; from zoo_core.training.run import claim\n"
        "with claim(pathlib.Path(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    assert "process" in (folder / ".owner").read_text()
    with claim(folder):
        assert str(os.getpid()) in (folder / ".owner").read_text()
    assert not (folder / ".owner").exists()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks, with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


@pytest.fixture
def old(run: zoo_core.Run, tmp_path: Path) -> Path:
    """A run that may be changed, beside files of its user's."""
    folder = shutil.copytree(run.folder, tmp_path / "old")
    for name in ("notes.txt", "samples/mine.png", "checkpoints/mine.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"trainer": {"noise": -1}},
        {"config": {"hidden": 0}},
        {"optimizer": {"opt": "nope"}},
        {"data": "bars-and-stripes:test"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_refused_training_leaves_the_run_that_it_was_to_replace(
    old: Path, changes: dict[str, object]
) -> None:
    before = contents(old)
    with pytest.raises(InvalidInput):
        zoo_core.train("nade", **{**SMALL, **changes}, output=old, force=True, quiet=True)
    assert contents(old) == before


def test_a_refused_training_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("new", "there"):
        with pytest.raises(InvalidInput):
            zoo_core.train(
                "nade", **SMALL, trainer={"noise": -1}, output=tmp_path / name, quiet=True
            )
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_stop_before_the_first_step_leaves_the_run_that_was_to_be_replaced(old: Path) -> None:
    class Stop(Callback):
        def begin(self, loop: Loop) -> None:
            raise KeyboardInterrupt

    before = contents(old)
    with pytest.raises(KeyboardInterrupt):
        zoo_core.train("nade", **SMALL, output=old, force=True, quiet=True, callbacks=[Stop()])
    assert contents(old) == before


def test_a_run_that_was_killed_before_its_first_step_is_no_run(tmp_path: Path, old: Path) -> None:
    """Its folder is free for the next one; a run that it was to replace stays, as its user's."""
    (new := tmp_path / "new" / "checkpoints").mkdir(parents=True)
    shutil.copy(old / "recipe.toml", new.parent)
    (new.parent / "checkpoints").rmdir()
    with pytest.raises(OutputExists, match=r"holds recipe\.toml, which a run would overwrite"):
        zoo_core.train("nade", **SMALL, output=new.parent, quiet=True)
    new.mkdir()
    zoo_core.train("nade", **SMALL, output=new.parent, quiet=True)
    assert (new.parent / "model.safetensors").is_file()

    killed = tmp_path / "killed"
    (killed / "checkpoints").mkdir(parents=True)
    shutil.copytree(old, killed / ".replaced")
    shutil.copy(old / "recipe.toml", killed)
    with pytest.raises(OutputExists, match="already holds a run"):
        zoo_core.train("nade", **SMALL, output=killed, quiet=True)
    assert contents(killed / ".replaced") == contents(old)


def test_a_run_is_replaced_and_its_users_files_stay(old: Path) -> None:
    before = contents(old)
    zoo_core.train("nade", **SMALL, epochs=1, output=old, force=True, quiet=True)
    after = contents(old)
    assert after["model.safetensors"] != before["model.safetensors"]
    assert {name for name, data in after.items() if data == b"mine"} == {
        "notes.txt",
        "samples/mine.png",
        "checkpoints/mine.txt",
    }
    assert not (old / ".replaced").exists()


def test_a_run_that_was_killed_at_its_start_is_replaced_by_none_that_is_older(old: Path) -> None:
    """A process that is killed before its first step leaves the run before it aside."""
    weights = (old / "model.safetensors").read_bytes()
    (old / ".replaced").mkdir()
    for name in ("recipe.toml", "model.safetensors"):
        (old / name).rename(old / ".replaced" / name)
    for path in (*(old / "checkpoints").glob("*.safetensors"), old / "metrics.jsonl"):
        path.unlink()
    (old / "recipe.toml").write_text("")
    with pytest.raises(InvalidInput, match="noise"):
        zoo_core.train("nade", **SMALL, trainer={"noise": 2}, output=old, force=True, quiet=True)
    assert (old / "model.safetensors").read_bytes() == weights


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "name", ["recipe.toml", "entry.toml", "model.safetensors", "checkpoints/best.safetensors"]
)
def test_files_that_are_no_runs_are_not_overwritten(tmp_path: Path, name: str, force: bool) -> None:
    (mine := tmp_path / name).parent.mkdir(exist_ok=True)
    mine.write_text("# mine")
    with pytest.raises(OutputExists) as caught:
        zoo_core.train("nade", **SMALL, output=tmp_path, force=force, quiet=True)
    assert "already holds a run" in str(caught.value) or (
        f"holds {name.partition('/')[0]}, which a run would overwrite, and no run of zoo. Choose"
        in str(caught.value)
    )
    assert contents(tmp_path) == {name: b"# mine"}


def test_weights_without_checkpoints_are_not_overwritten_by_a_resumed_run(old: Path) -> None:
    shutil.rmtree(old / "checkpoints")
    (old / "checkpoints" / ".writing-killed").mkdir(parents=True)  # one that was never finished
    before = contents(old)
    with pytest.raises(InvalidInput, match="holds weights and no checkpoint: the run would be"):
        zoo_core.train(resume=old, quiet=True)
    with pytest.raises(InvalidInput, match="Start a new run from them"):
        zoo_core.train("nade", **SMALL, epochs=4, output=old, resume_if_any=True, quiet=True)
    assert contents(old) == before


def test_a_full_disk_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tensors: object, path: Path, metadata: object = None) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("zoo_core.files.save_tensors", fail)
    folder = tmp_path / "r"
    with pytest.raises(DiskError) as caught:
        zoo_core.train("nade", **SMALL, epochs=1, output=folder, quiet=True)
    place = folder / "checkpoints" / "last.safetensors"
    assert str(caught.value) == (
        f"{place}: No space left on device. Make room there, and go on with "
        f"zoo train --resume {folder}."
    )
    monkeypatch.undo()
    assert zoo_core.train(resume=folder, quiet=True).metrics
