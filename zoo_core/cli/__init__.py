"""The command `zoo`: a group that imports a command's module when that command is used.

Every failure passes through `Root.main`, the one place where it becomes a line on stderr and an
exit code.
"""

import codecs
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from zoo_core import environment
from zoo_core.errors import ZooError, did_you_mean
from zoo_core.files import refusal
from zoo_core.text import flags_in_messages, printable

__all__ = ["COMMANDS", "main", "root"]

COMMANDS = {
    "list": "List the entries.",
    "show": "Show the card of an entry, or of a run that has ended.",
    "run": "Run a task of a model: sample, score, reconstruct and others.",
    "pull": "Fetch the weights of entries.",
    "lock": "Write the digests of entries to zoo.lock.",
    "train": "Train weights from a recipe file, or an architecture on any data.",
    "eval": "Compute the metrics of an entry, or of a run that has ended.",
    "metrics": "List the metrics, or the options of one.",
    "export": "Export a model to ONNX or plain PyTorch, or several entries to one file.",
    "import": "Unpack a bundle of `zoo export`, and read its registry from now on.",
    "publish": "Publish trained runs as entries that others can pull.",
    "play": "Open a page in the browser that runs models.",
    "compare": "Compare density models on the same data.",
    "ladder": "Fit every explicit model to a table, from the fewest parameters to the most.",
    "verify": "Check weights against their digests.",
    "rm": "Remove pulled weights.",
    "gc": "Remove unused files from the store.",
    "registry": "Add, remove, check and sign registries.",
    "plugins": "List the installed plugins and whether they load.",
    "plugin": "Create a plugin family, and check it.",
    "env": "Show versions, folders and settings.",
    "completion": "Print the completion script of a shell.",
}
"""The commands in the order of `--help`, with the first line of each one's help: to list them, none
of their modules is imported."""

_COMPUTING = ("run", "train", "eval", "compare", "ladder")
"""The commands whose process is worth settings of its own."""

INTERRUPTED = 130

_CLOSED = "the standard output is closed. Leave it open, or redirect it, as by > /dev/null."


class Root(click.Group):
    """The group of all commands, each in the module of `zoo_core.cli` that has its name.

    Those that plugins add come after ours; they are found by their entry points and imported when
    they are asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of `--help`."""
        return [*COMMANDS, *_plugin_commands()]  # `list` may be the module of that name by now

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name in COMMANDS:
            command: click.Command = import_module(f"{__name__}.{cmd_name}").command
            return command
        added = _plugin_commands()
        return _import_command(cmd_name, *added[cmd_name]) if cmd_name in added else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant; offer near matches of one that does not exist."""
        known = COMMANDS if args and args[0] in COMMANDS else {**COMMANDS, **_plugin_commands()}
        if args and args[0] not in known and not ctx.resilient_parsing:
            near = did_you_mean(args[0], known) or " `zoo --help` lists them."
            ctx.fail(f"there is no command '{args[0]}'.{near}")
        if args and args[0] in _COMPUTING and not ctx.resilient_parsing:
            from zoo_core.memory import keep_freed

            keep_freed()
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        with formatter.section("Commands"):
            added = [
                (name, f"A command of {owner}.") for name, (_, owner) in _plugin_commands().items()
            ]
            formatter.write_dl([*COMMANDS.items(), *added])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name or an option of the group."""
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        names = (name for name in self.list_commands(ctx) if name.startswith(incomplete))
        return [CompletionItem(name, help=COMMANDS.get(name)) for name in names]

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> NoReturn:
        """Run the command and exit with its code."""
        settings["standalone_mode"] = False
        _prepare_streams()
        if os.environ.get("NO_COLOR"):
            settings["color"] = False
        try:
            with flags_in_messages():
                result = super().main(args, *rest, **settings)
            sys.stdout.flush()
            code = result if isinstance(result, int) else 0
        except Exception as error:
            if environment.debug():
                import traceback

                traceback.print_exc()
            code = _report(error)
        sys.exit(code)


def _plugin_commands() -> dict[str, tuple[str, str]]:
    """The commands of plugins: name -> (path, distribution); a name of ours stays ours."""
    from zoo_core.plugins import commands

    return {name: found for name, found in commands().items() if name not in COMMANDS}


def _import_command(name: str, path: str, owner: str) -> click.Command:
    from zoo_core.errors import PluginError
    from zoo_core.plugins import import_object

    command = import_object(path)
    if not isinstance(command, click.Command):
        raise PluginError(
            f"the command '{name}' of {owner} is {path}, a {type(command).__name__}; "
            "expected a click.Command."
        )
    return command


def _prepare_streams() -> None:
    """Let no text fail for what the streams cannot hold, and nothing be done for a closed one."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open till the end
    if sys.stdout is None:
        click.echo(f"error: {_CLOSED}", err=True)
        sys.exit(1)
    codecs.register_error("zoo", _as_it_came)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="zoo")


def _as_it_came(error: UnicodeError) -> tuple[str | bytes, int]:
    """The bytes of a file's name that is no Unicode; what the encoding lacks, by its number."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _report(error: Exception) -> int:
    """Say on stderr what went wrong; return the exit code."""
    if isinstance(error, click.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BrokenPipeError):
        _drop_output()  # the reader has left, as `head` does
        return 1
    if isinstance(error, ZooError):
        # what is foreign in a message is printable where it was put in; here nothing slips through
        lines = (printable(line, None) for line in str(error).split("\n"))
        click.echo("error: " + "\n".join(lines), err=True)
        return error.exit_code
    if isinstance(error, MemoryError):
        click.echo("error: this machine has not enough memory for that.", err=True)
        return 1
    if (
        isinstance(error, OSError) and error.strerror
    ):  # a disk that is full, a path that is too long
        click.echo(f"error: {_place(error)}: {error.strerror}.", err=True)
        return refusal(error).exit_code
    what = f"{type(error).__name__}: {printable(error)}".rstrip(": ")
    click.echo(f"error: unexpected {what}\nZOO_DEBUG=1 shows where it happened.", err=True)
    return 1


def _place(error: OSError) -> str:
    """What it is that the system refused, as far as it says so."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_output()
    if error.filename is None:
        return "the standard output, or a file, cannot be used"
    return printable(os.fsdecode(error.filename))


def _drop_output() -> None:
    """What is still buffered must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version(ctx: click.Context, param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from zoo_core import __version__

        click.echo(f"zoo {__version__}")
        ctx.exit()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def root() -> None:
    """A zoo of generative models.

    An entry is an architecture with a config and trained weights, such as nade.mnist.

    \b
    zoo list                 all entries
    zoo run nade.mnist       sample from it
    zoo show nade.mnist      its config, data and metrics

    Completion of commands and entries: put eval "$(zoo completion bash)" into ~/.bashrc
    (zsh and fish: zoo completion --help).

    Exit codes: 0 done, 1 other failure, 2 usage, 3 unknown name, 4 plugin missing or broken,
    5 network failed or offline, 6 digest mismatch, 7 metric off, 8 disk full or not writable,
    9 another process is busy with it, 10 registry not trusted, 130 interrupted.
    """  # noqa: D301 - click looks for the character backspace


def main() -> NoReturn:
    """Run `zoo` on the command line's arguments."""
    root.main(prog_name="zoo")
