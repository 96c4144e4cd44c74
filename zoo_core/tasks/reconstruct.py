"""Encode and decode each input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_core.protocols import LatentVariable
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from zoo_core.tasks.context import Context

__all__ = ["Options", "reconstruct"]

_COLUMNS = 16
"""Pairs side by side."""


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `reconstruct`."""


def reconstruct(model: LatentVariable, options: Options, context: Context) -> Result:
    """Show what is left of each input when only its latents are kept."""
    from zoo_core import output
    from zoo_core.tasks.inputs import beside, load_inputs, table_rows
    from zoo_core.tasks.latents import decode_latents, encode_inputs

    batch = load_inputs(model, options.inputs, context)
    z = encode_inputs(model, batch.x, context)
    x, mean = batch.x.float().cpu(), decode_latents(model, z, context).float()
    errors = (mean - x).square().flatten(1).mean(1)
    rows = [
        {"input": name, "squared_error": error}
        for name, error in zip(batch.names, errors.tolist(), strict=True)
    ]
    result = Result(
        summary=f"{counted(len(x), 'input')} reconstructed by {context.name}",
        figures=(f"{z.shape[1]} latents", f"mean squared error {errors.mean():.4f} a variable"),
        notes=batch.notes,
        tensors={"inputs": x, "z": z.cpu(), "reconstructions": mean, "squared_error": errors},
        texts={"names": batch.names},
    )
    if x.ndim != 4:
        tables = zip(rows, table_rows(model, mean), strict=True)
        return replace(result, rows=[beside(row, variables) for row, variables in tables])
    columns = min(len(x), _COLUMNS)
    images, names = output.stacked((x, mean), columns, ("input", "reconstruction"))
    return replace(result, rows=rows, images=images, columns=columns, names=names, frames=[x, mean])
