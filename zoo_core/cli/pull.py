"""`zoo pull`: weights into the store, verified."""

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entries_argument, json_option
from zoo_core.errors import ZooError
from zoo_core.urls import hidden

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_core.loading import Source
    from zoo_core.registry import Entry
    from zoo_core.store import Store

__all__ = ["command", "fetch", "fetched"]


@click.command("pull")
@entries_argument(required=True)
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be fetched, from where.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
@json_option()
def command(names: tuple[str, ...], dry_run: bool, quiet: bool, as_json: bool) -> None:
    """Fetch the weights of entries.

    ENTRY is a name or a glob over names. What is here already is not fetched again; a pull that was
    killed goes on where it stopped. Prints each entry's name and the path of its weights. One that
    fails does not keep the others from being fetched.
    """
    from zoo_core.registry import Registry
    from zoo_core.store import Store

    registry, store = Registry.load(), Store()
    entries = registry.select(names)
    failures: dict[str, ZooError] = {}
    if not dry_run:
        for entry in entries:
            try:
                path = fetch(entry, store, quiet=quiet)
            except ZooError as error:
                failures[entry.name] = error
            else:
                if not as_json:
                    click.echo(f"{entry.name}  {path}")
    if as_json:
        plans = {entry.name: _plan(entry, store) for entry in entries}
        for name, failure in failures.items():
            plans[name]["error"] = str(failure)
        text.echo_json(list(plans.values()))
    elif dry_run:
        _print([_plan(entry, store) for entry in entries])
    _report(failures)


def _report(failures: dict[str, ZooError]) -> None:
    """Raise what went wrong: one failure as it is, of several the first one's kind."""
    if not failures:
        return
    first, *others = failures.values()
    if not others:
        raise first
    lines = [f"{name}: {error}" for name, error in failures.items()]
    raise type(first)(f"{len(failures)} were not fetched:\n" + "\n".join(lines))


def fetch(entry: "Entry", store: "Store", *, quiet: bool = False) -> "Path":
    """Fetch an entry's weights with a progress bar on stderr; return their path."""
    blob = entry.blob
    if quiet or store.find(blob):
        return store.fetch(blob)
    from tqdm import tqdm

    # disable=None: no bar when stderr is not a terminal.
    with tqdm(
        total=blob.bytes, desc=entry.name, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:

        def advance(more: int) -> None:
            bar.update(more)

        return store.fetch(blob, progress=advance)


def fetched(origin: "Entry | Source", *, quiet: bool = False) -> "Source":
    """Return what a name stands for with its weights here, fetched when they are not."""
    from zoo_core.loading import Source
    from zoo_core.store import Store

    if isinstance(origin, Source):
        return origin
    return Source.of(origin, fetch(origin, Store(), quiet=quiet))


def _plan(entry: "Entry", store: "Store") -> dict[str, Any]:
    blob = entry.blob
    here = store.find(blob)
    return {
        "name": entry.name,
        "bytes": blob.bytes,
        "sha256": blob.sha256,
        "pulled": here is not None,
        "path": str(here or store.path(blob.sha256)),
        "sources": list(map(hidden, blob.sources)),
    }


def _print(plans: list[dict[str, Any]]) -> None:
    for plan in plans:
        if plan["pulled"]:
            click.echo(f"{plan['name']}  here already")
        else:
            source = plan["sources"][0]
            click.echo(f"{plan['name']}  would fetch {text.size(plan['bytes'])} from {source}")
