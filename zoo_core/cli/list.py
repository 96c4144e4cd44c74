"""`zoo list`: the entries, filtered and sorted, as a table or JSON."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import complete_field, entries_argument, json_option, values_of
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean

if TYPE_CHECKING:
    from zoo_core.registry import Entry

__all__ = ["command"]


@click.command("list")
@entries_argument()
@click.option("--family", help="Only this family's.", shell_complete=complete_field("family"))
@click.option(
    "--task", help="Only those that can do this task.", shell_complete=complete_field("tasks")
)
@click.option(
    "--data", help="Only those trained on this data set.", shell_complete=complete_field("data")
)
@click.option("--pulled", is_flag=True, help="Only those whose weights are here.")
@click.option(
    "--where", "condition", help="Only those that match, e.g. 'params<5M and test_nll<90'."
)
@click.option("--sort", help="By name, params, bytes, year or a metric; -params from the largest.")
@click.option("--refresh", is_flag=True, help="Ask the servers of remote registries again.")
@json_option()
def command(
    names: tuple[str, ...],
    family: str | None,
    task: str | None,
    data: str | None,
    pulled: bool,
    condition: str | None,
    sort: str | None,
    refresh: bool,
    as_json: bool,
) -> None:
    """List the entries.

    ENTRY is a name or a glob over names, such as 'nade*'; a bare architecture is all of its
    entries.
    """
    from zoo_core.registry import Registry
    from zoo_core.store import Store

    registry = Registry.load(refresh=refresh)
    everything = list(registry.entries.values())
    store = Store()
    entries = registry.match(names)
    for field, wanted in (("family", family), ("tasks", task), ("data", data)):
        if wanted is not None:
            entries = _only(entries, everything, field, wanted)
    if condition:
        entries = _where(entries, everything, condition)
    if pulled:
        entries = [entry for entry in entries if store.find(entry.blob)]
    if sort:
        entries = _sort(entries, everything, sort)
    here = {entry.name for entry in entries if pulled or store.find(entry.blob)}
    _print(entries, here, as_json)


def _only(
    entries: list["Entry"], everything: list["Entry"], field: str, wanted: str
) -> list["Entry"]:
    names = sorted({value for entry in everything for value in values_of(entry, field)})
    if wanted not in names:
        raise UnknownName(
            f"no entry has '{wanted}' as its {field.removesuffix('s')}."
            f"{did_you_mean(wanted, names)} There are: {', '.join(names) or 'none'}."
        )
    return [entry for entry in entries if wanted in values_of(entry, field)]


def _metrics(entries: Iterable["Entry"]) -> set[str]:
    return {metric.name for entry in entries for metric in entry.metrics}


def _where(entries: list["Entry"], everything: list["Entry"], condition: str) -> list["Entry"]:
    from zoo_core.where import where

    return list(filter(where(condition, _metrics(everything)), entries))


def _sort(entries: list["Entry"], everything: list["Entry"], sort: str) -> list["Entry"]:
    from zoo_core.where import NUMBERS, number

    key = sort.removeprefix("-")
    down = sort.startswith("-")
    if key == "name":
        return sorted(entries, key=lambda entry: entry.name, reverse=down)
    known = ["name", *NUMBERS, *sorted(_metrics(everything))]
    if key not in known:
        raise InvalidInput(
            f"--sort '{sort}': unknown name.{did_you_mean(key, known)} "
            f"Allowed: {', '.join(known)}; a minus in front turns the order round."
        )
    # Entries without the number come last in either direction.
    having = [(value, e) for e in entries if (value := number(e, key)) is not None]
    ordered = [e for _, e in sorted(having, key=lambda pair: pair[0], reverse=down)]
    return ordered + [e for e in entries if number(e, key) is None]


def _print(entries: Sequence["Entry"], pulled: set[str], as_json: bool) -> None:
    from zoo_core.plugins import installed, missing

    families = installed()
    if as_json:
        text.echo_json([_to_json(e, e.name in pulled, e.family in families) for e in entries])
        return
    if not entries:
        click.echo("no entry fits", err=True)
        return
    rows = [_row(e, e.name in pulled, e.family in families) for e in entries]
    head = ("NAME", "PARAMS", "METRIC", "FAMILY", "PULLED", "SUMMARY")
    click.echo("\n".join(text.table(head, rows, text.width())))
    absent = {(e.family, e.requires) for e in entries if e.family not in families}
    for family, requires in sorted(absent):
        click.echo(f"! {missing(family, requires)}", err=True)


def _to_json(entry: "Entry", pulled: bool, installed: bool) -> dict[str, Any]:
    return {**entry.as_dict(), "pulled": pulled, "installed": installed}


def _row(entry: "Entry", pulled: bool, installed: bool) -> tuple[str, ...]:
    metric = entry.metrics[0] if entry.metrics else None
    return (
        entry.name,
        text.count(entry.weights.parameters),
        f"{metric.value:g} {metric.unit}" if metric else "-",
        entry.family if installed else f"{entry.family} !",
        "yes" if pulled else "-",
        entry.summary,
    )
