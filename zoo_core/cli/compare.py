"""`zoo compare`: density models on the same data, in one table and one plot."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import UserPath, complete_entry, json_option
from zoo_core.cli.pull import fetch_source
from zoo_core.cli.sharing import devices_option, shared
from zoo_core.cli.standings import kind_to_plot, points, table, to_json
from zoo_core.errors import InvalidInput
from zoo_core.text import command_line, counted, hidden

if TYPE_CHECKING:
    from zoo_core.loading import Source
    from zoo_core.metrics.comparison import Comparison, Standing

__all__ = ["command"]


@click.command("compare")
@click.argument(
    "names",
    metavar="ENTRY|FOLDER|FILE...",
    nargs=-1,
    required=True,
    shell_complete=complete_entry,
)
@click.option("--data", help="As mnist:test. [default: the entries' own, its test split]")
@click.option("--data-root", help="Folder of data sets; else ZOO_DATA, else zoo's own.")
@click.option(
    "-n",
    "n",
    type=click.IntRange(min=0),
    default=8,
    show_default=True,
    help="Samples of each model of images; 0 for none.",
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps, ...")
@devices_option("share the models")
@click.option(
    "--output",
    "-o",
    type=UserPath(),
    help="PNG of the plot; samples go beside it. [default: compare.png, here]",
)
@click.option("--force", "-f", is_flag=True, help="Overwrite the files of -o, or of its default.")
@json_option()
def command(
    names: tuple[str, ...],
    data: str | None,
    data_root: str | None,
    n: int,
    device: str,
    devices: int | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Compare density models on the same data.

    Each ENTRY (a glob such as '*.nltcs' means several, and a folder of runs these) is measured on
    the same rows: numbers it has, nats, bits per dimension. Models of grey levels and binary ones
    see different data, one fixed draw for the latter; what they get is not comparable. One that
    cannot take the rows is named at the end, with exit code 2.

    \b
    zoo compare '*.nltcs'
    zoo compare bernoulli.mnist nade.mnist --data mnist:test[0:1000] -o two.png
    """  # noqa: D301 - click looks for the character backspace
    plot, pictures = _paths(output, as_json, force)
    sources = _sources(names)

    from zoo_core.data.resolve import parse_spec
    from zoo_core.metrics.comparison import Comparison, common_data, with_split
    from zoo_core.metrics.shares import gather

    spec = with_split(data or common_data((s.name, _data_of(s)) for s in sources), data_root)
    comparison = Comparison(spec, data_root, samples=n)
    with shared(devices or 1) as share:
        own = [
            (number, _stand(comparison, source.name, model))
            for number, source, model in _load_each(sources, device, share.local)
        ]
        found = gather(own)
    if share.rank:  # the first one speaks for all
        return
    refused = [each for each in found if isinstance(each, str)]
    standings = [each for each in found if not isinstance(each, str)]
    if not standings:
        raise InvalidInput("\n".join(refused))
    written = _write(plot, pictures, standings, spec, sources, force)
    if as_json:
        text.echo_json(
            {
                "data": spec,
                "models": [to_json(standing) for standing in standings],
                "outputs": [str(path) for path in written],
            }
        )
    else:
        click.echo("\n".join(table(standings, parse_spec(spec, data_root).split or "")))
        _show(standings)
        _tell(standings, spec, written)
    if refused:
        raise InvalidInput(
            f"{len(refused)} of {len(found)} models cannot be measured. The others are done.\n"
            + "\n".join(refused)
        )


def _stand(comparison: Comparison, name: str, model: Any) -> Standing | str:
    """Where a model stands, or what is wrong where the data do not fit it."""
    try:
        return comparison.stand(name, model)
    except InvalidInput as error:
        return str(error) if str(error).startswith(name) else f"{name}: {error}"


def _paths(
    output: Path | None, as_json: bool, force: bool
) -> tuple[Path, Path] | tuple[None, None]:
    """The files of the plot and of the samples; none for JSON unless they are named."""
    from zoo_core.output import check_free, free_names

    if output is None and as_json:
        return None, None
    if output is None:
        endings = (".png", "-samples.png")
        named = [Path(f"compare{ending}") for ending in endings]
        plot, pictures = named if force else free_names("compare", endings)
    elif output.suffix.lower() != ".png":
        raise InvalidInput(f"--output {output}: the plot is a picture; expected a name in .png.")
    else:
        plot, pictures = output, output.with_name(f"{output.stem}-samples.png")
    for path in (plot, pictures):
        check_free(path, force=force)
    return plot, pictures


def _sources(names: Iterable[str]) -> list[Source]:
    """What the names stand for, each once, in their order.

    A run or a file that is named like another is shown by its path.
    """
    from zoo_core import loading
    from zoo_core.registry import Entry, Registry

    registry = Registry.load()
    found: dict[str, Entry | Source] = {}
    for name in chain.from_iterable(map(_runs_in, names)):
        several = not set(name).isdisjoint("*?[") and not Path(name).exists()
        origins = registry.select([name]) if several else [loading.resolve(name, registry=registry)]
        found |= {o.name if isinstance(o, Entry) else name: o for o in origins}
    names_found = Counter(origin.name for origin in found.values())
    return [
        source if names_found[source.name] == 1 else replace(source, name=key)
        for key, source in ((key, fetch_source(origin)) for key, origin in found.items())
    ]


def _runs_in(name: str) -> list[str]:
    """The runs in a folder that is none itself, as a ladder's; else what the name says."""
    from zoo_core.loading import WEIGHTS

    folder = Path(name)
    if not folder.is_dir() or (folder / WEIGHTS).is_file():
        return [name]
    runs = sorted(each for each in folder.iterdir() if (each / WEIGHTS).is_file())
    return list(map(str, runs)) or [name]


def _data_of(source: Source) -> str:
    return source.entry.data if source.entry else str(source.metadata.get("data", ""))


def _load_each(
    sources: Sequence[Source], device: str, local: int
) -> Iterator[tuple[int, Source, Any]]:
    """Load this process's models, numbered, one after another: together they may not fit.

    local: the place of this process among those of its machine.
    """
    from tqdm import tqdm

    from zoo_core import loading
    from zoo_core.bulk.shares import own_device
    from zoo_core.metrics.shares import crew

    numbered = [(i, source) for i, source in enumerate(sources) if crew().takes(i)]
    # disable=None: no bar when stderr is not a terminal
    with tqdm(numbered, unit="model", leave=False, disable=True if local else None) as bar:
        for number, source in bar:
            bar.set_description(source.name)
            yield number, source, loading.load(source, device=own_device(device, local))


def _write(
    plot: Path | None,
    pictures: Path | None,
    standings: Sequence[Standing],
    spec: str,
    sources: Sequence[Source],
    force: bool,
) -> list[Path]:
    """Write the plot and the samples, where there is something to see."""
    from zoo_core import output

    written = []
    provenance = _provenance(spec, sources)
    if plot and (found := points(standings)):
        save = partial(
            output.plot_points,
            found,
            x_label="parameters",
            y_label="nats (less is better)",
            title=f"{hidden(spec)}, {next(s.nats.n for s in standings if s.nats):,} rows",
            provenance=provenance,
            force=force,
        )
        written.append(output.save_free(plot, save))
    images, columns = _side_by_side(standings)
    if pictures and images is not None:
        picture = output.grid(images, columns)
        save = partial(output.save_image, images=picture, provenance=provenance, force=force)
        written.append(output.save_free(pictures, save))
    return written


def _side_by_side(standings: Sequence[Standing]) -> tuple[Any, int | None]:
    """A row of samples for each model of images, and how many are in one."""
    import torch

    rows = [s.samples for s in standings if s.samples is not None and s.samples.ndim == 4]
    if len({row.shape for row in rows}) != 1:
        return None, None
    return torch.cat(rows), len(rows[0])


def _show(standings: Sequence[Standing]) -> None:
    from zoo_core.output import show

    images, columns = _side_by_side(standings)
    if images is not None:
        show(images, columns=columns)


def _tell(standings: Sequence[Standing], spec: str, written: Sequence[Path]) -> None:
    measured = [standing for standing in standings if standing.nats]
    if measured:
        kept = kind_to_plot(standings)
        if out := [s.name for s in measured if s.values != kept]:
            click.echo(
                f"{', '.join(out)}: not {kept}, so on other data than the rest; "
                "compare within one kind of values. The plot leaves them out.",
                err=True,
            )
    if len(written) > 1:
        click.echo(
            "samples: a row for each model that can be sampled, in the table's order", err=True
        )
    where = f" -> {', '.join(map(str, written))}" if written else ""
    models = counted(len(standings), "model")
    click.echo(f"{models} on {hidden(spec)}{where}", err=True)


def _provenance(spec: str, sources: Sequence[Source]) -> Mapping[str, Any]:
    from datetime import UTC, datetime

    from zoo_core import __version__

    return {
        "task": "compare",
        "data": hidden(spec),
        "weights": {source.name: source.sha256 for source in sources},
        "versions": {"zoo-core": __version__},
        "command": hidden(command_line("zoo", *sys.argv[1:])),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
