import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import zoo_core
from zoo_core.store import Store

Zoo = Callable[..., Result]


def test_a_damaged_file_fails_verification(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade", "vae")
    path = Path(json.loads(zoo("show", "nade", "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_text("weights of nobody....")
    result = zoo("verify", "--json")
    assert result.exit_code == 6
    assert [row["sound"] for row in json.loads(result.stdout)] == [False, True]
    assert "Replace them: zoo verify --repair nade.mnist" in result.stderr
    zoo("rm", "nade")
    zoo("pull", "nade")
    assert zoo("verify", "nade").stdout == "nade.mnist  sound\n"


def test_verify_names_what_is_not_pulled(zoo: Zoo, two: Path) -> None:
    result = zoo("verify", "nade")
    assert result.exit_code == 1
    assert "nothing to verify: nade.mnist. Fetch first: zoo pull nade.mnist" in result.stderr
    zoo("pull", "vae")
    result = zoo("verify", "*")
    assert (result.exit_code, result.stdout) == (0, "vae.faces  sound\n")
    assert result.stderr == "nade.mnist: not pulled\n"


def test_damaged_weights_of_no_entry_are_removed_as_unused(
    zoo: Zoo, published: Callable[..., Path], two: Path
) -> None:
    zoo("pull", "nade")
    path = Path(json.loads(zoo("show", "nade", "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_text("weights of nobody....")
    published("vae.faces")
    assert "Replace them: zoo rm --unused" in zoo("verify").stderr


def test_files_and_run_folders_are_held_against_their_entries(
    zoo: Zoo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = zoo_core.train("bernoulli", data="bars-and-stripes", output="run", quiet=True).folder
    copied = shutil.copy(run / "model.safetensors", "copied.safetensors")
    result = zoo("verify", "./run", "run/model.safetensors", copied)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "./run                  sound",
        "run/model.safetensors  sound",
        "copied.safetensors     readable; its digest is in no registry here",
    ]
    monkeypatch.setenv("ZOO_REGISTRY", "run/entry.toml")
    assert zoo("verify", copied).stdout == "copied.safetensors  sound\n"

    weights = bytearray((run / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (run / "model.safetensors").write_bytes(weights)
    result = zoo("verify", "./run", "--json")
    assert result.exit_code == 6
    assert [check["sound"] for check in json.loads(result.stdout)] == [False]
    assert "damaged: ./run: the bytes here are not those that the entry promises" in result.stderr
    shutil.copytree(run, "sound")  # an entry of these very bytes does not make them the run's
    text = Path("sound/entry.toml").read_text()
    digest = hashlib.sha256(weights).hexdigest()
    Path("sound/entry.toml").write_text(re.sub(r'sha256 = "\w{64}"', f'sha256 = "{digest}"', text))
    monkeypatch.setenv("ZOO_REGISTRY", "sound/entry.toml")
    result = zoo("verify", "./run", "--repair")
    assert (result.exit_code, result.stdout) == (6, "./run  damaged\n")
    (run / "model.safetensors").write_bytes(weights[:-1])
    result = zoo("verify", "./run")
    assert result.exit_code == 1
    assert "run/model.safetensors is not a sound safetensors file" in result.stderr


def damage(zoo: Zoo, name: str) -> Path:
    path = Path(json.loads(zoo("show", name, "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_bytes(b"!" + path.read_bytes()[1:])
    return path


def test_what_is_damaged_is_moved_away_and_fetched_again(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade", "vae")
    path = damage(zoo, "nade")
    result = zoo("verify", "--repair")
    assert (result.exit_code, result.stdout) == (0, "nade.mnist  sound\nvae.faces   sound\n")
    assert f"{path} was changed since it was pulled: it is moved to" in result.stderr
    assert path.read_text() == "weights of nade.mnist"
    assert zoo("verify").exit_code == 0


def test_what_cannot_be_fetched_again_stays_out_of_the_way(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    path = damage(zoo, "nade")
    (two.parent / "nade.mnist.bin").unlink()
    result = zoo("verify", "--repair", "nade")
    assert result.exit_code == 6
    assert "nade.mnist cannot be fetched: There is no file" in result.stderr
    assert not path.exists()


def test_a_damage_that_leaves_no_trace_is_not_used_after_verify(zoo: Zoo, two: Path) -> None:
    """As of a disk that loses a bit: only reading all of it shows that."""
    zoo("pull", "nade")
    path = damage(zoo, "nade")
    store = Store()
    store._remember(path, path.name.removeprefix("sha256-"))
    assert zoo("verify").exit_code == 6
    assert zoo("pull", "nade").exit_code == 0
    assert path.read_text() == "weights of nade.mnist"


def test_a_file_that_is_no_blob_is_named_and_skipped(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    (Store().home / "blobs" / "notes.txt").write_text("mine")
    result = zoo("verify")
    assert (result.exit_code, result.stdout) == (0, "nade.mnist  sound\n")
    assert "blobs/notes.txt is no blob, and skipped" in result.stderr


def test_damaged_weights_that_came_with_the_code_come_with_an_installation(
    zoo: Zoo, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOO_REGISTRY")
    monkeypatch.setattr("zoo_core.registry.own_registry", lambda: two)
    (two.parent / "nade.mnist.bin").write_text("weights of nobody....")
    result = zoo("verify", "nade.mnist")
    assert result.exit_code == 6
    assert "nade.mnist.bin came with the code; install its package again" in result.stderr
