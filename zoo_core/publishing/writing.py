"""Publishing: the files of entries first, and last the registry that names them.

Whoever reads meanwhile, or after a publisher that was killed, reads the old registry, whose files
are all there, or the new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from zoo_core.errors import InvalidInput, OutputExists, ZooError
from zoo_core.publishing.items import Item
from zoo_core.publishing.places import Place
from zoo_core.schema import parse
from zoo_core.signatures import body_of, is_signed, sign
from zoo_core.text import argument

__all__ = ["REGISTRY", "publish"]

REGISTRY = "registry.toml"
"""Name of the file that is written last."""


def publish(
    items: Sequence[Item],
    place: Place,
    *,
    force: bool = False,
    key: Path | None = None,
    pictures: bool = True,
) -> list[str]:
    """Publish entries at a place; return the names of the files that were written, in this order.

    Args:
        items: what to publish.
        place: where; what its registry names stays.
        force: whether a name may be moved to other weights.
        key: SSH key that signs the registry.
        pictures: whether to make pictures of samples, of those that can be sampled.

    Raises OutputExists for a name that has other weights there, InvalidInput for a registry that is
    signed where no key is given, and ZooError where another publisher was faster.
    """
    before = place.read(REGISTRY)
    after = _merge(before, items, force=force)
    if before and is_signed(before) and key is None:
        raise InvalidInput("the registry there is signed: give the key that signs the new one.")
    written = [name for item in items for name in _write_files(item, place, pictures=pictures)]
    if before is None or after != body_of(before) or (key is not None and not is_signed(before)):
        if place.read(REGISTRY) != before:
            raise ZooError("another publisher was there meanwhile: publish again.")
        if key:
            after = sign(after, key, follow=before or b"")
        place.write(REGISTRY, after)
        written.append(REGISTRY)
    if written:
        place.finish()
    return written


def _merge(before: bytes | None, items: Sequence[Item], *, force: bool) -> bytes:
    """The registry with the items in it; what somebody wrote by hand stays where it can."""
    body = body_of(before) if before else b"schema = 1\n"
    there: dict[str, Any] = {entry["name"]: entry for entry in parse(body, REGISTRY)["entry"]}
    tables: dict[str, Any] = {}
    for item in items:
        table = item.published()
        if tables.setdefault(item.name, table) != table:
            raise InvalidInput(f"{item.name} is given twice, with other weights: publish one.")
    for name, table in tables.items():
        old = there.get(name)
        if old and old["weights"]["sha256"] != table["weights"]["sha256"] and not force:
            raise OutputExists(
                f"{name} is published there with other weights, and a name is not moved: choose "
                f"another one, or give {argument('force', True)}."
            )
    changed = {name: table for name, table in tables.items() if there.get(name) != table}
    if not changed:
        return body
    if there.keys().isdisjoint(changed):
        after = body.rstrip(b"\n") + b"\n\n" + _dump({"entry": list(changed.values())})
    else:
        document = parse(body, REGISTRY)
        document["entry"] = list((there | changed).values())
        after = _dump(document)
    parse(after, REGISTRY)  # what is not sound is not published
    return after


def _dump(document: dict[str, object]) -> bytes:
    return tomli_w.dumps(document).encode()


def _write_files(item: Item, place: Place, *, pictures: bool) -> list[str]:
    written = []
    with tempfile.TemporaryDirectory() as scratch:
        there_before = place.read(item.picture_name) is not None
        picture = item.picture(Path(scratch)) if pictures and not there_before else None
        for name, data in item.files(pictured=there_before or picture is not None):
            there = place.holds(name, data) if isinstance(data, Path) else place.read(name) == data
            if not there:
                place.write(name, data)
                written.append(name)
        if picture:
            place.write(item.picture_name, picture)
            written.append(item.picture_name)
    return written
