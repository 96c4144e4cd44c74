"""`zoo verify`: weights, in the store or in any file, against their digests, offline."""

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import complete_entry, json_option
from zoo_core.errors import DigestMismatch, ZooError
from zoo_core.text import printable

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_core.registry import Entry, Registry
    from zoo_core.store import Store

__all__ = ["command"]


@click.command("verify")
@click.argument("names", metavar="[ENTRY|FOLDER|FILE]...", nargs=-1, shell_complete=complete_entry)
@click.option("--repair", is_flag=True, help="Move what is damaged away, and fetch it again.")
@json_option()
def command(names: tuple[str, ...], repair: bool, as_json: bool) -> None:
    """Check weights against their digests.

    Reads every byte of what is here of ENTRY (a name or a glob over names), of a run's FOLDER or of
    a FILE; without names, of all that is in the store and that came with the code. Needs no
    network, unless --repair has something to fetch. A file has no digest to be compared with where
    neither the entry.toml beside it nor the registry knows it.
    """
    from zoo_core.registry import Registry, is_path

    registry = Registry.load()
    entries = [name for name in names if not is_path(name)]
    checks = _check_store(registry, entries) if entries or not names else []
    if repair:
        checks = [_repair(check, registry) if check.sound is False else check for check in checks]
    # nothing but what wrote it can repair a file of the user's
    checks = [_check_file(name, registry) for name in names if is_path(name)] + checks
    if as_json:
        text.echo_json([check._asdict() for check in checks])
    else:
        rows = [(check.name, _WORDS[check.sound]) for check in checks]
        click.echo("\n".join(text.align(rows)) if rows else "nothing is pulled")
    if damaged := [check for check in checks if check.sound is False]:
        raise DigestMismatch(_advice(damaged))


class _Check(NamedTuple):
    name: str
    sha256: str
    sound: bool | None
    """None where nothing says what the digest should be."""
    path: str
    """The file that was read."""


def _repair(check: _Check, registry: "Registry") -> _Check:
    """Move damaged weights of the store away and fetch them; what cannot be is as it was."""
    from zoo_core.store import Store

    store = Store()
    if check.path == str(store.path(check.sha256)):
        store.quarantine(check.sha256)
    for entry in registry.entries.values():
        if entry.weights.sha256 == check.sha256:
            try:
                path = store.fetch(entry.blob)
            except ZooError as error:
                click.echo(f"{entry.name} cannot be fetched: {error}", err=True)
            else:
                return check._replace(sound=True, path=str(path))
    return check


_WORDS = {True: "sound", False: "damaged", None: "readable; its digest is in no registry here"}


def _check_file(name: str, registry: "Registry") -> _Check:
    """Compare a file's digest with that of the entry beside it, or else with the registry's."""
    from zoo_core import loading

    source = loading.resolve(name)
    assert isinstance(source, loading.Source)  # a path
    digest = source.sha256
    path = str(source.path)
    if beside := loading.entry_beside(source.path):
        return _Check(name, digest, beside.weights.sha256 == digest, path)
    known = any(entry.weights.sha256 == digest for entry in registry.entries.values())
    return _Check(name, digest, known or None, path)


def _check_store(registry: "Registry", names: Sequence[str]) -> list[_Check]:
    """Check the weights of entries, or all that are here."""
    from zoo_core.store import Store

    store = Store()
    entries = registry.select(names) if names else list(registry.entries.values())
    claims = _claims(entries)
    shipped = {entry.weights.sha256: _find_shipped(entry) for entry in entries}
    here = {digest for digest in claims if store.path(digest).exists() or shipped.get(digest)}
    if names:
        _report_missing([name for digest, name in claims.items() if digest not in here], here)
    else:
        for path in store.blobs():
            digest = path.name.removeprefix("sha256-")
            claims.setdefault(digest, path.name)
            here.add(digest)
        for path in store.aliens():
            click.echo(f"{printable(path)} is no blob, and skipped: zoo did not write it", err=True)
    return [
        _check(name, digest, store, shipped.get(digest))
        for digest, name in claims.items()
        if digest in here
    ]


def _check(name: str, digest: str, store: "Store", shipped: "Path | None") -> _Check:
    stored = store.path(digest)
    path = stored if stored.exists() or not shipped else shipped
    return _Check(name, digest, store.verify(digest, shipped), str(path))


def _claims(entries: Iterable["Entry"]) -> dict[str, str]:
    """Name the entries that each digest belongs to."""
    claims: dict[str, list[str]] = {}
    for entry in entries:
        claims.setdefault(entry.weights.sha256, []).append(entry.name)
    return {digest: ", ".join(names) for digest, names in claims.items()}


def _find_shipped(entry: "Entry") -> "Path | None":
    return next((path for path in entry.blob.shipped if path.is_file()), None)


def _report_missing(missing: list[str], here: Collection[str]) -> None:
    if missing and not here:
        raise ZooError(
            f"not pulled, so there is nothing to verify: {', '.join(missing)}. "
            f"Fetch first: zoo pull {missing[0].partition(',')[0]}"
        )
    for name in missing:
        click.echo(f"{name}: not pulled", err=True)


def _advice(damaged: Sequence[_Check]) -> str:
    names = ", ".join(printable(check.name) for check in damaged)
    return (
        f"damaged: {names}: the bytes here are not those that the entry promises. Replace them: "
        f"{_remedy(damaged[0])}"
    )


def _remedy(check: _Check) -> str:
    from zoo_core.registry import is_path
    from zoo_core.store import Store

    name = check.name.partition(", ")[0]
    if is_path(check.name):
        return "copy the file again from where it came, or train it again"
    if check.path != str(Store().path(check.sha256)):
        return f"{printable(check.path)} came with the code; install its package again"
    return "zoo rm --unused" if name.startswith("sha256-") else f"zoo verify --repair {name}"
