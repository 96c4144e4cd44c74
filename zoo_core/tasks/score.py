"""The log-probability of each input: exact, or the bound that a latent-variable model has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from zoo_core.tasks.inputs import caveat, load_inputs, nats
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.tasks.request import Request

__all__ = ["run"]


def run(model: nn.Module, request: Request) -> Result:
    """Give −log p in nats, and in bits per dimension, of each input."""
    batch = load_inputs(model, request.inputs, request)
    nll = nats(model, batch.x, request)
    bits = nll / (batch.x[0].numel() * math.log(2))
    notes = caveat(model)
    kind, sign = ({"likelihood": "bound"}, "≤ ") if notes else ({}, "")
    rows = [
        {"input": name, "nats": a, "bits_per_dim": b, **kind}
        for name, a, b in zip(batch.names, nll.tolist(), bits.tolist(), strict=True)
    ]
    return Result(
        summary=f"{len(rows):,} input{'s' if len(rows) > 1 else ''} scored by {request.name}",
        figures=(
            f"mean {sign}{nll.mean():.2f} nats",
            f"{sign}{bits.mean():.4f} bits per dimension",
        ),
        notes=(*batch.notes, *notes),
        rows=rows,
        tensors={"nats": nll, "bits_per_dim": bits},
        groups={"inputs": nll.tolist()},
    )
