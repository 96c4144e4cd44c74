import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from zoo_core.cli import env

Zoo = Callable[..., Result]


def test_env_says_where_things_are(zoo: Zoo, two: Path) -> None:
    zoo("pull", "nade")
    facts = json.loads(zoo("env", "--json").stdout)
    assert facts["folders"]["registries"] == [str(two)]
    assert facts["store"] == {"files": 1, "bytes": 21}
    assert set(facts["settings"]) == set(env.VARIABLES)
    assert facts["versions"]["torch"]
    assert f"  ZOO_REGISTRY    {two}\n" in zoo("env").stdout


def test_env_shows_no_password_and_no_token(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://me:secret@zoo.example/registry.toml?token=secret"
    monkeypatch.setenv("ZOO_REGISTRY", f"{address},{address}")
    for options in ((), ("--json",)):
        said = zoo("env", *options).stdout
        assert "secret" not in said
        assert said.count("https://…@zoo.example/registry.toml?token=…") == 4
