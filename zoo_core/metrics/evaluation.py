"""`zoo_core.evaluate`: metrics of a model or an entry, computed again or for the first time."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo_core import loading
from zoo_core.data.resolve import data_name
from zoo_core.errors import InvalidInput
from zoo_core.metrics import complete, find, function, measure
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import Root, settings_of
from zoo_core.metrics.samples import OfSamples
from zoo_core.metrics.shares import by_the_first
from zoo_core.rules import Rule, at_least, check_value
from zoo_core.text import argument

if TYPE_CHECKING:
    import torch

    from zoo_core.model import AnyModel
    from zoo_core.registry import Entry, Metric

__all__ = ["Figure", "evaluate"]

_NAMES = Rule(
    "the name of a metric, or a list of them",
    lambda v: isinstance(v, Collection) and bool(v) and all(isinstance(each, str) for each in v),
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's figure, beside the one that a registry states by the same protocol."""

    name: str
    unit: str
    protocol: Mapping[str, Any]
    """All of it, what the measurement settled included."""
    found: tuple[Measured, ...]
    """By the protocol's seed, and by those after it."""
    stated: Metric | None = None
    """The registry's figure."""

    @property
    def value(self) -> float:
        """The figure; of several seeds their mean."""
        return mean(one.value for one in self.found)

    @property
    def error(self) -> float:
        """Its standard error; of several seeds their standard deviation."""
        values = [one.value for one in self.found]
        return stdev(values) if len(values) > 1 else self.found[0].error

    @property
    def n(self) -> int:
        """How many values it is the mean of."""
        return self.found[0].n

    @property
    def real(self) -> float | None:
        """The same of training rows in the place of samples, where these are measured."""
        real = [one.real for one in self.found if one.real is not None]
        return mean(real) if real else None

    @property
    def kind(self) -> str:
        """Of a likelihood what it is: `exact`, or `by orders` (see `kind_of`)."""
        return self.found[0].kind

    @property
    def off(self) -> float:
        """How far the figure of the protocol's seed is from the registry's; 0 where it has none."""
        return abs(self.found[0].value - self.stated.value) if self.stated else 0.0

    @property
    def within(self) -> bool:
        """Whether that is within the registry's tolerance."""
        # not `off > tolerance`: a value that is no number is off
        return self.stated is None or self.off <= self.stated.tolerance


def evaluate(
    model: AnyModel | str | Path,
    metrics: str | Sequence[str] | None = None,
    *,
    data: str | os.PathLike[str] = "",
    data_root: Root = None,
    device: str | torch.device = "cpu",
    seeds: int = 1,
    **options: object,
) -> dict[str, Figure]:
    """Measure a model, and return its figures by their metrics' names.

    `zoo_core.evaluate("nade.mnist", metrics=["test_nll"])["test_nll"].value`

    Args:
        model: a model in memory, or the name of an entry, a run's folder or a weights file.
        metrics: the name of a metric, or several, of those of `zoo metrics`; by default those that
            the registry states of the entry.
        data: rows to measure on, as `mnist:test`; by default the registry's, or the test split of
            the data set that the model was trained on.
        data_root: folder of the data sets.
        device: where a named model is loaded; one in memory stays where it is.
        seeds: measure with so many seeds, from the protocol's on.
        options: of the metrics' protocols, as `samples=1000`, for those metrics that have them.
            A figure by another protocol than the registry's is not compared with it.

    Raises UnknownName for an unknown metric, InvalidInput for an option that none of the metrics
    has or a model that one does not measure.
    """
    if isinstance(metrics, str):
        metrics = [metrics]
    if metrics is not None:
        check_value(metrics, _NAMES, "metrics")
    data = data_name(data)
    check_value(seeds, at_least(1), "seeds")
    model = loading.loaded(model, device=device)
    info = loading.info(model)
    entry = _entry(info, needed=not metrics)
    stated = {metric.name: metric for metric in entry.metrics} if entry else {}
    if not metrics and not stated:
        raise InvalidInput(
            f"the registry states no metrics of {info.name}: name one of those that "
            "`zoo metrics` lists."
        )
    given = {**({"data": data} if data else {}), **options}
    names = list(dict.fromkeys(metrics or stated))
    protocols = {
        name: _protocol(model, info.data, stated.get(name), name, part)
        for name, part in _shared_out(given, names).items()
    }
    found: dict[str, list[Measured]] = {name: [] for name in names}
    with loading.ready(model):
        for i in range(seeds):  # metric after metric: those of one seed share their samples
            for name, protocol in protocols.items():
                if "seed" in protocol:
                    seeded = {**protocol, "seed": protocol["seed"] + i}
                    found[name].append(_measure(name, model, seeded, data_root))
                elif not i:
                    found[name].append(_measure(name, model, protocol, data_root))
    return {
        name: _figure(name, protocols[name], tuple(found[name]), stated.get(name)) for name in names
    }


def _measure(name: str, model: nn.Module, protocol: Mapping[str, Any], root: Root) -> Measured:
    """A figure; of samples by the first of several processes, for all of them."""
    compute = partial(measure, name, model, protocol, root)
    options = function(name).protocol
    return by_the_first(compute) if options and issubclass(options, OfSamples) else compute()


def _entry(info: loading.Info, *, needed: bool) -> Entry | None:
    """The record of a model's figures: the registry's, or what its run ended with.

    Raises InvalidInput where a weights file has none and it is needed.
    """
    if info.entry is not None or info.path is None:
        return info.entry
    try:
        return loading.entry_of_run(loading.open_source(info.path))
    except InvalidInput as error:
        if needed:
            wanted = argument("metrics", "test_nll", "--metric")
            raise InvalidInput(f"{error} Or say what to measure, as {wanted}.") from None
        return None


def _shared_out(given: Mapping[str, object], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The given options for each metric that has them; one that none has goes to the first."""
    known = {name: function(name).options for name in names}
    nobody = {key for key in given if not any(key in options for options in known.values())}
    parts = {
        name: {key: value for key, value in given.items() if key in options}
        for name, options in known.items()
    }
    parts[names[0]] |= {key: given[key] for key in nobody}
    return parts


def _protocol(
    model: nn.Module, data: str, stated: Metric | None, name: str, given: Mapping[str, object]
) -> dict[str, Any]:
    """The protocol to measure by: the given options, over the registry's or a model's defaults."""
    if stated is not None and not given:
        return dict(stated.protocol)
    if stated is not None:
        return complete(name, {**stated.protocol, **given})
    return complete(name, given, _defaults(model, data))


def _defaults(model: nn.Module, data: str) -> dict[str, Any]:
    """What a protocol says by default about the rows of a model."""
    settings = settings_of(model)
    seed = None if settings["binarize"] == "none" else 0
    return {"data": f"{data}:test" if data else None, "seed": seed, **settings}


def _figure(
    name: str, protocol: dict[str, object], found: tuple[Measured, ...], stated: Metric | None
) -> Figure:
    same = stated and complete(name, stated.protocol) == complete(name, protocol)
    return Figure(
        name=name,
        unit=find(name).unit,
        protocol={**protocol, **found[0].settled},
        found=found,
        stated=stated if same else None,
    )
