"""`zoo registry`: which registries are read, and whether they are sound and signed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core import environment
from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, json_option
from zoo_core.errors import (
    InvalidInput,
    InvalidRegistry,
    NetworkError,
    UntrustedRegistry,
    ZooError,
    did_you_mean,
)
from zoo_core.files import digest, write_atomic
from zoo_core.text import hidden, printable, quoted
from zoo_core.urls import is_url, local_path

if TYPE_CHECKING:
    from zoo_core.registry import Entry

__all__ = ["command"]


@click.group("registry")
def command() -> None:
    """Add, remove, check and sign registries."""


@command.command("add")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
def add(sources: tuple[str, ...]) -> None:
    """Add a registry to those that are read.

    SOURCE is a path, a folder or a URL. It must be sound, and repeat no entry's name with other
    weights.
    ZOO_REGISTRY replaces all of them where it is set.
    """
    from zoo_core.registry import Registry
    from zoo_core.registry_files import add_source, origin_of

    known = Registry.load().sources
    for source in sources:
        origin = origin_of(source)
        if origin in known:
            raise InvalidInput(f"{hidden(origin)} is read already; `zoo registry list` shows all.")
        merged = Registry.load([*known, origin], refresh=True)
        for old in merged.replaced():
            if old.origin == origin:
                merged.successors(old.name)
        add_source(origin)
        known = (*known, origin)
        new = sum(entry.origin == origin for entry in merged.entries.values())
        count = len(Registry.load([origin]).entries)
        known_too = f", of which {count - new} known already" if count > new else ""
        click.echo(f"added {hidden(origin)}: {_entries(count)}{known_too}")


@command.command("list")
@json_option()
def list_(as_json: bool) -> None:
    """List the registries that are read, with their entries and signers.

    A signer is checked where ZOO_TRUST asks for one. The state says which are not read, and why.
    """
    from zoo_core.registry import Registry
    from zoo_core.registry_files import signer_of

    registry = Registry.load()
    rows = [
        {
            "registry": hidden(origin),
            "entries": sum(entry.origin == origin for entry in registry.entries.values()),
            "whose": _whose(origin),
            "signer": "" if origin in registry.left_out else signer_of(origin),
            "state": _state(origin, registry.left_out.get(origin)),
        }
        for origin in dict.fromkeys((*registry.sources, *registry.left_out))
    ]
    if as_json:
        text.echo_json(rows)
        return
    cells = [[str(value) for value in row.values()] for row in rows]
    click.echo("\n".join(text.table([*rows[0]], cells)))


@command.command("remove")
@click.argument("source")
def remove(source: str) -> None:
    """Remove an added registry; its files stay."""
    from zoo_core.registry_files import origin_of, save_sources

    origin, added = origin_of(source), environment.added_registries()
    if (inside := str(Path(origin) / "registry.toml")) in added:  # of a folder that is gone
        origin = inside
    if origin not in added:
        near = did_you_mean(origin, added) or " `zoo registry list` shows those that are read."
        raise InvalidInput(f"{hidden(origin)} was not added.{hidden(near)}")
    save_sources(each for each in added if each != origin)
    click.echo(f"removed {hidden(origin)}")


@command.command("update")
def update() -> None:
    """Ask the servers of all remote registries for what is new."""
    from zoo_core.registry import Registry

    if environment.offline():
        raise NetworkError("ZOO_OFFLINE is set: no server is asked, and nothing is updated.")
    registry = Registry.load(refresh=True)
    for origin in filter(is_url, registry.sources):
        count = sum(entry.origin == origin for entry in registry.entries.values())
        click.echo(f"{hidden(origin)}: {_entries(count)}")
    if failures := [error for origin, error in registry.left_out.items() if is_url(origin)]:
        raise type(failures[0])(f"{len(failures)} not updated; what was here before is used.")


@command.command("check")
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option("--fetch", is_flag=True, help="Also fetch weights that are elsewhere, and hash them.")
@json_option()
def check(sources: tuple[str, ...], fetch: bool, as_json: bool) -> None:
    """Check registries and the files that they name.

    SOURCE is a path, a folder or a URL; without one, all that are read. Weights of this machine are
    hashed and compared with their entry. Ends with exit code 1 where something is wrong, and with
    that of the reason where a registry is left out: 10 for one that is not trusted.
    """
    from zoo_core.registry import Registry

    registry = Registry.load(sources or None)
    rows = [
        {"entry": entry.name, "problem": problem, "registry": hidden(entry.origin)}
        for entry in registry.entries.values()
        for problem in _problems(entry, fetch=fetch)
    ]
    for old in registry.replaced():
        try:
            registry.successors(old.name)
        except InvalidRegistry as error:
            row = {"entry": old.name, "problem": str(error), "registry": hidden(old.origin)}
            rows.append(row)
    rows += [
        {"entry": "", "problem": f"left out: {failure}", "registry": hidden(origin)}
        for origin, failure in registry.left_out.items()
    ]
    if as_json:
        text.echo_json(rows)
    for row in [] if as_json else rows:
        click.echo(f"{row['entry'] or row['registry']}: {row['problem']}")
    if rows:
        problems = "1 problem" if len(rows) == 1 else f"{len(rows)} problems"
        kind = next(map(type, registry.left_out.values()), InvalidRegistry)
        out = f" and {len(registry.left_out)} left out" if registry.left_out else ""
        raise kind(f"{problems}: {_entries(len(registry.entries))} read{out}.")
    if not as_json:
        verb = "is" if len(registry.entries) == 1 else "are"
        click.echo(f"{_entries(len(registry.entries))} {verb} sound")


@command.command("sign")
@click.argument("file", type=UserPath())
@click.option(
    "--key",
    required=True,
    type=UserPath(),
    help="SSH key: a private one, or a public one whose private half an agent holds.",
)
def sign(file: Path, key: Path) -> None:
    """Sign a registry file, in the place of an older signature.

    Those who trust the key name it in a file of allowed signers, and that in ZOO_TRUST.
    """
    from zoo_core.registry import Registry
    from zoo_core.signatures import sign

    path = file / "registry.toml" if file.is_dir() else file
    Registry.load([path], trusted=True)  # what is not sound is not signed
    write_atomic(path, sign(path.read_bytes(), key))
    click.echo(f"signed {printable(path)}")


def _state(origin: str, failure: ZooError | None) -> str:
    """Whether a registry is read; why not, in two words."""
    if failure is None:
        return "read"
    if isinstance(failure, UntrustedRegistry):
        return "not trusted"
    if isinstance(failure, NetworkError):
        return "not reached"
    path = local_path(origin)
    return "missing" if path and not path.exists() else "not valid"


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _whose(origin: str) -> str:
    from zoo_core.registry import own_registry

    if environment.registry_sources():
        return "ZOO_REGISTRY"
    if origin in environment.added_registries():
        return "added"
    return "zoo's" if origin == str(own_registry()) else "a family's"


def _problems(entry: "Entry", *, fetch: bool) -> Iterator[str]:
    """What is wrong with an entry, a sentence each."""
    from zoo_core import plugins
    from zoo_core.header import read_header
    from zoo_core.hookspecs import Metric
    from zoo_core.store import Store

    store, blob = Store(), entry.blob
    here = [p for p in (*blob.shipped, *map(local_path, blob.sources)) if p and p.is_file()]
    try:
        path = here[0] if here else store.find(blob)
        if path is None and (fetch or not is_url(entry.origin)):
            path = store.fetch(blob)
        if path is not None:
            if digest(path) != blob.sha256:
                yield f"{printable(path)} is not the file that the entry promises"
            elif (held := read_header(path).parameters) < entry.weights.parameters:
                yield f"its weights hold {held:,} parameters, not {entry.weights.parameters:,}"
    except ZooError as error:
        yield str(error)
    if entry.recipe and (recipe := local_path(entry.recipe_file)) and not recipe.is_file():
        yield f"there is no recipe {printable(recipe)}"
    if entry.family in plugins.installed():
        known = plugins.offers(Metric)
        for name in [metric.name for metric in entry.metrics if metric.name not in known]:
            yield f"no metric is called {quoted(name)}.{did_you_mean(name, known)}"
    if "unknown" in (entry.licence.code, entry.licence.weights):
        yield "its licence is unknown: say under which terms code and weights are given"
