"""The end of a command, whatever happens: a sentence on stderr and an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from zoo_core import cli, errors
from zoo_core.cli import root

ZOO = Path(sys.executable).parent / "zoo"
DEV_FULL = Path("/dev/full")


def shell(script: str, tmp_path: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of a shell in which `zoo` is the command."""
    environment = (
        os.environ | {"ZOO_HOME": str(tmp_path.parent / "home"), "ZOO_PLUGINS": ""} | settings
    )
    line = script.replace("zoo ", f"'{ZOO}' ")
    return subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, cwd=tmp_path
    )


WORKING = (  # commands that do more than to print
    "train fvsbn --data bars-and-stripes --device cpu --epochs 1 -q -o run",
    "export nade.nltcs --format torch -o exported",
    "publish nade.nltcs published",
    "verify nade.nltcs",
)


@pytest.mark.skipif(not DEV_FULL.exists(), reason="the system has no device that is always full")
@pytest.mark.parametrize(
    "command", ["list", "list --json", "env", "--help", "completion bash", *WORKING]
)
def test_a_full_standard_output(tmp_path: Path, command: str) -> None:
    done = shell(f"zoo {command} > /dev/full", tmp_path, ZOO_PLUGINS="autoregressive")
    said = "error: the standard output, or a file, cannot be used: No space left on device.\n"
    assert (done.returncode, done.stderr) == (8, said)


@pytest.mark.parametrize("command", WORKING)
def test_a_reader_that_has_gone(tmp_path: Path, command: str) -> None:
    done = shell(
        f"zoo {command} | true; exit ${{PIPESTATUS[0]}}", tmp_path, ZOO_PLUGINS="autoregressive"
    )
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not DEV_FULL.exists(), reason="the system has no device that is always full")
def test_measurements_that_cannot_be_printed(stripes: Path, tmp_path: Path) -> None:
    evaluate, families = f"zoo eval '{stripes}'", "autoregressive"
    full = shell(f"{evaluate} > /dev/full", tmp_path, ZOO_PLUGINS=families)
    assert full.returncode == 8
    assert full.stderr.endswith(
        "the standard output, or a file, cannot be used: No space left on device.\n"
    )
    gone = shell(f"{evaluate} | true; exit ${{PIPESTATUS[0]}}", tmp_path, ZOO_PLUGINS=families)
    assert gone.returncode == 1
    assert "rror" not in gone.stderr


@pytest.mark.parametrize(
    "command", ["list", "run nade.mnist", "--help", "eval nade.nltcs", *WORKING]
)
def test_a_closed_standard_output(tmp_path: Path, command: str) -> None:
    done = shell(f"zoo {command} >&-", tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "error: the standard output is closed. Leave it open, or redirect it, as by > /dev/null.\n"
    )
    assert not list(tmp_path.iterdir())


def test_a_closed_standard_error_costs_nothing(tmp_path: Path) -> None:
    assert shell("zoo list 2>&-", tmp_path).returncode == 0
    assert shell("zoo show nothing 2>&-", tmp_path).returncode == 3


def test_an_output_that_lacks_characters(tmp_path: Path) -> None:
    done = shell("zoo show nade.mnist", tmp_path, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("zoo show 寸", tmp_path, PYTHONIOENCODING="latin-1")
    assert done.returncode == 3
    assert r"no entry is named '\u5bf8'" in done.stderr


@pytest.fixture
def fails() -> Iterator[Callable[[BaseException], Any]]:
    """Make a command fail, and return what it says and its exit code."""

    def run(error: BaseException) -> tuple[str, int]:
        @click.command("fail")
        def fail() -> None:
            raise error

        root.add_command(fail)
        cli.COMMANDS["fail"] = ""
        get, root.get_command = root.get_command, lambda context, name: fail  # type: ignore
        try:
            result = CliRunner().invoke(root, ["fail"])
        finally:
            root.get_command = get  # type: ignore[method-assign]
        return result.stderr, result.exit_code

    yield run
    cli.COMMANDS.pop("fail", None)
    root.commands.pop("fail", None)


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (OSError(36, "File name too long", "a" * 5000), ": File name too long.\n", 2),
        (PermissionError(13, "Permission denied", b"a\xff"), r"a\udcff: Permission denied.", 1),
        (OSError(28, "No space left on device"), "a file, cannot be used: No space left", 8),
        (MemoryError(), "error: this machine has not enough memory for that.\n", 1),
        (errors.InvalidInput("a\nb \x1b[2J c"), "error: a\nb \\x1b[2J c\n", 2),
        (errors.UnknownName("\udcff"), "error: \\udcff\n", 3),
        (RuntimeError("a\n\x1b[2J"), r"error: unexpected RuntimeError: a \x1b[2J", 1),
        (KeyError(), "error: unexpected KeyError\nZOO_DEBUG=1", 1),
    ],
)
def test_each_failure_is_a_sentence(
    fails: Callable[[BaseException], tuple[str, int]], error: Exception, said: str, code: int
) -> None:
    text, exit_code = fails(error)
    assert said in text
    assert exit_code == code
    assert text.replace("\n", "").isprintable()
    assert len(text) < 500


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "~nouser/run"], "there is no user 'nouser' with a home folder here"),
        (["run", "~nouser/a.safetensors"], "there is no user 'nouser' with a home folder here"),
        (["plugin", "check", "~nouser/family"], "there is no user 'nouser' with a home folder"),
        (["run", "nade.mnist", "-o", "a" * 300 + ".png"], "aaa.png: File name too long."),
        (["show", "a/" * 3000], "File name too long"),
        (["run", "nade.mnist", "-o", "~nouser/x.png"], "there is no user 'nouser' with a home"),
        (["train", "nade", "--data", "bars-and-stripes", "-o", "~nouser/x"], "no user 'nouser'"),
        (["export", "nade.mnist", "-o", "~nouser/x"], "there is no user 'nouser' with a home"),
        (["publish", "nade.mnist", "~nouser/x"], "there is no user 'nouser' with a home"),
        (["eval", "~nouser/x"], "there is no user 'nouser' with a home"),
        (["verify", "~nouser/x"], "there is no user 'nouser' with a home"),
        (["train", "nade", "--data", "bars-and-stripes", "-o", "a/" * 3000], "File name too long"),
        (["train", "nade", "--data", "bars-and-stripes", "-o", "a" * 6000], "File name too long"),
        (["train", "a" * 6000], "File name too long"),
        (["train", "a" * 6000 + ".toml"], "File name too long"),
        (["train", "nade", "--data", "a" * 6000], "is unknown"),
        (["eval", "a/" * 3000], "File name too long"),
        (["verify", "a/" * 3000], "File name too long"),
        (["publish", "nade.mnist", "a/" * 3000], "File name too long"),
        (["export", "nade.mnist", "-o", "a/" * 3000], "File name too long"),
        (
            ["train", "nade", "--data", "bars-and-stripes", "-o", "/dev/null"],
            "/dev/null is no folder",
        ),
        (["train", "nade", "--data", "/dev/null"], "/dev/null"),
        (["train", "/dev/full"], "/dev/full"),
        (["eval", "/dev/null"], "/dev/null"),
        (["export", "nade.mnist", "--format", "torch", "-o", "/dev/null"], "/dev/null"),
        (["publish", "/dev/null", "x"], "/dev/null"),
        (["publish", "nade.mnist", "/dev/null"], "/dev/null"),
        (["verify", "/dev/full"], "/dev/full"),
        (["run", "nade.mnist", "-o", "/dev/null"], "a name without a suffix names no format"),
        (["train", "~nouser/x.toml"], "No such file or directory"),
    ],
)
def test_paths_that_cannot_be(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code in ((2,) if "too long" in said else (1, 2, 3))
    assert said in result.stderr
    assert "unexpected" not in result.stderr
    assert len(result.stderr) < 1000


def test_a_registry_in_the_home_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_REGISTRY", "~nouser/registry.toml")
    result = CliRunner().invoke(root, ["list"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no user 'nouser' with a home folder here" in result.stderr


def test_names_that_are_no_unicode_reach_a_pipe_as_they_are(tmp_path: Path) -> None:
    code = (
        "import click\nfrom zoo_core.cli import root, text\n"
        "@click.command('x')\n@click.argument('what')\n@click.option('--json', is_flag=True)\n"
        "def x(what, json): text.echo_json([what]) if json else click.echo(what)\n"
        "root.resolve_command = lambda context, args: ('x', x, args[1:])\n"
        "root.main(prog_name='zoo')\n"
    )
    for arguments, expected in (([], b"a\xff\n"), (["--json"], b'[\n  "a\\udcff"\n]\n')):
        done = subprocess.run(
            [sys.executable, "-c", code, "x", b"a\xff", *arguments], capture_output=True, check=True
        )
        assert done.stdout == expected
    assert json.loads(done.stdout) == ["a\udcff"]
