"""Anomaly detection: scores of each input that are greater for what the model was not trained on.

`nats`, −log p(x), is the least reliable one: a model can find an odd input more probable than its
own data (an empty image under a model of digits). The others compare it with something:

    typicality        |−log p(x) − its mean over held-out data|: too probable is odd as well
                      (Nalisnick et al. 2019, Detecting Out-of-Distribution Inputs … Typicality)
    complexity_ratio  −log p(x) − the nats of a code that learns from x alone
                      (Serrà et al. 2020, Input Complexity and Out-of-Distribution Detection …)
    likelihood_ratio  −log p(x) + log p_background(x), by a model that knows less
                      (Ren et al. 2019, Likelihood Ratios for Out-of-Distribution Detection)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo_core.errors import InvalidInput, ZooError
from zoo_core.options import option
from zoo_core.protocols import Scored
from zoo_core.tasks.groups import LabelledInputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument, counted

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["AUROC", "Options", "auroc", "detect", "figures_of", "inputs_of"]

_REFERENCE = "validation[0:1000]"
"""What the inputs are compared with; the test split is left to be an input."""

_NORMAL = "test[0:1000]"
"""The inputs, when only the odd ones are given."""

_SCORES = ("nats", "typicality", "complexity_ratio", "likelihood_ratio")

Scores = Mapping[str, "Tensor"]
"""By name, (n,), float64: greater is odder."""


@dataclass(frozen=True, kw_only=True)
class Options(LabelledInputs):
    """Of the task `detect`."""

    against: tuple[object, ...] = option(
        (), "Inputs to tell apart, such as other data; adds the AUROC", metavar="INPUT"
    )
    background: str = option(
        "", "Model whose −log p is subtracted: entry, run or weights file", metavar="ENTRY"
    )
    by: str = option("nats", "Score that puts the oddest first", choices=_SCORES)


def detect(model: Scored, options: Options, context: Context) -> Result:
    """Score inputs against held-out data, and give the AUROC when odd ones are given too."""
    from zoo_core.metrics.likelihood import caveats
    from zoo_core.output.table import Table
    from zoo_core.tasks.inputs import condition, kinds, load_inputs

    model = condition(model, options.label, context.name)
    batches = {context.group: load_inputs(model, inputs_of(options, context), context)}
    if options.against and context.given is None:
        batches["against"] = load_inputs(model, options.against, context, argument("against"))
    background = context.once("background", lambda _: _background(options.background, model))

    def of_reference(context: Context) -> tuple[Scores | None, str]:
        held_out, source = _reference(model, options.label, context)
        found = None if held_out is None else _scores(model, background, held_out, context)
        return found, source

    reference, source = context.once("reference", of_reference)
    scores = {name: _scores(model, background, batch.x, context) for name, batch in batches.items()}
    if reference is not None:
        scores = {name: _with_typicality(each, reference) for name, each in scores.items()}
    if options.by not in scores[context.group]:
        raise InvalidInput(f"{argument('by', options.by)}: {_missing(options.by, context.name)}")
    figures = [_figures(scores[group], reference) for group in batches]
    columns: dict[str, list[Any]] = {
        "group": [group for group, batch in batches.items() for _ in batch.names],
        "input": [name for batch in batches.values() for name in batch.names],
        **{name: [value for each in figures for value in each[name]] for name in figures[0]},
    }
    if context.given is None:  # parts keep the order of the inputs
        by = columns[options.by]
        order = sorted(range(len(by)), key=by.__getitem__, reverse=True)
        columns = {name: [values[i] for i in order] for name, values in columns.items()}
    rows = Table(columns)
    notes = [note for batch in batches.values() for note in batch.notes]
    of_all = [kind for batch in batches.values() for kind in kinds(model, batch.x)]
    notes += [*caveats(*of_all), *([source] if reference is None else [])]
    if reference is not None:
        scores = {source: _with_typicality(reference, reference), **scores}
    return Result(
        summary=f"{counted(len(rows), 'input')} judged by {context.name}",
        figures=_summary(scores, reference),
        notes=tuple(notes),
        rows=rows,
        tensors=_tensors(scores),
        groups={name: each["nats"].tolist() for name, each in scores.items()},
        panels=_panels(scores),
    )


class AUROC(NamedTuple):
    """The probability that an odd one has the greater value, with its confidence interval."""

    value: float
    low: float
    high: float
    """Ends of the 95 % confidence interval."""

    def __str__(self) -> str:
        """Return the value with its interval."""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


def auroc(normal: Tensor, odd: Tensor) -> AUROC:
    """The probability that an odd one has the greater value; ties count half.

    The interval is that of DeLong et al. 1988: 1.96 standard errors to each side, within 0 to 1.

    normal, odd: values, (n,) and (m,).
    """
    of_odd, of_normal = _above(normal, odd), 1 - _above(odd, normal)
    value = float(of_odd.mean())
    errors = [float(x.var()) / len(x) for x in (of_odd, of_normal) if len(x) > 1]
    margin = 1.96 * math.sqrt(sum(errors))
    return AUROC(value, max(0.0, value - margin), min(1.0, value + margin))


def _above(values: Tensor, each: Tensor) -> Tensor:
    """The share of values that are below each, ties half: (len(each),), float64."""
    # torchmetrics' puts what is not within [0, 1] through a sigmoid, by which all nats become equal
    import torch

    ranked = values.sort().values
    below = torch.searchsorted(ranked, each)
    not_above = torch.searchsorted(ranked, each, right=True)
    return (below + not_above).double() / (2 * len(values))


def figures_of(parts: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The AUROC of each score over inputs of both groups that were scored in parts.

    parts: their columns, by name.
    """
    import torch

    found: dict[str, dict[str, list[Tensor]]] = {"inputs": {}, "against": {}}
    for columns in parts:
        for group in set(columns.get("group", ())):  # one, or none where nothing could be read
            for name in set(_SCORES).intersection(columns):
                values = torch.as_tensor(columns[name], dtype=torch.float64)
                found[group].setdefault(name, []).append(values)
    if not all(found.values()):
        return ()
    scores = {
        group: {name: torch.cat(each[name]) for name in _SCORES if name in each}
        for group, each in found.items()
    }
    return tuple(f"AUROC of {name} {value}" for name, value in _aurocs(scores).items())


def inputs_of(options: Options, context: Context) -> tuple[object, ...]:
    """The inputs; where only odd ones are given, rows of the model's own data."""
    if not options.inputs and options.against and context.data:
        if options.label is not None:
            raise InvalidInput(
                f"with {argument('label')}, the usual inputs are rows of that label: give them."
            )
        return (f"{context.data}:{_NORMAL}",)
    return options.inputs


def _background(name: str, model: Scored) -> Scored | None:
    """The background model, on the model's device and in its type.

    Raises InvalidInput for one that has no likelihood of the model's inputs.
    """
    if not name:
        return None
    from zoo_core import loading
    from zoo_core.precision import weight_of

    weight = weight_of(model)
    found = loading.load(name, device=str(weight.device), dtype=weight.dtype)
    if not isinstance(found, Scored):
        raise InvalidInput(
            f"{argument('background', name)}: it has no likelihood, exact or bounded. Name a model "
            "that can score, such as one of `zoo list --task score`."
        )
    shape, levels = tuple(model.event_shape), model.levels
    if (tuple(found.event_shape), found.levels) != (shape, levels):
        raise InvalidInput(
            f"{argument('background', name)}: it is of {_kind(found)}, and the model of "
            f"{_kind(model)}. A ratio takes two models of the same inputs."
        )
    return found


def _kind(model: Scored) -> str:
    shape = "x".join(map(str, model.event_shape))
    return f"{shape} inputs of {model.levels} levels" if model.levels else f"{shape} real inputs"


def _reference(model: Scored, label: int | None, context: Context) -> tuple[Tensor | None, str]:
    """Held-out data, (n, *event_shape), with its name, or None and the reason for that.

    label: that of the rows; None for all.
    """
    from zoo_core.data import load_dataset
    from zoo_core.data.columns import fit_columns
    from zoo_core.data.resolve import size_and_gray
    from zoo_core.tasks.inputs import as_floats

    if not context.data:
        return None, "only ranked: the weights do not say which data they were trained on"
    spec, shape = f"{context.data}:{_REFERENCE}", tuple(model.event_shape)
    size, gray = size_and_gray(shape)
    try:
        rows = load_dataset(spec, root=context.data_root, size=size, gray=gray)
        data = fit_columns(model, rows)
        if data.event_shape != shape:
            raise InvalidInput(f"its rows have shape {data.event_shape}, the model takes {shape}")
        if label is not None and data.labels is not None:
            data = data[(data.labels == label).nonzero().flatten()]
        if len(data) < 2:
            n = ("no", "one")[len(data)]
            raise InvalidInput(f"it has {n} row, and a spread takes two")
        x, _ = as_floats(model, data)
    except ZooError as error:
        return None, f"only ranked, most surprising first: {spec} cannot be used ({error})"
    return x, f"{context.data}:validation"


def _scores(model: Scored, background: Scored | None, x: Tensor, context: Context) -> Scores:
    """The scores of inputs that need no held-out data.

    x: inputs, (B, *event_shape), in [0, 1].
    """
    from zoo_core.tasks.complexity import complexity
    from zoo_core.tasks.inputs import nats

    scores: dict[str, Tensor] = {"nats": nats(model, x, context)}
    if x.ndim == 4:
        scores["complexity_ratio"] = scores["nats"] - complexity(x.float(), model.levels)
    if background is not None:
        scores["likelihood_ratio"] = scores["nats"] - nats(background, x, context)
    return scores


def _with_typicality(scores: Scores, reference: Scores) -> Scores:
    typicality = (scores["nats"] - reference["nats"].mean()).abs()
    rest = {name: values for name, values in scores.items() if name != "nats"}
    return {"nats": scores["nats"], "typicality": typicality, **rest}


def _missing(score: str, name: str) -> str:
    """Why a score is not there, and what to do."""
    return {
        "typicality": f"there are no held-out data of {name} to compare with.",
        "complexity_ratio": "it is of images, and these are rows of a table.",
        "likelihood_ratio": f"it takes a second model: give its name as {argument('background')}.",
    }[score]


def _summary(scores: Mapping[str, Scores], reference: Scores | None) -> tuple[str, ...]:
    figures = [f"AUROC of {name} {found}" for name, found in _aurocs(scores).items()]
    if reference is not None:
        nats = reference["nats"]
        figures.append(f"held-out data {nats.mean():.2f} ± {nats.std():.2f} nats")
    return tuple(figures)


def _aurocs(scores: Mapping[str, Scores]) -> dict[str, AUROC]:
    """How well each score separates the odd inputs; nothing where none are given."""
    if not {"inputs", "against"} <= scores.keys():
        return {}
    normal, odd = scores["inputs"], scores["against"]
    return {name: auroc(normal[name], odd[name]) for name in normal}


def _panels(scores: Mapping[str, Scores]) -> dict[str, dict[str, list[float]]]:
    """The values of each group by score, whose title has its AUROC."""
    found = _aurocs(scores)
    return {
        f"{name}, AUROC {found[name]}" if found else name: {
            group: each[name].tolist() for group, each in scores.items()
        }
        for name in next(iter(scores.values()))
    }


def _tensors(scores: Mapping[str, Scores]) -> dict[str, Tensor]:
    """Nats by group, and the other scores as `group.score`."""
    return {
        group if name == "nats" else f"{group}.{name}": values
        for group, each in scores.items()
        for name, values in each.items()
    }


def _figures(scores: Scores, reference: Scores | None) -> dict[str, list[float]]:
    """The cells of all inputs, by column."""
    import torch

    columns = dict(scores)
    if reference is not None:
        nats, held_out = scores["nats"], reference["nats"]
        share = torch.searchsorted(held_out.sort().values, nats) / len(held_out)
        placed = {"percentile": 100 * share, "z": (nats - held_out.mean()) / held_out.std()}
        columns = {"nats": nats, **placed, **columns}
    return {name: values.tolist() for name, values in columns.items()}
