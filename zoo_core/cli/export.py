"""`zoo export`: what a model can do, for programs without zoo; or entries, for zoos elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, entries_argument, json_option
from zoo_core.errors import InvalidInput
from zoo_core.registry import is_path
from zoo_core.text import command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from zoo_core.loading import Source

__all__ = ["command"]


@click.command("export")
@entries_argument(required=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "torch", "zip"]),
    help="ONNX files, a Python file that needs torch, NumPy and safetensors alone, or a bundle for "
    "zoo. [default: onnx, or zip if --output ends in it]",
)
@click.option(
    "--output",
    "-o",
    type=UserPath(),
    help="Folder to write into, or a bundle's file. [default: ENTRY-FORMAT, here]",
)
@click.option(
    "--function",
    "-f",
    "functions",
    multiple=True,
    help="Function to export to ONNX, as decode; may be given again. [default: all]",
)
@click.option(
    "--wheels",
    is_flag=True,
    help="Also pack what the entries need to install: wheels of all packages, as installed here.",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@json_option()
def command(
    names: tuple[str, ...],
    kind: str | None,
    output: Path | None,
    functions: tuple[str, ...],
    wheels: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export a model to ONNX or plain PyTorch, or several entries to one file.

    ENTRY is a name, a run folder or a safetensors file; for ONNX and PyTorch, one. As ONNX each
    function of the model (decode, encode, conditionals, step, translate-...) is a file; its
    metadata, under the key zoo, hold the names, shapes and ranges of what goes in and comes out.
    Prints each function and its file; those that cannot be written are named on stderr, with the
    reason. A file FILE.zip holds entries with weights, recipes, cards and a registry, for `zoo
    import` in a room without a network; with --wheels also the packages, for machines of the same
    kind and Python as this one, and INSTALL.md, which says how they are installed.
    """
    entries, last = names[:-1], names[-1]
    if entries and (is_path(last) or last.endswith(".zip")) and not Path(last).exists():
        again = command_line("zoo", "export", *entries, "-o", last)
        raise InvalidInput(f"{last} does not exist. If it is to be written: {again}")
    kind = kind or ("zip" if output and output.suffix == ".zip" else "onnx")
    if functions and kind != "onnx":
        raise InvalidInput(
            f"--function chooses ONNX files; with --format {kind} the whole model is written."
        )
    if kind == "zip":
        _bundle(names, output or Path("zoo.zip"), wheels, force, as_json)
        return
    if wheels:
        raise InvalidInput(f"--wheels are packed into FILE.zip; --format {kind} needs no zoo.")
    if len(names) > 1:
        raise InvalidInput(
            f"one model at a time is exported as {kind}; `zoo export {' '.join(names)} -o "
            "FILE.zip` packs several entries for zoo."
        )
    (name,) = names
    if kind == "onnx":
        from zoo_core.export.onnx import require

        require()
    from zoo_core import loading
    from zoo_core.cli.pull import fetch_source

    source = fetch_source(loading.resolve(name), quiet=quiet)
    model = loading.load(source)
    folder = output or Path(f"{source.name}-{kind}")
    if kind == "onnx":
        rows = _onnx(model, folder, functions, force, quiet)
    else:
        rows = _torch(model, source, folder, force)
    written = []
    for row in rows:
        written.append(row)
        if "reason" in row:
            click.echo(f"note: {row['reason']}", err=True)
        elif not as_json:
            size = text.size(row["bytes"])
            click.echo(f"{row['function']}  {row['path']}  {size}")
    if as_json:
        text.echo_json(written)


def _bundle(names: tuple[str, ...], path: Path, wheels: bool, force: bool, as_json: bool) -> None:
    from zoo_core.publishing import Item, pack

    items = [Item.of(name) for name in names]
    size = pack(items, path, wheels=wheels, force=force)
    if as_json:
        entries = [item.name for item in items]
        text.echo_json([{"entries": entries, "path": str(path), "bytes": size}])
    else:
        click.echo(f"{', '.join(item.name for item in items)}  {path}  {text.size(size)}")


def _onnx(
    model: "nn.Module", folder: Path, names: tuple[str, ...], force: bool, quiet: bool
) -> "Iterator[dict[str, Any]]":
    from zoo_core.export.onnx import write

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    for function, result in write(model, folder, names, force=force, say=say):
        if isinstance(result, Path):
            yield {"function": function, "path": str(result), "bytes": result.stat().st_size}
        else:
            yield {"function": function, "reason": str(result)}


def _torch(
    model: "nn.Module", source: "Source", folder: Path, force: bool
) -> "Iterator[dict[str, Any]]":
    from zoo_core.export.plain import write

    for path in write(model, source, folder, force=force):
        yield {"function": "model", "path": str(path), "bytes": path.stat().st_size}
