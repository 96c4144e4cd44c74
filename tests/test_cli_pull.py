import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from factories import entry_names

Zoo = Callable[..., Result]


def test_pull_verify_and_rm(zoo: Zoo, two: Path) -> None:
    result = zoo("pull", "*")
    assert result.exit_code == 0
    name, path = result.stdout.splitlines()[0].split("  ")
    assert name == "nade.mnist"
    assert Path(path).read_text() == "weights of nade.mnist"
    assert entry_names(zoo("list", "--pulled", "--json")) == ["nade.mnist", "vae.faces"]
    assert zoo("verify").stdout == "nade.mnist  sound\nvae.faces   sound\n"
    result = zoo("rm", "*")
    assert result.stdout == "removed nade.mnist  21 B\nremoved vae.faces  20 B\nfreed 41 B\n"
    assert entry_names(zoo("list", "--pulled", "--json")) == []
    assert zoo("verify").stdout == "nothing is pulled\n"


def test_a_dry_pull_says_what_and_from_where(zoo: Zoo, two: Path) -> None:
    result = zoo("pull", "nade", "--dry-run")
    assert result.stdout == f"nade.mnist  would fetch 21 B from {two.parent}/nade.mnist.bin\n"
    assert entry_names(zoo("list", "--pulled", "--json")) == []
    plan = json.loads(zoo("pull", "nade", "--dry-run", "--json").stdout)[0]
    assert (plan["bytes"], plan["pulled"]) == (21, False)
    assert json.loads(zoo("pull", "nade", "--json").stdout)[0]["pulled"] is True
    assert zoo("pull", "nade", "-n").stdout == "nade.mnist  here already\n"


def test_pull_needs_names(zoo: Zoo) -> None:
    result = zoo("pull")
    assert result.exit_code == 2
    assert "Missing argument" in result.stderr


def test_a_name_that_is_not_known_does_not_keep_the_others_from_being_fetched(
    zoo: Zoo, two: Path
) -> None:
    result = zoo("pull", "nade.mnist", "zebra", "vae.faces", "--json")
    assert result.exit_code == 3
    *pulled, failed = json.loads(result.stdout)
    assert [(row["name"], row["pulled"]) for row in pulled] == [
        ("nade.mnist", True),
        ("vae.faces", True),
    ]
    assert (failed["name"], failed["pulled"]) == ("zebra", False)
    assert "no entry is named 'zebra'" in failed["error"] and failed["error"] in result.stderr


@pytest.mark.parametrize("command", ["pull", "verify", "rm"])
@pytest.mark.parametrize("name", ["zebra*", "zebra"])
def test_a_name_or_a_glob_that_no_entry_fits_fails_as_that_of_show(
    zoo: Zoo, two: Path, command: str, name: str
) -> None:
    result = zoo(command, *(["nade"] if command != "pull" else []), name)
    assert (result.exit_code, result.stdout) == (zoo("show", "zebra").exit_code, "")
    assert "no entry" in result.stderr
    assert f"'{name}'" in result.stderr


def test_a_failure_does_not_keep_the_others_from_being_fetched(
    zoo: Zoo, published: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = published("nade.a", "nade.b", "vae.c")
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    (path.parent / "nade.a.bin").unlink()
    (path.parent / "nade.b.bin").write_text("weights of no")
    result = zoo("pull", "*")
    assert result.exit_code == 1
    assert result.stdout.startswith("vae.c  ")
    first, *lines = result.stderr.splitlines()
    assert first == "error: 2 were not fetched:"
    assert "nade.a: There is no file" in lines[0]
    assert "nade.b: " in lines[1] and "does not hold what the registry promises" in lines[1]
    assert entry_names(zoo("list", "--pulled", "--json")) == ["vae.c"]
    assert zoo("pull", "nade.b", "vae.c").exit_code == 6


def test_json_is_printed_also_where_something_failed(zoo: Zoo, two: Path) -> None:
    (two.parent / "nade.mnist.bin").write_text("weights of nobody....")
    result = zoo("pull", "*", "--json")
    assert result.exit_code == 6
    nade, vae = json.loads(result.stdout)
    assert vae["pulled"] and "error" not in vae
    assert not nade["pulled"]
    assert "does not hold what the registry promises" in nade["error"]
