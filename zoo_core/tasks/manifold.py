"""Two latents are a plane: what the model makes of each place, or where inputs lie in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from zoo_core.errors import InvalidInput
from zoo_core.tasks.encode import run as encode
from zoo_core.tasks.inputs import table_rows
from zoo_core.tasks.latents import check_encodes, count, decoded, drawn, latent_columns, latent_dim
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.tasks.request import Request

__all__ = ["plane", "run"]

_DRAWS = 100_000
"""Draws whose quantiles stand for the prior's."""


def run(model: nn.Module, request: Request) -> Result:
    """Decode a plane of latents; where there are inputs, show their latents as dots by label."""
    if latent_dim(model) != 2:
        raise InvalidInput(
            f"{request.name} has {latent_dim(model)} latents, and a plane is of two: the task "
            "manifold is for models with two. Use --task traverse, which walks along each latent, "
            "or train a model of two, as zoo train vae does with --set config.z=2."
        )
    return _scatter(model, request) if request.inputs else _tiles(model, request)


def plane(model: nn.Module, side: int, request: Request) -> Tensor:
    """Latents at which the prior's inverse distribution function is evenly spaced.

    Each variable by itself, and by many draws: a prior need not have a function for it.

    Return (side², 2), row by row as they are shown: z0 grows to the right, z1 upwards.
    """
    z = drawn(model, _DRAWS, replace(request, seed=0)).float()
    u = (torch.arange(side, device=z.device) + 0.5) / side
    right, up = z.quantile(u, 0).unbind(1)
    z1, z0 = torch.meshgrid(up.flip(0), right, indexing="ij")
    return torch.stack([z0, z1], 2).flatten(0, 1)


def _tiles(model: nn.Module, request: Request) -> Result:
    side = count(request, "side")
    z = plane(model, side, request)
    x = decoded(model, z.to(next(model.parameters(), z).dtype), request)
    rows = latent_columns(z)
    (left, bottom), (right, top) = z.amin(0).tolist(), z.amax(0).tolist()
    result = Result(
        summary=f"{side} × {side} places of the plane of latents of {request.name}",
        figures=(f"z0 from {left:.2f} to {right:.2f}, z1 from {bottom:.2f} to {top:.2f}",),
        tensors={"z": z.cpu(), "decoded": x},
    )
    if x.ndim == 4:
        return replace(result, rows=rows, images=x, columns=side)
    tables = zip(rows, table_rows(model, x), strict=True)
    return replace(result, rows=[{**row, **variables} for row, variables in tables])


def _scatter(model: nn.Module, request: Request) -> Result:
    check_encodes(model, request, "manifold")
    result = encode(model, request)
    order = list(result.texts.get("classes", ()))
    groups: dict[str, list[tuple[float, float]]] = {name: [] for name in order}
    for row in result.rows:
        groups.setdefault(str(row.get("label", "inputs")), []).append((row["z0"], row["z1"]))
    points = {name: dots for name, dots in groups.items() if dots}
    return replace(result, points=points)
