import json
from collections.abc import Callable
from pathlib import Path

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
