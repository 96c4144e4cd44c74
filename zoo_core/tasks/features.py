"""Extract features of inputs, on which a classifier can be trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_core.protocols import Featurizer
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from zoo_core.tasks.context import Context

__all__ = ["Options", "features"]


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `features`."""


def features(model: Featurizer, options: Options, context: Context) -> Result:
    """Give the features of each input, with its label where it has one."""
    from zoo_core.metrics.rows import over
    from zoo_core.tasks.inputs import load_inputs

    batch = load_inputs(model, options.inputs, context)
    found = over(context.batches(batch.x), model.features, len(batch.x))
    return Result(
        summary=f"{counted(len(found), 'input')} seen by {context.name}",
        figures=(f"{found.shape[1]:,} features each",),
        notes=batch.notes,
        tensors={"features": found} | ({} if batch.labels is None else {"labels": batch.labels}),
        texts={"names": batch.names} | ({"classes": batch.classes} if batch.classes else {}),
    )
