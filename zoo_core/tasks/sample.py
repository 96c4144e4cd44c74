"""Draw samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Conditional
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from zoo_core.tasks.request import Request

__all__ = ["draw", "run"]


def run(model: nn.Module, request: Request) -> Result:
    """Draw n samples; pictures of images, rows of tables."""
    x = draw(model, request)
    of = "" if request.label is None else f" of label {request.label}"
    summary = f"{len(x):,} sample{'s' if len(x) > 1 else ''}{of} from {request.name}"
    if x.ndim == 4:
        return Result(summary=summary, images=x, frames=x.split(1), tensors={"samples": x})
    from zoo_core.tasks.inputs import table_rows

    return Result(summary=summary, rows=table_rows(model, x), tensors={"samples": x})


def draw(model: nn.Module, request: Request) -> Tensor:
    """Draw n samples in batches, (n, *event_shape), on the CPU.

    Raises InvalidInput when a label is asked for that the model does not have.
    """
    generator, label = request.generator(model), _label(model, request)
    sample = cast("Callable[..., Tensor]", model.sample)
    sizes = [
        min(request.batch_size, request.n - start)
        for start in range(0, request.n, request.batch_size)
    ]
    with torch.inference_mode():
        parts = [
            sample(size, generator=generator, temperature=request.temperature, **label).cpu()
            for size in sizes
        ]
    return torch.cat(parts)


def _label(model: nn.Module, request: Request) -> dict[str, int]:
    """The label as an argument of the model's `sample`; nothing where none is asked for."""
    if request.label is None:
        return {}
    classes = model.classes if isinstance(model, Conditional) else 0
    if not classes:
        from zoo_core.tasks import available

        raise InvalidInput(
            f"--label {request.label}: {request.name} was trained without labels, so it cannot "
            f"draw one class alone. Leave --label out; it can {', '.join(available(model))}."
        )
    if not 0 <= request.label < classes:
        raise InvalidInput(
            f"--label {request.label}: {request.name} has the labels 0 to {classes - 1}."
        )
    return {"label": request.label}
