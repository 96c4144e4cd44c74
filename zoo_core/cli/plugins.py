"""`zoo plugins`: each installed family, loaded alone, with what came of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import json_option

if TYPE_CHECKING:
    from zoo_core.plugins import Family

__all__ = ["command"]


@click.command("plugins")
@json_option()
def command(as_json: bool) -> None:
    """List the installed plugins and whether they load.

    Loads every family, each alone, and reports its status, version, load time and error.
    """
    from zoo_core.plugins import installed

    rows = [row for family in installed().values() for row in _rows(family)]
    if as_json:
        text.echo_json(rows)
        return
    if not rows:
        click.echo("no family is installed; try: pip install zoo-autoregressive", err=True)
        return
    head = ("FAMILY", "STATUS", "DISTRIBUTION", "VERSION", "SECONDS", "ARCHITECTURES")
    click.echo("\n".join(text.table(head, map(_cells, rows), text.width())))
    for row in rows:
        if row["error"]:
            click.echo(f"{row['family']} ({row['distribution']}): {row['error']}")


def _rows(family: "Family") -> Iterator[dict[str, Any]]:
    """Describe a family, and the rivals that claim its name, if any."""
    from zoo_core.plugins import SLOW, load

    loaded = load(family.name)
    if family.rivals:
        status = "clash"
    elif loaded.error:
        status = "broken"
    else:
        status = "slow" if loaded.seconds > SLOW else "ok"
    for owner in (family, *family.rivals):
        yield {
            "family": owner.name,
            "status": status,
            "distribution": owner.distribution,
            "version": owner.version,
            "seconds": round(loaded.seconds, 4),
            "architectures": list(loaded.architectures),
            "error": loaded.error,
        }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        row["family"],
        row["status"],
        row["distribution"],
        row["version"],
        f"{row['seconds']:.2f}",
        ", ".join(row["architectures"]) or "-",
    )
