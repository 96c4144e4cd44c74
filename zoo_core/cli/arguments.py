"""Arguments that commands share, with the completion of their values."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from zoo_core.errors import InvalidInput, ZooError
from zoo_core.files import user_path

if TYPE_CHECKING:
    from zoo_core.options import Option
    from zoo_core.registry import Entry

__all__ = [
    "UserPath",
    "columns_option",
    "complete_entry",
    "complete_field",
    "complete_metric",
    "entries_argument",
    "entry_argument",
    "json_option",
    "option_flag",
    "values_of",
]

_Completer = Callable[[click.Context, click.Parameter, str], list[Any]]
_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class UserPath(click.Path):
    """A path as a user writes it, with `~` for a home; that of an unknown user is refused."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(path_type=Path, **settings)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Put the home in its place, then check as click does."""
        return super().convert(user_path(value), param, ctx)


def complete_entry(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of an entry, or a path once one is begun.

    A registry that cannot be read completes nothing.
    """
    if incomplete.startswith((".", "/", "~")):
        return [CompletionItem(incomplete, type="file")]
    return [
        CompletionItem(entry.name, help=entry.summary)
        for entry in _entries()
        if entry.name.startswith(incomplete)
    ]


def complete_field(field: str) -> _Completer:
    """Return a completer of the values that entries have in a field: family, data or tasks."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        values = {value for entry in _entries() for value in values_of(entry, field)}
        return sorted(value for value in values if value.startswith(incomplete))

    return complete


def values_of(entry: Entry, field: str) -> tuple[str, ...]:
    """The values of an entry in a field, one or several."""
    held = getattr(entry, field)
    return held if isinstance(held, tuple) else (held,)


def complete_metric(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a metric, ours or a family's."""
    from zoo_core.hookspecs import Metric
    from zoo_core.plugins import offers

    try:
        known = offers(Metric)
    except ZooError:
        return []
    return [
        CompletionItem(name, help=metric.summary)
        for name, metric in known.items()
        if name.startswith(incomplete)
    ]


def entry_argument() -> _Decorator:
    """Return the argument NAME: one entry."""
    return click.argument("name", metavar="ENTRY", shell_complete=complete_entry)


def entries_argument(*, required: bool = False) -> _Decorator:
    """Return the argument NAMES: entries or globs over their names."""
    metavar = "ENTRY..." if required else "[ENTRY]..."
    return click.argument(
        "names", metavar=metavar, nargs=-1, required=required, shell_complete=complete_entry
    )


def json_option() -> _Decorator:
    """Return the option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def columns_option() -> _Decorator:
    """Return the option --columns: a dictionary of names to kinds, None where it is not given."""
    return click.option(
        "--columns",
        metavar="NAME=KIND,...",
        callback=_kinds_of_columns,
        help="What columns of a table are, where the guess is wrong: binary, categorical, ordinal, "
        "real, skip. A name with a comma stands in quotes, as in a CSV file.",
    )


def _kinds_of_columns(
    ctx: click.Context, param: click.Parameter, stated: str | None
) -> dict[str, str] | None:
    """The kinds by name; what is no kind is said when the table is read."""
    if stated is None:
        return None
    found = {}
    for part in filter(None, next(csv.reader([stated]), [])):
        name, equals, kind = part.rpartition("=")
        if not equals:
            raise InvalidInput(f"--columns {part}: expected NAME=KIND, as age=real.")
        found[name] = kind
    return found


def option_flag(option: Option) -> click.Option:
    """The flag of a command for an option of a task or metric, with its checks and completion."""
    names = list(option.flags)
    if option.kind is bool:
        names[0] += f"/--no-{names[0].removeprefix('--')}"
    unit = f", in {option.unit}" if option.unit else ""
    return click.Option(
        [*names, option.name],
        type=bool if option.kind is bool else _Value(option),
        default=option.default,
        show_default=option.kind is not bool and option.default not in ("", None, ()),
        multiple=option.multiple,
        metavar=option.metavar or "|".join(option.choices) or None,
        help=f"{option.help}{unit}.{' Repeatable.' if option.multiple else ''}",
    )


class _Value(click.ParamType):  # type: ignore[type-arg]
    """What an option takes, checked by the option itself."""

    def __init__(self, option: Option) -> None:
        self.option = option
        words = {int: "integer", float: "float", str: "text"}
        self.name = words.get(option.kind, "path")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse what was typed; a default is a value already."""
        return self.option.parse(value, self.option.flags[0]) if isinstance(value, str) else value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete a choice, or else a path."""
        if not self.option.choices:
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(each) for each in self.option.choices if each.startswith(incomplete)]


def _entries() -> list[Entry]:
    from zoo_core.registry import Registry

    try:
        return list(Registry.load().entries.values())
    except ZooError:
        return []
