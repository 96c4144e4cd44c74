"""`zoo show`: everything known about an entry, on one card."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entry_argument, json_option
from zoo_core.text import command_line, hidden, printable

if TYPE_CHECKING:
    from zoo_core.plugins import Family
    from zoo_core.registry import Entry, Metric

__all__ = ["command", "commands", "in_toml"]


@click.command("show")
@entry_argument()
@json_option()
def command(name: str, as_json: bool) -> None:
    """Show the card of an entry, or of a run that has ended.

    What it is, its paper, config, weights, data, metrics beside the published figure, licences, and
    the commands that run it.
    """
    from zoo_core.plugins import installed

    entry, path = _find(name)
    family = installed().get(entry.family)
    if as_json:
        state = {"pulled": path is not None, "path": path, "installed": family is not None}
        text.echo_json({**entry.as_dict(), **state, "commands": [c for c, _ in commands(entry)]})
        return
    click.echo(click.style(entry.name, bold=True))
    click.echo(_wrap(entry.summary, 0))
    click.echo()
    for label, lines in _card(entry, path, family):
        for line in lines:
            click.echo(f"{label:<14}{_wrap(line, 14)}")
            label = ""
    click.echo()
    for line, what in commands(entry):
        click.echo(f"  {click.style(f'# {what}', dim=True)}\n  {line}")


def _find(name: str) -> "tuple[Entry, str | None]":
    """An entry and the path of its weights, where they are here; a run's goes by its path."""
    from zoo_core.registry import Registry, is_path
    from zoo_core.store import Store

    if is_path(name):
        from zoo_core import loading

        source = loading.open_source(name)
        return replace(loading.entry_of_run(source), name=name), str(source.path)
    entry, store = Registry.load().lookup(name), Store()
    path = store.find(entry.blob)
    return entry, str(path) if path else None


def _card(
    entry: "Entry", path: str | None, family: "Family | None"
) -> Iterator[tuple[str, list[str]]]:
    from zoo_core.tasks import of_entry

    weights = entry.weights
    if entry.paper:
        paper = entry.paper
        yield (
            "Paper",
            [f"{paper.authors} ({paper.year}). {paper.title}", *filter(None, [paper.url])],
        )
    yield "Architecture", [f"{entry.architecture}, of the family {entry.family}"]
    yield "Plugin", [_plugin(entry, family)]
    config = [f"{key} = {in_toml(value)}" for key, value in entry.config.items()] or ["none"]
    yield "Config", [printable(line, None) for line in config]
    yield "Parameters", [f"{weights.parameters:,}"]
    yield (
        "Weights",
        [
            f"{text.size(weights.bytes)} ({weights.bytes:,} bytes)",
            f"here: {path}" if path else "not pulled",
        ],
    )
    yield "SHA-256", [weights.sha256]
    seen = [f"{weights.seen:,} rows seen, each pass counted"] if weights.seen else []
    yield "Data", [entry.data, *seen]
    if entry.recipe:
        yield "Recipe", [hidden(entry.recipe)]
    if entry.metrics:
        yield "Metrics", [line for metric in entry.metrics for line in _metric(metric)]
    yield "Licence", [f"code {entry.licence.code}, weights {entry.licence.weights}"]
    yield "Tasks", [", ".join(of_entry(entry))]
    if entry.tags:
        yield "Tags", [", ".join(entry.tags)]
    yield "Registry", [hidden(entry.origin)]


def _plugin(entry: "Entry", family: "Family | None") -> str:
    if family is None:
        from zoo_core.plugins import missing

        return missing(entry.family, entry.requires)
    return f"{family}; needed: {entry.requires}"


def _metric(metric: "Metric") -> Iterator[str]:
    yield f"{metric.name} {metric.figure} (a check allows {metric.tolerance:g})"
    if metric.real is not None:
        yield f"  of data in the samples' place {metric.real:g} {metric.unit}"
    if spread := metric.spread:
        yield f"  by {len(metric.training_seeds)} training seeds {spread}"
    if metric.published is not None:
        source = f": {metric.source}" if metric.source else ""
        seen = f" after {metric.seen:,} images" if metric.seen else ""
        yield f"  published {metric.published:g} {metric.unit}{seen}{source}"
    measured = ", ".join(f"{k} = {in_toml(v)}" for k, v in metric.protocol.items())
    yield f"  measured by {printable(measured, None)}"


def in_toml(value: object) -> str:
    """A value of a config or a protocol as TOML has it, texts without quotation marks."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(in_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {in_toml(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def commands(entry: "Entry") -> list[tuple[str, str]]:
    """Commands to copy, each with what it does."""
    from zoo_core import tasks

    records, rows = tasks.records(entry.tasks), command_line(f"{entry.data}:test[0:16]")
    listed = []
    for name in entry.tasks:
        words = [] if name == tasks.first(entry.tasks) else ["--task", command_line(name)]
        what = name
        if name in records:
            words.append(records[name].example.replace("{rows}", rows))
            what = records[name].summary
        listed.append(
            (" ".join([command_line("zoo", "run", entry.name), *filter(None, words)]), what)
        )
    if entry.metrics:
        check = command_line("zoo", "eval", entry.name, "--check")
        listed.append((check, "Recompute the metrics"))
    if entry.recipe:
        again = command_line("zoo", "train", "--like", entry.name)
        listed.append((again, "Train it again"))
    return listed


def _wrap(line: str, indent: int) -> str:
    """Fold a line under its own start, when the output has a width to fold to."""
    width = text.width()
    if not width:
        return line
    import textwrap

    parts: Iterable[str] = textwrap.wrap(
        line, max(width - indent, 20), break_long_words=False, break_on_hyphens=False
    )
    return f"\n{' ' * indent}".join(parts)
