"""`zoo pull`: weights into the store, verified."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entries_argument, json_option
from zoo_core.errors import UnknownName, ZooError
from zoo_core.text import hidden

if TYPE_CHECKING:
    from zoo_core.loading import Source
    from zoo_core.registry import Entry
    from zoo_core.store import Blob, Store

__all__ = ["command", "fetch", "fetch_source"]


@click.command("pull")
@entries_argument()
@click.option("--locked", is_flag=True, help="The bytes of zoo.lock, or none.")
@click.option(
    "--dry-run", "-n", is_flag=True, help="Only print what would be fetched, and from where."
)
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
@json_option()
def command(
    names: tuple[str, ...], locked: bool, dry_run: bool, quiet: bool, as_json: bool
) -> None:
    """Fetch the weights of entries.

    ENTRY is a name or a glob over names. What is here already is not fetched again; a pull that was
    killed goes on where it stopped. Prints each entry's name and the path of its weights. One that
    fails, or is not known, does not keep the others from being fetched. With --locked the digests
    are those of zoo.lock, whatever the registry has by now; without a name, all of the file.
    """
    from zoo_core.store import Store

    if not names and not locked:
        raise click.UsageError("Missing argument 'ENTRY...'.")
    store = Store()
    blobs, failures = _select_locked(names, store) if locked else _select(names)
    if not dry_run:
        for name, blob in blobs.items():
            try:
                path = _fetch(name, blob, store, quiet=quiet)
            except ZooError as error:
                failures[name] = error
            else:
                if not as_json:
                    click.echo(f"{name}  {path}")
    if as_json:
        plans = {name: _plan(name, blob, store) for name, blob in blobs.items()}
        for name, failure in failures.items():
            plans.setdefault(name, {"name": name, "pulled": False})["error"] = str(failure)
        text.echo_json(list(plans.values()))
    elif dry_run:
        _print([_plan(name, blob, store) for name, blob in blobs.items()])
    _report(failures)


def _select(names: tuple[str, ...]) -> "tuple[dict[str, Blob], dict[str, ZooError]]":
    """The blobs of entries, and why names have none."""
    from zoo_core.registry import Registry

    registry = Registry.load()
    blobs: dict[str, Blob] = {}
    failures: dict[str, ZooError] = {}
    for name in names:
        try:
            blobs |= {entry.name: entry.blob for entry in registry.select([name])}
        except UnknownName as error:
            failures[name] = error
    return blobs, failures


def _select_locked(
    names: tuple[str, ...], store: "Store"
) -> "tuple[dict[str, Blob], dict[str, ZooError]]":
    """The blobs of a lock file, and why entries of it have none."""
    from zoo_core import lock
    from zoo_core.registry import Registry

    registry = Registry.load()
    blobs: dict[str, Blob] = {}
    failures: dict[str, ZooError] = {}
    # the lock file has the successor of a name that is withdrawn
    present = [registry.lookup(n).name if n in registry.withdrawn else n for n in names]
    for entry in lock.select(lock.read(Path(lock.LOCK)), present):
        blob = entry.blob(registry)
        if blob.sources or blob.shipped or store.find(blob):
            blobs[entry.name] = blob
        else:
            failures[entry.name] = entry.gone(registry)
    return blobs, failures


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
    return _fetch(entry.name, entry.blob, store, quiet=quiet)


def _fetch(name: str, blob: "Blob", store: "Store", *, quiet: bool) -> "Path":
    if quiet or store.find(blob):
        return store.fetch(blob)
    from tqdm import tqdm

    # disable=None: no bar when stderr is not a terminal.
    with tqdm(
        total=blob.bytes, desc=name, unit="B", unit_scale=True, leave=False, disable=None
    ) as bar:

        def advance(more: int) -> None:
            bar.update(more)

        return store.fetch(blob, progress=advance)


def fetch_source(origin: "Entry | Source", *, quiet: bool = False) -> "Source":
    """Return what a name stands for with its weights here, fetched when they are not."""
    from zoo_core.loading import Source
    from zoo_core.store import Store

    if isinstance(origin, Source):
        return origin
    return Source.of(origin, fetch(origin, Store(), quiet=quiet))


def _plan(name: str, blob: "Blob", store: "Store") -> dict[str, Any]:
    here = store.find(blob)
    return {
        "name": name,
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
            source = plan["sources"][0] if plan["sources"] else "beside the code"
            click.echo(f"{plan['name']}  would fetch {text.size(plan['bytes'])} from {source}")
