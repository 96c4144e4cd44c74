import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from factories import entry_names

Make = Callable[..., dict[str, Any]]


Write = Callable[..., Path]


Zoo = Callable[..., Result]


def test_list_is_an_aligned_table(zoo: Zoo, two: Path) -> None:
    result = zoo("list")
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head == "NAME        PARAMS  METRIC     FAMILY          PULLED  SUMMARY"
    assert first == "nade.mnist  785 K   86.1 nats  autoregressive  -       " + (
        "Handwritten digits, one …"
    )
    assert second.startswith("vae.faces   785 K   86.1 nats")


def test_list_cuts_nothing_without_a_terminal(
    zoo: Zoo, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    assert "Handwritten digits, one pixel after the other\n" in zoo("list").stdout


def test_list_takes_names_and_globs(zoo: Zoo, two: Path) -> None:
    assert "vae" not in zoo("list", "nade*").stdout
    assert "nade" not in zoo("list", "vae").stdout
    result = zoo("list", "nabe")
    assert result.exit_code == 3
    assert "no entry is named 'nabe'. Did you mean nade" in result.stderr


def test_list_says_when_nothing_fits(zoo: Zoo, two: Path) -> None:
    result = zoo("list", "gan*")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no entry fits\n")
    assert json.loads(zoo("list", "gan*", "--json").stdout) == []


def test_list_filters(
    zoo: Zoo, entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(
        entry(),
        entry(name="nade.dna", data="dna", weights__parameters=10_000_000, paper__year=2020),
        entry(name="vae.mnist", architecture="vae", family="latent", tasks=["encode"], metrics=[]),
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    everything = ["nade.mnist", "nade.dna", "vae.mnist"]
    assert entry_names(zoo("list", "--json")) == everything
    assert entry_names(zoo("list", "--json", "--family", "latent")) == ["vae.mnist"]
    assert entry_names(zoo("list", "--json", "--task", "score")) == ["nade.mnist", "nade.dna"]
    assert entry_names(zoo("list", "--json", "--data", "dna")) == ["nade.dna"]
    assert entry_names(zoo("list", "--json", "--where", "params<5M and test_nll<90")) == [
        "nade.mnist"
    ]
    assert entry_names(zoo("list", "--json", "--where", "year==2020", "*.mnist")) == []
    assert entry_names(zoo("list", "--json", "--pulled")) == []


def test_list_sorts(
    zoo: Zoo, entry: Make, write_registry: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_registry(
        entry(name="nade.c", metrics=[]),
        entry(name="nade.b", weights__parameters=3),
        entry(name="nade.a", weights__parameters=5),
    )
    monkeypatch.setenv("ZOO_REGISTRY", str(path))
    assert entry_names(zoo("list", "--json", "--sort", "name")) == ["nade.a", "nade.b", "nade.c"]
    assert entry_names(zoo("list", "--json", "--sort", "params")) == ["nade.b", "nade.a", "nade.c"]
    assert entry_names(zoo("list", "--json", "--sort", "-params")) == [
        "nade.c",
        "nade.a",
        "nade.b",
    ]
    assert entry_names(zoo("list", "--json", "--sort", "-test_nll"))[-1] == "nade.c"


@pytest.mark.parametrize(
    ("option", "value", "code", "message"),
    [
        ("--family", "auto", 3, "no entry has 'auto' as its family. There are: autoregressive."),
        ("--task", "scor", 3, "no entry has 'scor' as its task. Did you mean score? There are: "),
        ("--data", "mnits", 3, "no entry has 'mnits' as its data. Did you mean mnist? There are: "),
        ("--where", "parms<1", 2, "unknown name 'parms'. Did you mean params? Allowed: params,"),
        ("--sort", "parms", 2, "--sort 'parms': unknown name. Did you mean params? Allowed: name"),
    ],
)
def test_list_names_what_a_filter_does_not_know(
    zoo: Zoo, two: Path, option: str, value: str, code: int, message: str
) -> None:
    result = zoo("list", option, value)
    assert result.exit_code == code
    assert message in result.stderr
