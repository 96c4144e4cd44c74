import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

import zoo_core
from zoo_core import plugins
from zoo_core.registry import Registry, own_registry

Zoo = Callable[..., Result]
Write = Callable[..., Path]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that has ended."""
    output = tmp_path / "bernoulli.stripes"
    return zoo_core.train("bernoulli", data="bars-and-stripes", output=output, quiet=True).folder


def test_an_added_registry_is_read_until_it_is_removed(zoo: Zoo, published: Write) -> None:
    path = published("nade.added")
    result = zoo("registry", "add", str(path.parent))
    assert (result.exit_code, result.stdout) == (0, f"added {path}: 1 entry\n")
    assert zoo("show", "nade.added").exit_code == 0
    assert zoo("show", "nade.mnist").exit_code == 0
    rows = json.loads(zoo("registry", "list", "--json").stdout)
    assert [row["whose"] for row in rows][:: len(rows) - 1] == ["zoo's", "added"]
    assert rows[-1] == {
        "registry": str(path),
        "entries": 1,
        "whose": "added",
        "signer": "",
        "state": "read",
    }
    again = zoo("registry", "add", str(path))
    assert again.exit_code == 2 and "is read already" in again.stderr
    assert zoo("registry", "remove", str(path)).stdout == f"removed {path}\n"
    assert zoo("show", "nade.added").exit_code == 3
    assert path.is_file()
    gone = zoo("registry", "remove", str(path))
    assert gone.exit_code == 2 and "was not added" in gone.stderr


def test_entries_that_are_known_already_are_counted_too(zoo: Zoo, published: Write) -> None:
    path = published("nade.added", "nade.other")
    (copy := path.with_name("copy.toml")).write_bytes(path.read_bytes())
    zoo("registry", "add", str(path))
    text = f"added {copy}: 2 entries, of which 2 known already\n"
    assert zoo("registry", "add", str(copy)).stdout == text


def test_a_folder_that_is_gone_is_removed_by_its_name(zoo: Zoo, published: Write) -> None:
    path = published("nade.added")
    zoo("registry", "add", str(path.parent))
    shutil.rmtree(path.parent)
    assert zoo("registry", "remove", str(path.parent)).stdout == f"removed {path}\n"
    assert zoo("registry", "remove", str(path.parent)).exit_code == 2


def test_a_registry_that_is_not_sound_or_repeats_a_name_is_not_added(
    zoo: Zoo, published: Write, tmp_path: Path
) -> None:
    result = zoo("registry", "add", str(published("nade.mnist")))
    assert result.exit_code == 1 and "entry 'nade.mnist' is both in" in result.stderr
    (tmp_path / "bad.toml").write_text("schema = 7")
    assert zoo("registry", "add", str(tmp_path / "bad.toml")).exit_code == 1
    assert not (tmp_path / "zoo-config").exists()


def test_an_added_registry_that_is_gone_costs_a_line(zoo: Zoo, published: Write) -> None:
    path = published("nade.added")
    zoo("registry", "add", str(path))
    path.unlink()
    result = zoo("list")
    assert result.exit_code == 0 and "nade.mnist" in result.stdout
    assert f"warning: an added registry is left out: no registry at {path}" in result.stderr
    row = json.loads(zoo("registry", "list", "--json").stdout)[-1]
    assert (row["registry"], row["entries"], row["state"]) == (str(path), 0, "missing")
    checked = zoo("registry", "check", "--json")
    assert checked.exit_code == 1 and "1 left out" in checked.stderr
    problem = json.loads(checked.stdout)[-1]
    assert problem["registry"] == str(path)
    assert problem["problem"].startswith("left out: no registry at")
    assert zoo("registry", "remove", str(path)).exit_code == 0


def test_update_asks_remote_registries(
    zoo: Zoo, published: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    data = published("nade.remote").read_bytes()
    monkeypatch.setattr(
        "zoo_core.registry_files._download",
        lambda origin, known: (asked.append(origin) or data, ""),
    )
    zoo("registry", "add", "https://a.org/zoo/")
    assert asked == ["https://a.org/zoo/registry.toml"]
    assert zoo("list", "nade.remote").exit_code == 0
    assert len(asked) == 1
    result = zoo("registry", "update")
    assert result.stdout == "https://a.org/zoo/registry.toml: 1 entry\n"
    assert len(asked) == 2


def test_check_holds_files_against_entries(zoo: Zoo, run: Path, tmp_path: Path) -> None:
    entry = run / "entry.toml"
    result = zoo("registry", "check", str(entry))
    assert result.exit_code == 1
    assert result.stdout.startswith("bernoulli.stripes: its licence is unknown")
    text = entry.read_text().replace('"unknown"', '"CC0-1.0"')
    entry.write_text(text)
    assert zoo("registry", "check", str(entry)).stdout == "1 entry is sound\n"

    def problem(change: Callable[[], Any]) -> str:
        change()
        result = zoo("registry", "check", str(entry), "--json")
        assert result.exit_code == 1
        (row,) = json.loads(result.stdout)
        return str(row["problem"])

    assert "no recipe" in problem((run / "recipe.toml").unlink)
    (run / "recipe.toml").touch()
    more = text.replace("parameters = ", "parameters = 9")
    assert "parameters, not" in problem(lambda: entry.write_text(more))
    entry.write_text(text)
    weights = run / "model.safetensors"
    assert "is not the file that the entry promises" in problem(
        lambda: weights.write_bytes(weights.read_bytes() + b"!")
    )
    assert "There is no file" in problem(weights.unlink)


def test_check_names_metrics_that_nobody_offers(zoo: Zoo, tmp_path: Path) -> None:
    registry = tmp_path / "registry.toml"
    text = Path(__file__).parents[1].joinpath("registry.toml").read_text()
    start = text.index('name = "bernoulli.nltcs"')
    entry = "[[entry]]\n" + text[start:].partition("[[entry]]")[0]
    registry.write_text("schema = 1\n\n" + entry.replace("test_nll", "test_nlx"))
    result = zoo("registry", "check", str(registry))
    assert result.exit_code == 1
    assert "no metric is called 'test_nlx'. Did you mean test_nll?" in result.stdout


def test_check_names_successors_that_are_not_there(zoo: Zoo, write_registry: Write) -> None:
    withdrawn = [{"name": "nade.old", "successor": "nade.gone"}]
    path = write_registry(withdrawn=withdrawn, entry=[])
    result = zoo("registry", "check", str(path))
    assert result.exit_code == 1
    assert result.stdout == (
        f"nade.old: {path}: entry 'nade.old' is withdrawn for 'nade.gone', which is not an entry "
        "that can take its place.\n"
    )
    assert "withdrawn for 'nade.gone'" in zoo("registry", "add", str(path)).stderr
    circle = [{"name": "nade.a", "successor": "nade.b"}, {"name": "nade.b", "successor": "nade.a"}]
    path = write_registry(withdrawn=circle, entry=[], folder="circle")
    assert zoo("registry", "check", str(path)).stdout.count("which is not an entry that can") == 2
    assert zoo("registry", "add", str(path)).exit_code == 1


def test_update_says_what_it_could_not(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    result = zoo("registry", "update")
    assert (result.exit_code, result.stdout) == (5, "")
    assert "no server is asked, and nothing is updated" in result.stderr


def test_all_that_is_read_is_checked() -> None:
    assert Registry.load().sources[0] == str(own_registry())


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_a_signed_registry_is_let_in_by_a_policy(
    zoo: Zoo, published: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = published("nade.signed"), tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"me {key.with_suffix('.pub').read_text()}")
    monkeypatch.setenv("ZOO_TRUST", str(tmp_path / "signers"))
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    result = zoo("list")
    assert result.exit_code == 10 and "it is not signed" in result.stderr
    result = zoo("registry", "sign", str(path.parent), "--key", str(key))
    assert (result.exit_code, result.stdout) == (0, f"signed {path}\n")
    assert zoo("pull", "nade.signed").exit_code == 0
    path.write_bytes(path.read_bytes().replace(b"schema = 1", b"schema =  1"))
    result = zoo("pull", "nade.signed")
    assert result.exit_code == 10 and "changed after it was signed" in result.stderr
    path.write_text("schema = 7")
    assert zoo("registry", "sign", str(path), "--key", str(key)).exit_code == 1


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_a_policy_lets_a_registry_be_added_beside_those_of_families(
    zoo: Zoo, published: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = published("nade.signed"), tmp_path / "key"
    of_family = tmp_path / "family" / "registry.toml"
    of_family.parent.mkdir()
    of_family.write_text("schema = 1\n")
    monkeypatch.setattr(plugins, "registries", lambda: [own_registry(), of_family])
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"me {key.with_suffix('.pub').read_text()}")
    monkeypatch.setenv("ZOO_TRUST", str(tmp_path / "signers"))
    result = zoo("registry", "add", str(path.parent))
    assert result.exit_code == 10 and f"{path} is not used: it is not signed" in result.stderr
    zoo("registry", "sign", str(path.parent), "--key", str(key))
    assert zoo("registry", "add", str(path.parent)).exit_code == 0


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_list_and_check_say_who_signed_and_what_is_not_trusted(
    zoo: Zoo, published: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, key = published("nade.signed"), tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"me {key.with_suffix('.pub').read_text()}")
    zoo("registry", "add", str(path))

    def last() -> tuple[int, str, str]:
        row = json.loads(zoo("registry", "list", "--json").stdout)[-1]
        return row["entries"], row["signer"], row["state"]

    monkeypatch.setenv("ZOO_TRUST", str(tmp_path / "signers"))
    assert last() == (0, "", "not trusted")
    result = zoo("registry", "check")
    assert result.exit_code == 10
    assert f"{path}: left out: the registry {path} is not used: it is not signed" in result.stdout
    zoo("registry", "sign", str(path), "--key", str(key))
    assert last() == (1, "me", "read")
    monkeypatch.delenv("ZOO_TRUST")
    assert last() == (1, "not checked", "read")
