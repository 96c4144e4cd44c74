"""Give what a model sees in each input: features that a classifier can be taught from."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from zoo_core.metrics.rows import over
from zoo_core.tasks.inputs import load_inputs
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.protocols import Featurizer
    from zoo_core.tasks.request import Request

__all__ = ["run"]


def run(model: nn.Module, request: Request) -> Result:
    """Give the features of each input, with its label where it has one."""
    batch = load_inputs(model, request.inputs, request)
    features = over(batch.x.split(request.batch_size), cast("Featurizer", model).features)
    return Result(
        summary=f"{len(features):,} input{'s' if len(features) > 1 else ''} seen by {request.name}",
        figures=(f"{features.shape[1]:,} features each",),
        notes=batch.notes,
        tensors={"features": features} | ({} if batch.labels is None else {"labels": batch.labels}),
        texts={"names": batch.names} | ({"classes": batch.classes} if batch.classes else {}),
    )
