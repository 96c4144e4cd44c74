from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from factories import entry_names
from zoo_core.registry import Registry

Make = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


Zoo = Callable[..., Result]


def test_rm_needs_names_and_says_what_is_not_there(zoo: Zoo, two: Path) -> None:
    assert zoo("rm").exit_code == 2
    assert "name the entries whose weights to remove, or give --unused" in zoo("rm").stderr
    result = zoo("rm", "nade")
    assert result.exit_code == 0
    assert result.stderr == "nade.mnist is not pulled\nnothing to remove\n"


def test_a_dry_rm_removes_nothing(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    assert zoo("rm", "nade", "--dry-run").stdout == "would remove nade.mnist  21 B\n"
    assert entry_names(zoo("list", "--pulled", "--json")) == ["nade.mnist"]


def test_rm_unused_keeps_what_an_entry_names(
    zoo: Zoo, published: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.old", "nade.new")))
    old = Registry.load().lookup("nade.old").weights.sha256
    zoo("pull", "*")
    published("nade.new")
    assert f"sha256-{old}  sound" in zoo("verify").stdout
    assert zoo("rm", "--unused").stdout == f"removed sha256-{old}  19 B\n"
    assert zoo("verify").stdout == "nade.new  sound\n"


def test_rm_names_all_entries_that_share_weights(
    zoo: Zoo, published: Write, write_registry: Write, entry: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", str(published("nade.a")))
    known = Registry.load().lookup("nade.a").as_dict()["weights"]
    weights = {key: value for key, value in known.items() if value is not None}
    write_registry(entry(name="nade.a", weights=weights), entry(name="nade.b", weights=weights))
    zoo("pull", "nade.b")
    assert zoo("rm", "nade.a").stdout == "removed nade.a, nade.b  17 B\n"
