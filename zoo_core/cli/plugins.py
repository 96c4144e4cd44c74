"""`zoo plugins`: each installed family, loaded alone, with what came of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import json_option
from zoo_core.text import printable

if TYPE_CHECKING:
    from zoo_core.plugins import Family

__all__ = ["command"]


@click.command("plugins")
@json_option()
def command(as_json: bool) -> None:
    """List the installed plugins and whether they load.

    Loads every family in a process of its own, which may take 20 seconds and not more, and reports
    its status, version, load time, what it prints and what is wrong with it.
    """
    from zoo_core.plugins import discovery, installed

    rows = _with_clashes([row for family in installed().values() for row in _rows(family)])
    for place, reason in discovery.unreadable().items():
        click.echo(f"warning: {printable(place)} is left out: {printable(reason)}", err=True)
    if as_json:
        text.echo_json(rows)
        return
    if not rows:
        click.echo("no family is installed; try: pip install zoo-autoregressive", err=True)
        return
    head = ("FAMILY", "STATUS", "DISTRIBUTION", "VERSION", "SECONDS", "ARCHITECTURES")
    click.echo("\n".join(text.table(head, map(_cells, rows), text.width())))
    for row in rows:
        shown = printable(f"{row['family']} ({row['distribution']})")
        if row["error"]:
            click.echo(f"{shown}: {printable(row['error'], None)}")
        if row["printed"]:
            click.echo(f"{shown}: prints: {row['printed']}")


def _rows(family: "Family") -> Iterator[dict[str, Any]]:
    """Describe a family, and the rivals that claim its name, if any."""
    from zoo_core.plugins import SLOW, load
    from zoo_core.plugins.trial import Trial, attempt

    # nothing of a family that has rivals is imported
    trial = Trial(error=load(family.name).error) if family.rivals else attempt(family)
    if family.rivals:
        status = "clash"
    elif trial.error:
        status = "broken"
    else:
        status = "slow" if trial.seconds > SLOW else "ok"
    for owner in (family, *family.rivals):
        yield {
            "family": owner.name,
            "status": status,
            "distribution": owner.distribution,
            "version": owner.version,
            "seconds": round(trial.seconds, 4),
            "error": trial.error,
            "printed": trial.printed,
            "architectures": [],
            **trial.records,
        }


def _with_clashes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say of each family which of its names another one has, too."""
    for kind in ("architectures", "metrics", "datasets", "tasks"):
        owners: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            for name in row.get(kind, ()):
                owners.setdefault(name, []).append(row)
        for name, both in owners.items():
            for row in both if len(both) > 1 else ():
                others = " and ".join(other["family"] for other in both if other is not row)
                clash = f"{kind.removesuffix('s')} '{name}' is offered by {others} as well"
                row["error"] = f"{row['error']}; {clash}" if row["error"] else clash
                row["status"] = "clash"
    return rows


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["family"],
        row["status"],
        row["distribution"],
        row["version"],
        f"{row['seconds']:.2f}",
        ", ".join(row["architectures"]) or "-",
    )
