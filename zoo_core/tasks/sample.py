"""Draw samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.protocols import Generator
    from zoo_core.tasks.request import Request

__all__ = ["draw", "run"]


def run(model: nn.Module, request: Request) -> Result:
    """Draw n samples; pictures of images, rows of tables."""
    x = draw(model, request)
    summary = f"{len(x):,} sample{'s' if len(x) > 1 else ''} from {request.name}"
    if x.ndim == 4:
        return Result(summary=summary, images=x, frames=x.split(1), tensors={"samples": x})
    from zoo_core.tasks.inputs import table_rows

    return Result(summary=summary, rows=table_rows(model, x), tensors={"samples": x})


def draw(model: nn.Module, request: Request) -> Tensor:
    """Draw n samples in batches, (n, *event_shape), on the CPU."""
    generator, source = request.generator(model), cast("Generator", model)
    sizes = [
        min(request.batch_size, request.n - start)
        for start in range(0, request.n, request.batch_size)
    ]
    with torch.inference_mode():
        parts = [
            source.sample(size, generator=generator, temperature=request.temperature).cpu()
            for size in sizes
        ]
    return torch.cat(parts)
