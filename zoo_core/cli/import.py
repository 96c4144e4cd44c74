"""`zoo import`: the entries of a bundle, without a network."""

from pathlib import Path

import click

from zoo_core import environment
from zoo_core.cli.arguments import UserPath
from zoo_core.errors import InvalidRegistry
from zoo_core.text import printable

__all__ = ["command"]


@click.command("import")
@click.argument("bundle", type=UserPath())
@click.option("--output", "-o", type=UserPath(), help="Folder. [default: BUNDLE's name, here]")
@click.option("--force", is_flag=True, help="Replace the folder.")
def command(bundle: Path, output: Path | None, force: bool) -> None:
    """Unpack a bundle of `zoo export`, and read its registry from now on.

    The folder is a registry, with the weights beside it; every file is checked against its digest
    before the folder has its name. Entries that are known already, with the same weights, stay as
    they are. Where a known name has other weights, the folder is not read beside the others, which
    is an error: ZOO_REGISTRY=FOLDER reads it alone.
    """
    from zoo_core.publishing import unpack
    from zoo_core.registry import Registry
    from zoo_core.registry_files import add_source, origin_of

    folder = output or Path(bundle.stem)
    entries = unpack(bundle, folder, force=force).entries
    origin = origin_of(str(folder))
    try:
        known = Registry.load().sources
        if origin not in known:
            Registry.load([*known, origin])
            add_source(origin)
    except InvalidRegistry as error:
        raise type(error)(
            f"{printable(folder)} is unpacked, and not read beside the others: {error} "
            f"ZOO_REGISTRY={printable(folder)} reads it alone."
        ) from error
    for name in entries:
        click.echo(name)
    if environment.registry_sources():
        click.echo("note: ZOO_REGISTRY is set, and decides what is read.", err=True)
