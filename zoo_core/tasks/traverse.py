"""Walk along each latent variable while the others stay: what does it do?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from zoo_core import output
from zoo_core.protocols import Encoder, Traversable, Traversal
from zoo_core.tasks.inputs import table_rows
from zoo_core.tasks.latents import count, decoded, drawn, encoded, given, latent_dim
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from zoo_core.tasks.request import Request

__all__ = ["run", "walks"]

_STEPS, _REACH = 9, 3.0
"""Steps of a walk, and how far it goes to either side, in standard deviations of the prior."""
_DRAWS = 10_000
"""Draws that tell a prior's mean, deviation and ends."""
_JUDGED = 1000
"""Inputs that say which walks are worth a look, at most."""
_COLUMNS = 10
"""Steps side by side: a walk through more of them, as through 30 clusters, takes several rows."""


class _Row(NamedTuple):
    """One walk from one start."""

    name: str
    z: Tensor
    """(steps, latent_dim)."""


def run(model: nn.Module, request: Request) -> Result:
    """Decode walks from the first inputs, or from draws of the prior."""
    limit, starts = count(request, "rows"), count(request, "starts")
    notes: tuple[str, ...] = ()
    if request.inputs:
        batch = given(model, request, "traverse")
        base = encoded(model, batch.x[:starts], request)
        found = walks(model, request, batch.x[:_JUDGED])
        source, notes = ", ".join(batch.names[:starts]), batch.notes
    else:
        base, found = drawn(model, starts, request), walks(model, request)
        source = "draws" if starts > 1 else "a draw"
    shown = found[:limit]
    rows = _rows(shown, base)
    z = torch.cat([row.z for row in rows])
    x = decoded(model, z, request)
    result = Result(
        summary=f"{len(shown)} of {len(found)} walks through the latents of {request.name}",
        figures=(f"from {source}",),
        notes=(*notes, f"from the top: {_listed(shown)}"),
        tensors={"start": base.cpu(), "z": z.cpu(), "decoded": x},
        texts={"names": [row.name for row in rows for _ in row.z]},
    )
    parts = x.split([len(row.z) for row in rows])
    if x.ndim != 4:
        return replace(result, rows=_table(model, rows, parts))
    images, columns, names = _laid_out(rows, parts)
    return replace(result, images=images, columns=columns, names=names, frames=_frames(parts))


def walks(model: nn.Module, request: Request, x: Tensor | None = None) -> Sequence[Traversal]:
    """The model's own walks, or one along each latent.

    x: inputs that tell which are worth a look, (B, *event_shape), in [0, 1].
    """
    if isinstance(model, Traversable):
        if x is None or not isinstance(model, Encoder):
            return model.traversals()
        with torch.inference_mode():
            return model.traversals(x)
    z = drawn(model, _DRAWS, replace(request, seed=0)).float()
    # a uniform prior ends before three deviations
    low = torch.maximum(z.mean(0) - _REACH * z.std(0), z.amin(0))
    high = torch.minimum(z.mean(0) + _REACH * z.std(0), z.amax(0))
    values = torch.lerp(low, high, torch.linspace(0, 1, _STEPS).to(z).unsqueeze(1))
    return [
        Traversal(f"z{i}", (i,), values[:, i : i + 1].tolist()) for i in range(latent_dim(model))
    ]


def _rows(found: Sequence[Traversal], base: Tensor) -> list[_Row]:
    """Each walk from each start, base (starts, latent_dim)."""
    rows = []
    for walk in found:
        values = torch.tensor(walk.values).to(base)
        for i, start in enumerate(base):
            z = start.repeat(len(values), 1)
            z[:, list(walk.dims)] = values
            name = f"{walk.name}, start {i + 1}" if len(base) > 1 else walk.name
            rows.append(_Row(name, z))
    return rows


def _laid_out(rows: Sequence[_Row], parts: Sequence[Tensor]) -> tuple[Tensor, int, list[str]]:
    """The pictures in rows of equal length, that length, and the rows' names."""
    columns = min(_COLUMNS, max(len(part) for part in parts))
    images, names = [], []
    for row, part in zip(rows, parts, strict=True):
        over = -len(part) % columns
        images += [part, output.blank(part, over)]
        names += [row.name] + [""] * ((len(part) + over) // columns - 1)
    return torch.cat(images), columns, names


def _frames(parts: Sequence[Tensor]) -> list[Tensor]:
    """All walks at their first step, their second one, …; those that are over stand still."""
    steps = range(max(len(part) for part in parts))
    return [torch.stack([part[min(i, len(part) - 1)] for part in parts]) for i in steps]


def _table(
    model: nn.Module, rows: Sequence[_Row], parts: Sequence[Tensor]
) -> list[dict[str, float | str]]:
    return [
        {"varies": row.name, "step": step, **variables}
        for row, part in zip(rows, parts, strict=True)
        for step, variables in enumerate(table_rows(model, part))
    ]


def _listed(found: Sequence[Traversal]) -> str:
    """The walks' names with their ends, where it is one latent that moves."""
    said = []
    for walk in found:
        ends = [f"{walk.values[i][0]:.3g}" for i in (0, -1)]
        said.append(f"{walk.name} {' to '.join(ends)}" if len(walk.dims) == 1 else walk.name)
    return ", ".join(said)
