import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import zoo_core

Zoo = Callable[..., Result]


def test_a_damaged_file_fails_verification(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade", "vae")
    path = Path(json.loads(zoo("show", "nade", "--json").stdout)["path"])
    path.chmod(0o644)
    path.write_text("weights of nobody....")
    result = zoo("verify", "--json")
    assert result.exit_code == 6
    assert [row["sound"] for row in json.loads(result.stdout)] == [False, True]
    assert "Replace them: zoo rm nade.mnist && zoo pull nade.mnist" in result.stderr
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
    (run / "model.safetensors").write_bytes(weights[:-1])
    result = zoo("verify", "./run")
    assert result.exit_code == 1
    assert "run/model.safetensors is not a sound safetensors file" in result.stderr
