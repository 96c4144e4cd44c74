import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from factories import failing_command
from zoo_core.cli import COMMANDS, root
from zoo_core.errors import ZooError

Zoo = Callable[..., Result]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_of_each_command_what_it_says_of_itself(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").strip().splitlines()[0] == COMMANDS[name]


def test_help_lists_every_command(zoo: Zoo) -> None:
    result = zoo("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.output for name in COMMANDS)


def test_an_unknown_command_gets_near_matches(zoo: Zoo) -> None:
    result = zoo("lst")
    assert result.exit_code == 2
    assert "there is no command 'lst'. Did you mean list?" in result.stderr
    assert "`zoo --help` lists them" in zoo("frobnicate").stderr


def test_the_version_is_the_distributions(zoo: Zoo) -> None:
    from importlib.metadata import version

    assert zoo("--version").output == f"zoo {version('zoo-core')}\n"


def test_an_unexpected_error_is_one_line_and_how_to_see_more() -> None:
    result = failing_command(KeyError("x"))
    assert result.exit_code == 1
    assert (
        result.stderr == "error: unexpected KeyError: 'x'\nZOO_DEBUG=1 shows where it happened.\n"
    )


def test_an_interrupt_is_130() -> None:
    result = failing_command(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.strip() == "interrupted"


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DEBUG", "1")
    result = failing_command(ZooError("sorry"))
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: sorry\n")


HELLO = """
import click
@click.command(help="Greet.")
def hello():
    click.echo("hello")
def wrong():
    pass
"""


def test_a_plugin_adds_a_command(
    zoo: Zoo, install_family: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = install_family("greets", HELLO)
    points = next(site.glob("*.dist-info")) / "entry_points.txt"
    lines = ("hello = zoo_greets_plugin:hello", "wrong = zoo_greets_plugin:wrong",
             "list = zoo_greets_plugin:hello")  # fmt: skip
    points.write_text("\n".join((points.read_text(), "[zoo.commands.v1]", *lines)))
    monkeypatch.syspath_prepend(str(site))
    assert zoo("hello").stdout == "hello\n"
    assert re.search(r"hello +A command of zoo-greets\.", zoo("--help").stdout)
    assert "Did you mean hello" in zoo("helo").stderr
    wrong = zoo("wrong")
    assert wrong.exit_code == 4
    assert "zoo_greets_plugin:wrong, a function; expected a click.Command" in wrong.stderr
    assert "nade" in zoo("list").stdout  # ours stays ours
