"""`zoo export`: what a model can do, for programs without zoo."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entry_argument, json_option
from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from zoo_core.loading import Source

__all__ = ["command"]


@click.command("export")
@entry_argument()
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "torch"]),
    default="onnx",
    show_default=True,
    help="ONNX files, or a Python file that needs torch and safetensors alone.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write into. [default: ENTRY-FORMAT, here]",
)
@click.option(
    "--function",
    "-f",
    "names",
    multiple=True,
    help="Function to export to ONNX, as decode; may be given again. [default: all]",
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
@json_option()
def command(
    name: str,
    kind: str,
    output: Path | None,
    names: tuple[str, ...],
    force: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Export a model to ONNX, or to a file of plain PyTorch.

    ENTRY is a name, a run folder or a safetensors file. As ONNX each function of the model (decode,
    encode, conditionals, step, translate-...) is a file; its metadata, under the key zoo, hold the
    names, shapes and ranges of what goes in and comes out. Prints each function and its file; those
    that cannot be written are named on stderr, with the reason.
    """
    if names and kind != "onnx":
        raise InvalidInput(
            "--function chooses ONNX files; with --format torch the whole model is written."
        )
    if kind == "onnx":
        from zoo_core.export.onnx import require

        require()
    from zoo_core import loading
    from zoo_core.cli.pull import fetched

    source = fetched(loading.resolve(name), quiet=quiet)
    model = loading.load(source)
    folder = output or Path(f"{source.name}-{kind}")
    if kind == "onnx":
        rows = _onnx(model, folder, names, force)
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


def _onnx(
    model: "nn.Module", folder: Path, names: tuple[str, ...], force: bool
) -> "Iterator[dict[str, Any]]":
    from zoo_core.export.onnx import write

    for function, result in write(model, folder, names, force=force):
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
