"""`zoo eval`: an entry's metrics, computed again."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import entry_argument, json_option
from zoo_core.errors import CheckFailed, InvalidInput

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.metrics import Measured
    from zoo_core.registry import Entry, Metric

__all__ = ["command"]


class _Row(NamedTuple):
    metric: "Metric"
    found: "list[Measured]"
    """By the protocol's seed, and by those after it."""

    @property
    def measured(self) -> "Measured":
        """Of several seeds their mean, and their standard deviation as its error."""
        return _mean(self.found)

    @property
    def off(self) -> float:
        """How far the figure of the protocol's seed is from the registry's."""
        return abs(self.found[0].value - self.metric.value)

    @property
    def within(self) -> bool:
        # not `off > tolerance`: a value that is no number is off
        return self.off <= self.metric.tolerance


@click.command("eval")
@entry_argument()
@click.option("--check", is_flag=True, help="Fail (exit 7) where a metric is beyond its tolerance.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Measure with so many seeds, from the protocol's on: their mean ± standard deviation.",
)
@click.option("--data-root", help="Folder of data sets; else ZOO_DATA, else zoo's own.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps, ...")
@json_option()
def command(
    name: str, check: bool, seeds: int, data_root: str | None, device: str, as_json: bool
) -> None:
    """Recompute the metrics of an entry, or of a run that has ended.

    Each is measured by the protocol that the registry states, and shown beside the registry's
    figure and the published one. REAL is the same figure of training rows in the place of samples,
    where samples are measured: the best that can be expected.
    """
    from zoo_core import loading

    source = loading.open_source(name)
    entry = source.entry or loading.entry_of_run(source)
    if not entry.metrics:
        raise InvalidInput(f"the registry states no metrics of {source.name}.")
    rows = _measured(loading.load(source, device=device), entry, data_root, seeds)
    if as_json:
        text.echo_json([_plain(source.name, row) for row in rows])
    else:
        click.echo("\n".join(_table(rows)))
    if check:
        _check(source.name, rows)


def _measured(model: "nn.Module", entry: "Entry", data_root: str | None, seeds: int) -> list[_Row]:
    from zoo_core.metrics import measure

    found: list[list[Measured]] = [[] for _ in entry.metrics]
    for i in range(seeds):  # metric after metric: those of one seed share their samples
        for metric, values in zip(entry.metrics, found, strict=True):
            protocol = metric.protocol
            if "seed" in protocol:
                protocol = {**protocol, "seed": protocol["seed"] + i}
            elif i:
                continue
            values.append(measure(metric.name, model, protocol, data_root))
    return [_Row(*pair) for pair in zip(entry.metrics, found, strict=True)]


def _mean(found: "list[Measured]") -> "Measured":
    from statistics import mean, stdev

    if len(found) == 1:
        return found[0]
    values = [measured.value for measured in found]
    real = [measured.real for measured in found if measured.real is not None]
    return found[0]._replace(
        value=mean(values), error=stdev(values), real=mean(real) if real else None
    )


def _check(name: str, rows: Iterable[_Row]) -> None:
    wrong = [
        f"{row.metric.name} is {row.found[0].value:.4f}, but the registry states "
        f"{row.metric.value:g} ± {row.metric.tolerance:g} {row.metric.unit}"
        for row in rows
        if not row.within
    ]
    if wrong:
        raise CheckFailed(
            f"{name}: {'; '.join(wrong)}. Either the weights, the data or the code are not those "
            f"that were measured: `zoo verify {name}` checks the weights."
        )


def _table(rows: Iterable[_Row]) -> list[str]:
    head = ("METRIC", "MEASURED", "REGISTRY", "PUBLISHED", "REAL", "UNIT", "ROWS", "WITHIN")
    return text.table(head, [_cells(row) for row in rows])


def _cells(row: _Row) -> tuple[str, ...]:
    metric, measured = row.metric, row.measured
    return (
        metric.name,
        f"{measured.value:.4f} ± {measured.error:.4f}",
        f"{metric.value:g} ± {metric.tolerance:g}",
        "-" if metric.published is None else f"{metric.published:g}",
        "-" if measured.real is None else f"{measured.real:.4f}",
        metric.unit,
        f"{measured.n:,}",
        "yes" if row.within else f"no, off by {row.off:.4f}",
    )


def _plain(name: str, row: _Row) -> dict[str, Any]:
    metric, measured = row.metric, row.measured
    return {
        "entry": name,
        "metric": metric.name,
        "value": measured.value,
        "standard_error" if len(row.found) == 1 else "standard_deviation": measured.error,
        "seeds": len(row.found),
        "n": measured.n,
        "real": measured.real,
        "registry": metric.value,
        "tolerance": metric.tolerance,
        "published": metric.published,
        "unit": metric.unit,
        "protocol": {**metric.protocol, **measured.settled},
        "within": row.within,
    }
