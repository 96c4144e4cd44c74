"""Walk along each latent variable while the others stay: what does it do?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from zoo_core.options import option
from zoo_core.protocols import Decoder, Encoder, Traversable, Traversal
from zoo_core.tasks.groups import OptionalInputs
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "traverse", "walks"]

_STEPS, _REACH = 9, 3.0
"""Steps of a walk, and how far it goes to either side, in standard deviations of the prior."""
_DRAWS = 10_000
"""Samples that estimate a prior's mean, deviation and ends."""
_JUDGED = 1000
"""Inputs by which walks are ranked, at most."""
_COLUMNS = 10
"""Steps side by side: a walk through more of them, as through 30 clusters, takes several rows."""


@dataclass(frozen=True, kw_only=True)
class Options(OptionalInputs):
    """Of the task `traverse`."""

    rows: int = option(10, "Number of latents to vary, the most informative first", minimum=1)
    starts: int = option(1, "Number of inputs, or samples, to start from", minimum=1)
    along: tuple[str, ...] = option(
        (),
        "An attribute of the model's data, such as beard: a walk towards each of its values",
        flags=("--along",),
        metavar="ATTRIBUTE",
    )


class _Row(NamedTuple):
    """One walk from one start."""

    name: str
    z: Tensor
    """(steps, latent_dim)."""


def traverse(model: Decoder, options: Options, context: Context) -> Result:
    """Decode walks from the first inputs, or from samples of the prior."""
    import torch

    from zoo_core.tasks.inputs import load_inputs
    from zoo_core.tasks.latents import as_encoder, decode_latents, encode_inputs, sample_latents

    notes: tuple[str, ...] = ()
    if options.inputs:
        encoder = as_encoder(model, options.inputs, context, "traverse")
        batch = load_inputs(model, options.inputs, context)
        base = encode_inputs(encoder, batch.x[: options.starts], context)
        judged: Tensor | None = batch.x[:_JUDGED]
        source, notes = ", ".join(batch.names[: options.starts]), batch.notes
    else:
        context.require_memory(model, options.starts * _STEPS, starts=options.starts)
        base, judged = sample_latents(model, options.starts, context), None
        source = "samples" if options.starts > 1 else "a sample"
    if options.along:
        from zoo_core.tasks.directions import attribute_walks

        found: Sequence[Traversal] = attribute_walks(model, options.along, context)
    else:
        found = walks(model, context, judged)
    shown = found[: options.rows]
    places = len(base) * sum(len(walk.values) for walk in shown)
    context.require_memory(model, places, starts=len(base))
    rows = _rows(shown, base)
    z = torch.cat([row.z for row in rows])
    x = decode_latents(model, z, context)
    result = Result(
        summary=f"{len(shown)} of {len(found)} walks through the latents of {context.name}",
        figures=(f"from {source}",),
        notes=(*notes, f"from the top: {_list_walks(shown)}", *_explain(shown, options.along)),
        tensors={"start": base.cpu(), "z": z.cpu(), "decoded": x},
        texts={"names": [row.name for row in rows for _ in row.z]},
    )
    parts = x.split([len(row.z) for row in rows])
    if x.ndim != 4:
        return replace(result, rows=_table(model, rows, parts))
    images, columns, names = _lay_out(rows, parts)
    return replace(result, images=images, columns=columns, names=names, frames=_frames(parts))


def walks(model: Decoder, context: Context, x: Tensor | None = None) -> Sequence[Traversal]:
    """The model's own walks, or one along each latent.

    x: inputs that tell which are worth a look, (B, *event_shape), in [0, 1].
    """
    import torch

    from zoo_core.tasks.latents import survey_prior

    if isinstance(model, Traversable):
        if x is None or not isinstance(model, Encoder):
            return model.traversals()
        with torch.inference_mode():
            return model.traversals(x)
    z = survey_prior(model, _DRAWS, context)
    # a uniform prior ends before three deviations
    low = torch.maximum(z.mean(0) - _REACH * z.std(0), z.amin(0))
    high = torch.minimum(z.mean(0) + _REACH * z.std(0), z.amax(0))
    values = torch.lerp(low, high, torch.linspace(0, 1, _STEPS).to(z).unsqueeze(1))
    return [
        Traversal(f"z{i}", (i,), values[:, i : i + 1].tolist()) for i in range(model.latent_dim)
    ]


def _rows(found: Sequence[Traversal], base: Tensor) -> list[_Row]:
    """Each walk from each start, base (starts, latent_dim)."""
    import torch

    rows = []
    for walk in found:
        values = torch.tensor(walk.values).to(base)
        for i, start in enumerate(base):
            z = start.repeat(len(values), 1)
            dims = list(walk.dims)
            z[:, dims] = z[:, dims] + values if walk.added else values
            name = f"{walk.name}, start {i + 1}" if len(base) > 1 else walk.name
            rows.append(_Row(name, z))
    return rows


def _lay_out(rows: Sequence[_Row], parts: Sequence[Tensor]) -> tuple[Tensor, int, list[str]]:
    """The pictures in rows of equal length, that length, and the rows' names."""
    import torch

    from zoo_core import output

    columns = min(_COLUMNS, max(len(part) for part in parts))
    images, names = [], []
    for row, part in zip(rows, parts, strict=True):
        over = -len(part) % columns
        images += [part, output.blank(part, over)]
        names += [row.name] + [""] * ((len(part) + over) // columns - 1)
    return torch.cat(images), columns, names


def _frames(parts: Sequence[Tensor]) -> list[Tensor]:
    """All walks at their first step, their second one, …; those that are over stand still."""
    import torch

    steps = range(max(len(part) for part in parts))
    return [torch.stack([part[min(i, len(part) - 1)] for part in parts]) for i in steps]


def _table(
    model: Decoder, rows: Sequence[_Row], parts: Sequence[Tensor]
) -> list[dict[str, float | str]]:
    from zoo_core.tasks.inputs import beside, table_rows

    return [
        beside({"varies": row.name, "step": step}, variables)
        for row, part in zip(rows, parts, strict=True)
        for step, variables in enumerate(table_rows(model, part))
    ]


def _explain(found: Sequence[Traversal], along: Sequence[str]) -> tuple[str, ...]:
    """What directions are, where walks go along them."""
    if along:
        return (
            "each adds the mean latents of rows with that value, less those of all others: at the "
            "left nothing, in the middle all of it, at the right twice as much",
        )
    if not any(walk.added for walk in found):
        return ()
    return (
        "directions change the first layer's response most, and are added to where a walk starts: "
        "one latent alone changes next to nothing",
    )


def _list_walks(found: Sequence[Traversal]) -> str:
    """The walks' names with their ends, where it is one latent that moves."""
    said = []
    for walk in found:
        ends = [f"{walk.values[i][0]:.3g}" for i in (0, -1)]
        said.append(f"{walk.name} {' to '.join(ends)}" if len(walk.dims) == 1 else walk.name)
    return ", ".join(said)
