"""`zoo lock`: which bytes a project uses."""

from pathlib import Path

import click

from zoo_core.cli.arguments import UserPath, entries_argument
from zoo_core.lock import LOCK
from zoo_core.text import printable

__all__ = ["command"]


@click.command("lock")
@entries_argument()
@click.option("--file", "path", type=UserPath(), default=LOCK, show_default=True, help="File.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 7 where it would change.")
def command(names: tuple[str, ...], path: Path, check: bool) -> None:
    """Write the digests of entries to zoo.lock.

    ENTRY is a name or a glob over names; those that are in the file stay in it, with the digests
    that the registry has now. `zoo pull --locked` fetches the bytes of the file, or fails. Commit
    it with the project that uses them.
    """
    from zoo_core import lock
    from zoo_core.errors import CheckFailed, UnknownName
    from zoo_core.registry import Registry

    before = {entry.name: entry for entry in lock.read(path)} if path.exists() or not names else {}
    registry = Registry.load()
    kept = {name: registry.entries[name] for name in before if name in registry.entries}
    try:
        replaced = registry.select([name for name in before if name not in kept])
    except UnknownName as error:
        raise UnknownName(f"{printable(path)} names what no registry has by now: {error}") from None
    added = registry.select(names)
    entries = (kept | {entry.name: entry for entry in (*replaced, *added)}).values()
    changed = []
    for entry in sorted(entries, key=lambda entry: entry.name):
        old = before.get(entry.name)
        if old is None or old.sha256 != entry.weights.sha256:
            changed.append(entry.name)
            click.echo(
                f"{entry.name}  {old.sha256[:12] + ' -> ' if old else ''}"
                f"{entry.weights.sha256[:12]}"
            )
    if check and (changed or (before and path.read_text("utf-8") != lock.text_of(entries))):
        what = ", ".join(changed) or "sizes, versions or sources, with the same digests"
        raise CheckFailed(f"{printable(path)} is not what the registry has: {what}.")
    if not check:
        lock.write(entries, path)
        if not changed:
            click.echo(f"{printable(path)}: the digests are unchanged", err=True)
