"""`zoo eval`: metrics of an entry, computed again or for the first time."""

from collections.abc import Iterable, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import complete_metric, entry_argument, json_option
from zoo_core.cli.sharing import devices_option, shared
from zoo_core.errors import CheckFailed, InvalidInput

if TYPE_CHECKING:
    from zoo_core.loading import Source
    from zoo_core.metrics.evaluation import Figure

__all__ = ["command"]


@click.command("eval")
@entry_argument()
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="METRIC",
    shell_complete=complete_metric,
    help="Measure this one, also where the registry states none; `zoo metrics` lists them.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="OPTION=VALUE",
    help="An option of the metrics' protocols, such as samples=1000.",
)
@click.option("--check", is_flag=True, help="Fail (exit 7) where a metric is beyond its tolerance.")
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Number of seeds, from the protocol's on; shows mean ± standard deviation. What takes no "
    "random numbers keeps its standard error.",
)
@click.option("--data-root", help="Folder of data sets; else ZOO_DATA, else zoo's own.")
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1, mps, ...")
@devices_option("share the held-out rows")
@json_option()
def command(
    name: str,
    metrics: tuple[str, ...],
    settings: tuple[str, ...],
    check: bool,
    seeds: int,
    data_root: str | None,
    device: str,
    devices: int | None,
    as_json: bool,
) -> None:
    """Compute the metrics of an entry, or of a run that has ended.

    Each is measured by the protocol that the registry states, and shown beside the registry's
    figure and the published one; one that the registry does not state by the metric's defaults.
    REAL is the same figure of training rows in the place of samples, where samples are measured:
    the best that can be expected.
    """
    from zoo_core import loading
    from zoo_core.bulk.shares import own_device
    from zoo_core.metrics.evaluation import evaluate

    source = loading.open_source(name)
    metrics = metrics or _stated_metrics(source)
    options = _options(settings, metrics)
    with shared(devices or 1) as share:
        model = loading.load(source, device=own_device(device, share.local))
        figures = evaluate(model, metrics or None, data_root=data_root, seeds=seeds, **options)
    if share.rank:  # the first one speaks for all
        return
    if as_json:
        text.echo_json([_to_json(source.name, figure) for figure in figures.values()])
    else:
        click.echo("\n".join(_table([*figures.values()])))
    if check:
        _check(source.name, figures.values())


def _stated_metrics(source: "Source") -> tuple[str, ...]:
    """The metrics that the registry, or a run's own entry, states."""
    from zoo_core import loading

    entry = source.entry or loading.entry_of_run(source)
    return tuple(metric.name for metric in entry.metrics)


def _options(settings: Iterable[str], metrics: Sequence[str]) -> dict[str, Any]:
    """The values that are set, as the options of the metrics have them."""
    from zoo_core.errors import did_you_mean
    from zoo_core.metrics import function

    known = {key: o for name in metrics for key, o in function(name).options.items()}
    values = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise InvalidInput(f"--set {setting}: expected OPTION=VALUE, as samples=1000.")
        if key not in known:
            raise InvalidInput(
                f"--set {setting}: {', '.join(metrics)} has no option {key!r}."
                f"{did_you_mean(key, known)} `zoo metrics {metrics[0] if metrics else ''}` lists "
                "what there is."
            )
        values[key] = known[key].parse(value, f"--set {key}")
    return values


def _check(name: str, figures: Iterable["Figure"]) -> None:
    stated = [figure for figure in figures if figure.stated]
    if not stated:
        raise InvalidInput(
            f"there is nothing to check: the registry states no such figure of {name}."
        )
    wrong = [
        f"{figure.name} is {figure.found[0].value:.4f}, but the registry states "
        f"{figure.stated.value:g} {figure.unit} (a check allows {figure.stated.tolerance:g})"
        for figure in stated
        if figure.stated and not figure.within
    ]
    if wrong:
        raise CheckFailed(
            f"{name}: {'; '.join(wrong)}. Either the weights, the data or the code are not those "
            f"that were measured: `zoo verify {name}` checks the weights."
        )


def _table(figures: Sequence["Figure"]) -> list[str]:
    from zoo_core.metrics.likelihood import caveats

    head = ("METRIC", "MEASURED", "REGISTRY", "PUBLISHED", "REAL", "UNIT", "ROWS", "WITHIN")
    lines = text.table(head, [_cells(figure) for figure in figures])
    return [*lines, *caveats(*(figure.kind for figure in figures))]


def _cells(figure: "Figure") -> tuple[str, ...]:
    stated, several = figure.stated, len(figure.found)
    seeds = f" by {several} seeds" if several > 1 else ""
    return (
        figure.name,
        f"{figure.value:.4f}" + ("" if isnan(figure.error) else f" ± {figure.error:.4f}{seeds}"),
        f"{stated.value:g}" if stated else "-",
        "-" if stated is None or stated.published is None else f"{stated.published:g}",
        "-" if figure.real is None else f"{figure.real:.4f}",
        f"{figure.unit}, {figure.kind}" if figure.kind == "by orders" else figure.unit,
        f"{figure.n:,}",
        _within(figure),
    )


def _within(figure: "Figure") -> str:
    """Whether the figure is the registry's, and how far it may be off: that is no spread."""
    if figure.stated is None:
        return "-"
    allowed = f"{figure.stated.tolerance:g}"
    said = f"yes, to {allowed}" if figure.within else f"no, off by {figure.off:.4g} > {allowed}"
    return f"{said}, by the first seed" if len(figure.found) > 1 else said


def _to_json(name: str, figure: "Figure") -> dict[str, Any]:
    stated = figure.stated
    return {
        "entry": name,
        "metric": figure.name,
        "value": figure.value,
        "standard_error" if len(figure.found) == 1 else "standard_deviation": figure.error,
        "seeds": len(figure.found),
        "n": figure.n,
        "real": figure.real,
        "registry": stated.value if stated else None,
        "tolerance": stated.tolerance if stated else None,
        "published": stated.published if stated else None,
        "unit": figure.unit,
        "likelihood": figure.kind or None,
        "protocol": figure.protocol,
        "within": figure.within if stated else None,
    }
