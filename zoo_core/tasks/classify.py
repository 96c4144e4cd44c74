"""Bayes' rule: which class is an input of, by a model of the inputs of each class?

p(y | x) = p(x | y) p(y) / ∑ p(x | y') p(y'),   p(y) = 1 / number of classes
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo_core.protocols import ConditionalDensity
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context
    from zoo_core.tasks.inputs import Batch

__all__ = ["Options", "classify", "joint"]

_COLUMNS = 8
"""Inputs that stand side by side."""


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `classify`."""


def classify(model: ConditionalDensity, options: Options, context: Context) -> Result:
    """Give p(y|x) of each class and input, and how often the most probable one is wrong."""
    from zoo_core.tasks.inputs import load_inputs

    batch = load_inputs(model, options.inputs, context)
    log_p = joint(model, batch.x, context)
    p, nats = log_p.softmax(1), -log_p.logsumexp(1)
    batch, others = _match(batch, model)
    result = Result(
        summary=f"{counted(len(p), 'input')} classified by {context.name}",
        figures=(*_errors(p, batch), f"mean −log ∑ p(x|y) p(y) {float(nats.mean()):.2f} nats"),
        notes=(
            *batch.notes,
            *others,
            f"by Bayes' rule; each of the {model.classes} classes as probable",
        ),
        rows=_rows(p, batch),
        tensors={"probabilities": p, "nats": nats, "log_joint": log_p},
        texts={"inputs": batch.names},
    )
    if batch.x.ndim != 4:
        return result
    from zoo_core import output

    x, columns = batch.x.float().cpu(), min(len(p), _COLUMNS)
    last = model.classes - 1
    names = ("input", f"p(y|x), y = 0 to {last}")
    images, names_of_rows = output.stacked((x, _bars(p, x)), columns, names)
    return replace(result, images=images, columns=columns, names=names_of_rows, frames=[x])


def joint(model: ConditionalDensity, x: Tensor, context: Context) -> Tensor:
    """log p(x, y) of each class, (B, classes), float64, on the CPU.

    x: inputs, (B, *event_shape), in [0, 1].
    """
    import torch

    prior = -math.log(model.classes)
    with torch.inference_mode():
        parts = [
            torch.stack([model.log_prob(part, label=y) for y in range(model.classes)], 1)
            for part in context.batches(x)
        ]
    return torch.cat(parts).double().cpu() + prior


def _match(batch: Batch, model: ConditionalDensity) -> tuple[Batch, tuple[str, ...]]:
    """The batch with its labels as the model numbers them, and what is to be said of them."""
    from zoo_core.data.labels import match_labels
    from zoo_core.loading import class_names

    if batch.labels is None or not batch.classes:
        return batch, ()
    own, names = class_names(model), ", ".join(batch.classes)
    labels = match_labels(batch.labels, batch.classes, model.classes, own)
    if labels is None:
        has = ", ".join(own) or model.classes
        note = f"the inputs' classes {names} are not the model's {has}: no error is counted"
    elif set(batch.classes) <= set(own) or (labels is batch.labels and not own):
        return batch._replace(labels=labels), ()
    elif labels is batch.labels:
        note = f"the inputs' classes {names} are taken for the model's {', '.join(own)}"
    else:
        note = f"the inputs' classes {names} are taken for those numbers of the model's"
    return batch._replace(labels=labels), (note,)


def _errors(p: Tensor, batch: Batch) -> tuple[str, ...]:
    """The share of the inputs with another label than the most probable one.

    Inputs whose label is missing, −1, do not count; how many they are is said.
    """
    if batch.labels is None or int(batch.labels.max()) >= p.shape[1]:
        return ()
    known = batch.labels >= 0
    wrong = (p.argmax(1) != batch.labels)[known].double()
    if not len(wrong):
        return ()
    missing = "" if len(wrong) == len(p) else f", {len(p) - len(wrong):,} more without a label"
    of = f"{int(wrong.sum())} of {len(wrong):,}{missing}"
    return (f"error {100 * float(wrong.mean()):.2f} % ({of})",)


def _rows(p: Tensor, batch: Batch) -> list[dict[str, Any]]:
    labels = [None] * len(p) if batch.labels is None else batch.labels.tolist()
    return [
        {
            "input": name,
            **({} if label is None else {"label": label}),
            "class": max(range(len(row)), key=row.__getitem__),
            **{f"p{y}": value for y, value in enumerate(row)},
        }
        for name, label, row in zip(batch.names, labels, p.tolist(), strict=True)
    ]


def _bars(p: Tensor, x: Tensor) -> Tensor:
    """A picture of the probabilities beside each input: a bar for each class, of the height p.

    p: (B, classes). x: images, (B, C, H, W).
    """
    import torch

    (_, C, H, W), K = x.shape, p.shape[1]
    which = (torch.arange(W) * K // W).clamp(max=K - 1)
    height = torch.arange(H, 0, -1).view(1, H, 1) / H
    bars = (p.float()[:, which].unsqueeze(1) >= height - 0.5 / H).float()
    return bars.unsqueeze(1).expand(-1, C, -1, -1)
