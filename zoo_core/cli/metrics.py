"""`zoo metrics`: what models can be measured by."""

from typing import TYPE_CHECKING, Any

import click

from zoo_core.cli import text
from zoo_core.cli.arguments import complete_metric, json_option
from zoo_core.errors import PluginError

if TYPE_CHECKING:
    from zoo_core.hookspecs import Metric
    from zoo_core.metrics import Function
    from zoo_core.options import Option

__all__ = ["command"]


@click.command("metrics")
@click.argument("name", metavar="[METRIC]", required=False, shell_complete=complete_metric)
@json_option()
def command(name: str | None, as_json: bool) -> None:
    """List the metrics, or the options of one.

    MODEL is what a model must be for a metric, a protocol of zoo_core.protocols or a class; any
    model will do where it is empty. `zoo eval ENTRY --metric NAME --set OPTION=VALUE` measures one.
    """
    from zoo_core.hookspecs import Metric
    from zoo_core.metrics import find
    from zoo_core.plugins import offers

    metrics = [find(name)] if name else list(offers(Metric).values())
    if as_json:
        text.echo_json([_to_json(metric) for metric in metrics])
    elif name:
        click.echo("\n".join(_card(metrics[0])))
    else:
        rows = [(m.name, m.unit, _needs(m), m.summary) for m in metrics]
        head = ("METRIC", "UNIT", "MODEL", "SUMMARY")
        click.echo("\n".join(text.table(head, rows, text.width())))


def _function(metric: "Metric") -> "Function | None":
    """The metric's function, or None where it cannot be imported; the reason goes to stderr."""
    from zoo_core.metrics import function

    try:
        return function(metric.name)
    except PluginError as error:
        click.echo(f"warning: {error}", err=True)
        return None


def _needs(metric: "Metric") -> str:
    found = _function(metric)
    return found.needs if found else "?"


def _options(metric: "Metric") -> "dict[str, tuple[Option, Any]]":
    """Each option of a metric, with its default in this metric."""
    found = _function(metric)
    options = found.options if found else {}
    return {
        name: (option, metric.protocol.get(name, option.default))
        for name, option in options.items()
    }


def _card(metric: "Metric") -> list[str]:
    rows = [
        (name, _show_default(default), option.expected, option.help)
        for name, (option, default) in _options(metric).items()
    ]
    facts = [
        ("unit", metric.unit),
        ("model", _needs(metric) or "any"),
        ("function", metric.path),
    ]
    head = ("OPTION", "DEFAULT", "VALUE", "MEANING")
    return [
        f"{metric.name}: {metric.summary}",
        "",
        *text.align(facts),
        "",
        *text.table(head, rows),
    ]


def _show_default(default: object) -> str:
    if default in (None, ""):
        return "-"
    return str(default).lower() if isinstance(default, bool) else str(default)


def _to_json(metric: "Metric") -> dict[str, Any]:
    return {
        "metric": metric.name,
        "summary": metric.summary,
        "unit": metric.unit,
        "tolerance": metric.tolerance,
        "model": _needs(metric) or None,
        "path": metric.path,
        "options": [
            {
                "name": name,
                "default": default,
                "expected": option.expected,
                "unit": option.unit,
                "help": option.help,
            }
            for name, (option, default) in _options(metric).items()
        ],
    }
