"""Whatever a family does while it loads, the trial ends and says what it was."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from zoo_core import plugins
from zoo_core.plugins import trial
from zoo_core.plugins.trial import attempt

Install = Callable[..., Path]
Zoo = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("only_test_families")

FAMILY = """
from zoo_core.hookspecs import Architecture, hookimpl

@hookimpl
def zoo_architectures():
    return [Architecture("model", "collections:OrderedDict", "A model", ("sample",))]
"""


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("class Own(BaseException): pass\nraise Own('bye')", "Own: bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os._exit(3)", "ends the process with code 3 while it loads, as os._exit does"),
        ("import os; os._exit(0)", "ends the process with code 0 while it loads, as os._exit does"),
        ("import os; os.kill(os.getpid(), 11)", "crashes while it loads (SIGSEGV)"),
        ("import sys; sys.stdout.close(); sys.exit(2)", "SystemExit: 2"),
        ("import nonsense", "ModuleNotFoundError: No module named 'nonsense'"),
    ],
)
def test_what_a_family_does_to_its_process_is_said(
    install_family: Install, source: str, error: str
) -> None:
    install_family("bad", source)
    assert attempt(plugins.installed()["bad"]).error == error


def test_an_endless_loop_and_what_it_started_are_ended(
    install_family: Install, tmp_path: Path
) -> None:
    alive = tmp_path / "alive"
    child = f"import time\\nwhile True: open({str(alive)!r}, 'a').write('x'); time.sleep(0.05)"
    install_family(
        "endless",
        f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])\n"
        "while True: print('again' * 1000)",
    )
    start = time.monotonic()
    found = attempt(plugins.installed()["endless"], 6.0)
    assert time.monotonic() - start < 20
    assert found.error is not None
    assert found.error.startswith("did not load within 6 s and was ended. Importing")
    size = alive.stat().st_size if alive.exists() else 0
    time.sleep(0.3)
    assert size == (alive.stat().st_size if alive.exists() else 0)


def test_a_family_that_loads_tells_its_records_and_what_it_prints(install_family: Install) -> None:
    install_family("loud", "print('hello\\x1b[2J')\nimport os; os.write(1, b'there')\n" + FAMILY)
    found = attempt(plugins.installed()["loud"])
    assert (found.error, found.records["architectures"]) == (None, ["model"])
    assert found.records["tasks"] == []
    assert "hello\\x1b[2J" in found.printed
    assert "there" in found.printed


def test_zoo_plugins_names_families_that_offer_the_same(
    install_family: Install, zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "LIMIT_SECONDS", 60)
    install_family("one", FAMILY)
    install_family("two", "print('{not: json')" + FAMILY)
    result = zoo("plugins", "--json")
    one, two = sorted(json.loads(result.stdout), key=lambda row: str(row["family"]))
    assert (one["status"], two["status"]) == ("clash", "clash")
    assert one["error"] == "architecture 'model' is offered by two as well"
    assert two["error"] == "architecture 'model' is offered by one as well"
    assert two["printed"] == "{not: json"
