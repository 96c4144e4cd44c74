"""`zoo verify`: the weights in the store against their digests, offline."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entries_argument, json_option
from zoo_core.errors import DigestMismatch, ZooError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo_core.registry import Entry
    from zoo_core.store import Store

__all__ = ["command"]


@click.command("verify")
@entries_argument()
@json_option()
def command(names: tuple[str, ...], as_json: bool) -> None:
    """Check pulled weights against their digests.

    Reads every byte of what is here of ENTRY, or of all that is in the store and that came with the
    code; needs no network.
    """
    from zoo_core.registry import Registry
    from zoo_core.store import Store

    registry, store = Registry.load(), Store()
    entries = registry.select(names) if names else list(registry.entries.values())
    claims = _claims(entries)
    shipped = {entry.weights.sha256: _shipped(entry) for entry in entries}
    if names:
        _check_pulled(claims, store, shipped)
    else:
        for digest in _stored(store):
            claims.setdefault(digest, f"sha256-{digest}")
    results = {
        digest: store.verify(digest, shipped.get(digest))
        for digest in claims
        if store.path(digest).exists() or shipped.get(digest)
    }
    if as_json:
        text.echo_json(
            [{"name": claims[d], "sha256": d, "sound": sound} for d, sound in results.items()]
        )
    else:
        rows = [(claims[d], "sound" if sound else "damaged") for d, sound in results.items()]
        click.echo("\n".join(text.aligned(rows)) if rows else "nothing is pulled")
    if damaged := [claims[digest] for digest, sound in results.items() if not sound]:
        raise DigestMismatch(_advice(damaged))


def _claims(entries: Iterable["Entry"]) -> dict[str, str]:
    """Name the entries that each digest belongs to."""
    claims: dict[str, list[str]] = {}
    for entry in entries:
        claims.setdefault(entry.weights.sha256, []).append(entry.name)
    return {digest: ", ".join(names) for digest, names in claims.items()}


def _stored(store: "Store") -> list[str]:
    return [path.name.removeprefix("sha256-") for path in store.blobs()]


def _shipped(entry: "Entry") -> "Path | None":
    return next((path for path in entry.blob.shipped if path.is_file()), None)


def _check_pulled(
    claims: dict[str, str], store: "Store", shipped: "dict[str, Path | None]"
) -> None:
    missing = [
        name
        for digest, name in claims.items()
        if not (store.path(digest).exists() or shipped.get(digest))
    ]
    if missing and len(missing) == len(claims):
        raise ZooError(
            f"not pulled, so there is nothing to verify: {', '.join(missing)}. "
            f"Fetch first: zoo pull {missing[0].partition(',')[0]}"
        )


def _advice(damaged: list[str]) -> str:
    first = damaged[0].partition(",")[0]
    return (
        f"damaged: {', '.join(damaged)}: the bytes in the store are not those that the registry "
        f"promises. Replace them: zoo rm {first} && zoo pull {first}"
    )
