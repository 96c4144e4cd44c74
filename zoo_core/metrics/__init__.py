"""The figures that a registry may hold, each a typed function that recomputes it.

A metric is described by a record, ours in `zoo_core.builtin`, and is a function

    def fid(model: Generator, protocol: InFeatures, data_root: Root = None) -> Measured

whose annotations say which models it measures and what its protocol may hold. Importing this
package imports no torch; a metric's module is imported when it is measured.
"""

from __future__ import annotations

import typing
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core import plugins
from zoo_core.errors import InvalidInput, PluginError, UnknownName, did_you_mean
from zoo_core.hookspecs import Metric
from zoo_core.metrics.measured import Measured
from zoo_core.options import annotation, build, options_class, read
from zoo_core.protocols import in_words

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.metrics.rows import Root
    from zoo_core.options import Option

__all__ = ["Function", "Measured", "complete", "find", "function", "measure", "measures"]


@dataclass(frozen=True, slots=True)
class Function:
    """A metric's function, and what its annotations say."""

    call: Callable[..., Measured]
    model: Any
    """The protocol, or class, of the models that it measures."""
    protocol: type | None
    """The dataclass of its options; None for the former form, which takes a table."""

    @property
    def options(self) -> dict[str, Option]:
        """What a protocol may hold, by name."""
        return read(self.protocol) if self.protocol else {}

    @property
    def needs(self) -> str:
        """Which models it measures: a protocol's or class's name, or nothing where any will do."""
        kinds = typing.get_args(self.model) or (self.model,)
        names = [getattr(kind, "__name__", "") for kind in kinds]
        return "" if {"", "Any", "Module"} & {*names} else " or ".join(names)

    def suits(self, model: object) -> bool:
        """Whether a model is one that it measures."""
        return not self.needs or isinstance(model, self.model)


def find(name: str) -> Metric:
    """Find a metric by name, ours or a family's.

    Raises UnknownName where there is none.
    """
    if metric := plugins.offer(Metric, name):
        return metric
    known = plugins.offers(Metric)
    raise UnknownName(
        f"metric {name!r} is unknown.{did_you_mean(name, known)} There are {', '.join(known)}."
    )


def function(metric: str) -> Function:
    """The function of a metric, by the metric's name, with what its annotations say.

    Raises PluginError where it cannot be imported, or its annotations cannot be read.
    """
    path = find(metric).path
    call = plugins.import_object(path)
    try:
        found = Function(call, annotation(call, 0), options_class(call))
        found.suits(None)  # a protocol has to be one that can be checked
    except TypeError as error:
        raise PluginError(f"metric {metric!r}: {error}.") from None
    if found.protocol is None:
        _warn(metric, path, call)
    return found


def complete(
    name: str, given: Mapping[str, object], defaults: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """A metric's whole protocol, as a registry holds it: options that are not set are left out.

    given: what a registry, a recipe or a user states.
    defaults: what comes before the metric's own defaults where it has such options at all.

    Raises InvalidInput for a key that the metric's protocol does not have, or a value that it
    cannot have.
    """
    metric, measuring = find(name), function(name)
    options, known = measuring.options, {k: v for k, v in (defaults or {}).items() if v is not None}
    if measuring.protocol is None:  # the former form
        return {**known, **metric.protocol, **given}
    known = {key: value for key, value in known.items() if key in options}
    protocol = _build(name, {**known, **metric.protocol, **given})
    values = {key: getattr(protocol, key) for key in options}
    return {key: value for key, value in values.items() if _is_stated(value, options[key].default)}


def measure(
    name: str, model: nn.Module, protocol: Mapping[str, object], data_root: Root = None
) -> Measured:
    """Recompute a metric; what the protocol does not state is as the metric's defaults have it.

    Raises UnknownName for an unknown metric, InvalidInput for a protocol that it cannot follow or
    a model that it does not measure.
    """
    metric, measuring = find(name), function(name)
    if not measuring.suits(model):
        raise InvalidInput(_explain_unsuited(name, measuring, model))
    if measuring.protocol is None:
        return measuring.call(model, {**metric.protocol, **protocol}, data_root)
    return measuring.call(model, _build(name, {**metric.protocol, **protocol}), data_root)


def measures(model: nn.Module) -> list[str]:
    """Names of the core's metrics that measure a kind of model, not of those that measure any."""
    names = plugins.own(Metric)
    return [name for name in names if function(name).needs and function(name).suits(model)]


_warned: dict[Any, Any] = {}
"""What Python keeps so that a warning is shown once."""


def _is_stated(value: object, default: object) -> bool:
    """Whether a registry states an option: not where it is the default, and that is nothing."""
    return value != default or not (default is False or default in (None, "", ()))


def _build(name: str, values: Mapping[str, object]) -> Any:
    protocol = function(name).protocol
    assert protocol is not None
    return build(protocol, values, f"the protocol of {name}")


def _explain_unsuited(name: str, measuring: Function, model: nn.Module) -> str:
    kind = type(model).__name__
    can = ", ".join(measures(model)) or "none of the core's metrics"
    return f"{name} measures {in_words(measuring.model)}, which {kind} is not. Of {kind}: {can}."


def _warn(name: str, path: str, call: Callable[..., Any]) -> None:
    """Say at its author's line that a metric is of the former form."""
    code = getattr(call, "__code__", None)
    warnings.warn_explicit(
        f"metric '{name}' ({path}) takes its protocol as a table, which will end: annotate its "
        "second argument with a frozen dataclass of options (docs/plugins/metrics.md)",
        FutureWarning,
        code.co_filename if code else path,
        code.co_firstlineno if code else 1,
        registry=_warned,
    )
