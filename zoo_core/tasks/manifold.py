"""Two latents are a plane: what the model makes of each place, or where inputs lie in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from zoo_core.errors import InvalidInput
from zoo_core.options import option
from zoo_core.protocols import Decoder
from zoo_core.tasks import encode
from zoo_core.tasks.groups import OptionalInputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "manifold", "plane"]

_DRAWS = 100_000
"""Samples whose quantiles estimate the prior's."""


@dataclass(frozen=True, kw_only=True)
class Options(OptionalInputs):
    """Of the task `manifold`."""

    side: int = option(20, "Grid points along each side of the plane", minimum=1)


def manifold(model: Decoder, options: Options, context: Context) -> Result:
    """Decode a plane of latents; where there are inputs, show their latents as dots by label."""
    return (_scatter if options.inputs else _tiles)(model, options, context)


def plane(model: Decoder, side: int, context: Context) -> Tensor:
    """Latents at which the prior's inverse distribution function is evenly spaced.

    Each variable by itself, and by many samples: a prior need not have a function for it.

    Return (side², 2), row by row as they are shown: z0 grows to the right, z1 upwards.
    """
    import torch

    from zoo_core.tasks.latents import survey_prior

    z = survey_prior(model, _DRAWS, context)
    u = (torch.arange(side, device=z.device) + 0.5) / side
    right, up = z.quantile(u, 0).unbind(1)
    z1, z0 = torch.meshgrid(up.flip(0), right, indexing="ij")
    return torch.stack([z0, z1], 2).flatten(0, 1)


def _tiles(model: Decoder, options: Options, context: Context) -> Result:
    from zoo_core.precision import weight_of
    from zoo_core.tasks.inputs import beside, table_rows
    from zoo_core.tasks.latents import decode_latents, latent_columns

    side = options.side
    context.require_memory(model, side**2, side=side)
    z = plane(model, side, context)
    x = decode_latents(model, z.to(weight_of(model).dtype), context)
    rows = latent_columns(z)
    (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
    result = Result(
        summary=f"{side} × {side} places of the plane of latents of {context.name}",
        figures=(f"z0 from {left:.2f} to {right:.2f}, z1 from {bottom:.2f} to {top:.2f}",),
        tensors={"z": z.cpu(), "decoded": x},
    )
    if x.ndim == 4:
        return replace(result, rows=rows, images=x, columns=side)
    tables = zip(rows, table_rows(model, x), strict=True)
    return replace(result, rows=[beside(row, variables) for row, variables in tables])


def _scatter(model: Decoder, options: Options, context: Context) -> Result:
    from zoo_core.tasks.latents import as_encoder

    if options.side != Options.side:
        raise InvalidInput(
            f"{argument('side', options.side)} is of the plane that is decoded, and inputs are "
            "shown as dots in it. Leave it out, or leave the inputs out."
        )
    encoder = as_encoder(model, options.inputs, context, "manifold")
    result = encode.encode(encoder, encode.Options(inputs=options.inputs), context)
    order = list(result.texts.get("classes", ()))
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in order}
    for row in result.rows:
        name = str(row.get("label", "inputs")) or "no label"
        groups.setdefault(name, []).append((row["z0"], row["z1"]))
    points = {name: dots for name, dots in groups.items() if dots}
    return replace(result, points=points)
