import json
from collections.abc import Callable

import pytest
from click.testing import Result

from zoo_core import plugins

Zoo = Callable[..., Result]


def test_plugins_reports_each(zoo: Zoo) -> None:
    rows = json.loads(zoo("plugins", "--json").stdout)
    assert {row["family"] for row in rows} == set(plugins.installed())
    assert all(row["seconds"] >= 0 for row in rows)


def test_plugins_says_when_there_is_none(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert "no family is installed; try: pip install" in zoo("plugins").stderr
    assert json.loads(zoo("plugins", "--json").stdout) == []
