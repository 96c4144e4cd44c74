"""Anomaly detection: −log p of each input, compared with that of held-out data.

A model can find an odd input more probable than its own data (an empty image under a model of
digits), so the percentile is given as it is: near 0 is as unusual as near 100.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput, ZooError
from zoo_core.options import option
from zoo_core.protocols import Scored
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "auroc", "detect"]

_REFERENCE = "validation[0:1000]"
"""What the inputs are held against; the test split is left to be an input."""

_NORMAL = "test[0:1000]"
"""The inputs, when only the odd ones are given."""


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `detect`."""

    against: tuple[str, ...] = option(
        (), "Inputs to tell apart, such as other data; adds the AUROC", metavar="INPUT"
    )


def detect(model: Scored, options: Options, context: Context) -> Result:
    """Score inputs against held-out data, and give the AUROC when odd ones are given too."""
    from zoo_core.tasks.inputs import caveat, load_inputs, nats

    batches = {"inputs": load_inputs(model, _inputs(options, context), context)}
    if options.against:
        batches["against"] = load_inputs(model, options.against, context, "--against")
    scores = {name: nats(model, batch.x, context) for name, batch in batches.items()}
    reference, source = _reference(model, context)
    rows: list[dict[str, Any]] = [
        {"group": group, "input": name, **figures}
        for group, batch in batches.items()
        for name, figures in zip(batch.names, _figures(scores[group], reference), strict=True)
    ]
    rows.sort(key=lambda row: row["nats"], reverse=True)
    notes = [note for batch in batches.values() for note in batch.notes]
    notes += caveat(model)
    if reference is None:
        notes.append(source)
    else:
        scores = {source: reference, **scores}
    return Result(
        summary=f"{len(rows):,} input{'s' if len(rows) > 1 else ''} judged by {context.name}",
        figures=_summary(scores, reference),
        notes=tuple(notes),
        rows=rows,
        tensors=scores,
        groups={name: values.tolist() for name, values in scores.items()},
    )


def auroc(normal: Tensor, odd: Tensor) -> float:
    """The probability that an odd one has the greater value; ties count half.

    normal, odd: values, (n,) and (m,).
    """
    # torchmetrics' puts what is not within [0, 1] through a sigmoid, by which all nats become equal
    import torch

    ranked = normal.sort().values
    below = torch.searchsorted(ranked, odd)
    not_above = torch.searchsorted(ranked, odd, right=True)
    return float((below + not_above).double().mean() / (2 * len(normal)))


def _inputs(options: Options, context: Context) -> tuple[str, ...]:
    if not options.inputs and options.against and context.data:
        return (f"{context.data}:{_NORMAL}",)
    return options.inputs


def _reference(model: Scored, context: Context) -> tuple[Tensor | None, str]:
    """−log p of held-out data with its name, or None and the reason why there is none."""
    from zoo_core.data import load_dataset
    from zoo_core.tasks.inputs import as_floats, nats

    if not context.data:
        return None, "only ranked: the weights do not say which data they were trained on"
    spec, shape = f"{context.data}:{_REFERENCE}", tuple(model.event_shape)
    fitting: dict[str, Any] = {"size": shape[1], "gray": shape[0] == 1} if len(shape) == 3 else {}
    try:
        data = load_dataset(spec, root=context.data_root, **fitting)
        if data.event_shape != shape:
            raise InvalidInput(f"its rows have shape {data.event_shape}, the model takes {shape}")
        if len(data) < 2:
            raise InvalidInput("it has one row, and a spread takes two")
        x, _ = as_floats(model, data)
    except ZooError as error:
        return None, f"only ranked, most surprising first: {spec} cannot be used ({error})"
    return nats(model, x, context), f"{context.data}:validation"


def _summary(scores: dict[str, Tensor], reference: Tensor | None) -> tuple[str, ...]:
    figures = []
    if "against" in scores:
        figures.append(f"AUROC {auroc(scores['inputs'], scores['against']):.4f}")
    if reference is not None:
        figures.append(f"held-out data {reference.mean():.2f} ± {reference.std():.2f} nats")
    return tuple(figures)


def _figures(values: Tensor, reference: Tensor | None) -> list[dict[str, float]]:
    if reference is None:
        return [{"nats": value} for value in values.tolist()]
    import torch

    share = torch.searchsorted(reference.sort().values, values) / len(reference)
    z = (values - reference.mean()) / reference.std()
    return [
        {"nats": a, "percentile": b, "z": c}
        for a, b, c in zip(values.tolist(), (100 * share).tolist(), z.tolist(), strict=True)
    ]
