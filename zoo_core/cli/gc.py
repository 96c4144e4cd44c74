"""`zoo gc`: remove what no entry uses from the store."""

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import json_option
from zoo_core.text import printable

__all__ = ["command"]


@click.command("gc")
@click.option("--dry-run", "-n", is_flag=True, help="Only print what would be removed.")
@json_option()
def command(dry_run: bool, as_json: bool) -> None:
    """Remove unused files from the store.

    That is weights which no registry names, of those in use and of those that were read here
    before; what is left of pulls and files that ended before their end; and what was found damaged.
    `zoo pull` fetches weights again.
    """
    from zoo_core.registry import Registry
    from zoo_core.registry_files import cached_digests
    from zoo_core.store import Store, discard

    store = Store()
    named = {entry.weights.sha256 for entry in Registry.load().entries.values()}
    rows = [
        (path, reason, discard(path, dry_run=dry_run))
        for path, reason in store.garbage(named | cached_digests()).items()
    ]
    if as_json:
        text.echo_json([{"path": str(p), "reason": why, "bytes": size} for p, why, size in rows])
        return
    for path, reason, _ in rows:
        click.echo(f"{'would remove' if dry_run else 'removed'} {printable(path)}: {reason}")
    freed = text.size(sum(size for *_, size in rows))
    click.echo(f"{'would free' if dry_run else 'freed'} {freed}")
