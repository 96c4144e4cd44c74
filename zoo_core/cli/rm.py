"""`zoo rm`: remove weights from the store."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entries_argument

if TYPE_CHECKING:
    from zoo_core.registry import Registry
    from zoo_core.store import Store

__all__ = ["command"]


@click.command("rm")
@entries_argument()
@click.option("--unused", is_flag=True, help="Remove what no entry of the registry names.")
@click.option("--dry-run", "-n", is_flag=True, help="Only print what would be removed.")
def command(names: tuple[str, ...], unused: bool, dry_run: bool) -> None:
    """Remove pulled weights.

    ENTRY is a name or a glob over names. `zoo pull` fetches the weights again.
    """
    if not names and not unused:
        raise click.UsageError("name the entries whose weights to remove, or give --unused.")
    from zoo_core.registry import Registry
    from zoo_core.store import Store

    registry, store = Registry.load(), Store()
    doomed = _find_blobs(registry, store, names) if names else {}
    if unused:
        doomed |= _find_unclaimed(registry, store)
    freed = 0
    for digest, label in doomed.items():
        bytes_ = store.path(digest).stat().st_size if dry_run else store.remove(digest)
        click.echo(f"{'would remove' if dry_run else 'removed'} {label}  {text.size(bytes_)}")
        freed += bytes_
    if len(doomed) > 1:
        click.echo(f"{'would free' if dry_run else 'freed'} {text.size(freed)}")
    if not doomed:
        click.echo("nothing to remove", err=True)


def _find_blobs(registry: "Registry", store: "Store", names: Iterable[str]) -> dict[str, str]:
    doomed: dict[str, str] = {}
    for entry in registry.select(names):
        digest = entry.weights.sha256
        if not store.path(digest).exists():
            click.echo(f"{entry.name} is not pulled", err=True)
            continue
        doomed[digest] = ", ".join(_entries_sharing(registry, digest))
    return doomed


def _entries_sharing(registry: "Registry", digest: str) -> list[str]:
    """Name the entries that have these weights: without them all of those are not pulled."""
    return [e.name for e in registry.entries.values() if e.weights.sha256 == digest]


def _find_unclaimed(registry: "Registry", store: "Store") -> dict[str, str]:
    from zoo_core.registry_files import cached_digests

    # also what a registry has that is out of reach, or hidden by ZOO_REGISTRY, this time
    claimed = {entry.weights.sha256 for entry in registry.entries.values()} | cached_digests()
    stored = (path.name.removeprefix("sha256-") for path in store.blobs())
    return {digest: f"sha256-{digest}" for digest in stored if digest not in claimed}
