"""`zoo publish`: runs become entries that others can pull."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, complete_entry, json_option
from zoo_core.errors import InvalidInput
from zoo_core.text import command_line, hidden, quoted

if TYPE_CHECKING:
    from zoo_core.publishing import Item

__all__ = ["command"]


@click.command("publish")
@click.argument("names", metavar="RUN|ENTRY...", nargs=-1, shell_complete=complete_entry)
@click.argument("destination", metavar="DEST")
@click.option("--licence", help="SPDX identifier of weights that have none, such as CC-BY-4.0.")
@click.option("--code-licence", help="SPDX identifier of code that has none, such as Apache-2.0.")
@click.option("--sign", "key", type=UserPath(), help="SSH key of the registry.")
@click.option("--pictures/--no-pictures", default=True, help="Add pictures of samples.")
@click.option("--force", is_flag=True, help="Move names to other weights.")
@json_option()
def command(
    names: tuple[str, ...],
    destination: str,
    licence: str | None,
    code_licence: str | None,
    key: Path | None,
    pictures: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Publish trained runs as entries that others can pull.

    RUN is the folder of a run that has ended; of it and of an ENTRY, weights, recipe, a card and a
    picture of samples go to DEST, a folder, or a URL that can be written to such as
    hf://ORGANISATION/REPOSITORY, s3://BUCKET/FOLDER or oci://HOST/REPOSITORY:TAG. What the registry
    there names stays; it is written last, and appears whole. Publishing again changes nothing. A
    name that has other weights there is not moved without --force.
    """
    from zoo_core.publishing import Item, place_of, publish

    if not names:
        raise InvalidInput(
            f"say what is published and where: {command_line('zoo', 'publish', destination)} DEST, "
            "where DEST is a folder or a URL."
        )
    place = place_of(destination)
    given = {"weights": _spdx(licence or ""), "code": _spdx(code_licence or "")}
    items = [_licensed(Item.of(name), given) for name in names]
    written = publish(items, place, force=force, key=key, pictures=pictures)
    if as_json:
        text.echo_json({"entries": [item.name for item in items], "written": written})
        return
    for name in written:
        click.echo(name)
    where = hidden(destination)
    click.echo(
        f"published {', '.join(item.name for item in items)} at {where}"
        if written
        else f"{where} has all of it already",
        err=True,
    )


def _licensed(item: "Item", given: dict[str, str]) -> "Item":
    """The item with the licences that it lacks: given, or entered at a terminal."""
    missing = [what for what in item.missing_licences if not given[what]]
    if missing and not _is_asked():
        flags = ["--licence" if what == "weights" else "--code-licence" for what in missing]
        raise InvalidInput(
            f"{item.name} does not say under which licence its {' and '.join(missing)} may be "
            f"used: give {' and '.join(flags)} with an SPDX identifier (that of weights follows "
            "their data)."
        )
    for what in missing:
        question = f"Licence of the {what} of {item.name}"
        given[what] = click.prompt(question, err=True, value_proc=_answer)
    return item.licensed(given)


def _answer(text: str) -> str:
    """A licence as `_spdx` gives it; what makes the prompt ask again for one that it refuses."""
    try:
        return _spdx(text)
    except InvalidInput as error:
        raise click.UsageError(str(error)) from None


def _spdx(licence: str) -> str:
    """A licence as SPDX spells it; raises InvalidInput for one that SPDX does not have."""
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        return canonicalize_license_expression(licence) if licence else ""
    except InvalidLicenseExpression:
        raise InvalidInput(
            f"{quoted(licence)} is not a licence of SPDX: give an identifier such as CC-BY-4.0 or "
            "Apache-2.0, or LicenseRef-NAME for terms that SPDX does not have."
        ) from None


def _is_asked() -> bool:
    """Whether questions can be answered at a terminal."""
    return sys.stdin is not None and sys.stdin.isatty()
