"""What does a head of attention look at? Its weights over the variables before one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput
from zoo_core.options import option
from zoo_core.protocols import Attentive
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "attend", "place_of"]


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `attend`."""

    pixel: str = option(
        "",
        "Pixel that looks, from the top left and 0 (of a table, a column, also by its name); the "
        "middle by default",
        metavar="ROW,COLUMN",
    )


def attend(model: Attentive, options: Options, context: Context) -> Result:
    """Show the weights of each head from one pixel: a map of each, a row for each layer."""
    import torch

    from zoo_core.tasks.inputs import load_inputs, variable_names

    shape, called = tuple(model.event_shape), variable_names(model)
    named = len(shape) == 1 and options.pixel in called
    place = called.index(options.pixel) if named else place_of(options.pixel, shape)
    batch = load_inputs(model, options.inputs, context)
    with torch.inference_mode():
        parts = [model.attention(part, place).cpu() for part in context.batches(batch.x)]
    weights = torch.cat(parts)  # (B, layers, heads, D)
    layers, heads = weights.shape[1:3]
    if len(shape) == 3:  # the channels of a pixel together
        weights = weights.unflatten(3, shape).sum(3).flatten(3)
    name = called[place % weights.shape[3]]
    result = Result(
        summary=f"{layers} layers of {heads} heads of {context.name}, seen from {name}",
        figures=(f"{float(1 - weights.sum(3).mean()):.1%} of the weights at the start token",),
        notes=batch.notes,
        rows=_rows(weights, batch.names, called),
        tensors={"weights": weights},
        texts={"inputs": batch.names},
    )
    if len(shape) != 3:
        return result
    x = _mark(batch.x.float().cpu(), place)
    images, names = _maps(x, weights.unflatten(3, shape[1:]))
    return replace(result, images=images, columns=1 + heads, names=names, frames=[images])


def place_of(pixel: str, shape: Sequence[int]) -> int:
    """The number of a variable: of a pixel's first channel, or of a table's column.

    Raises InvalidInput for one that there is not.
    """
    size = tuple(shape[1:]) if len(shape) == 3 else tuple(shape)
    try:
        at = tuple(int(word) for word in pixel.split(",")) if pixel else tuple(n // 2 for n in size)
    except ValueError:
        at = ()
    if len(at) != len(size) or not all(0 <= i < n for i, n in zip(at, size, strict=True)):
        wanted = " and ".join(f"0 to {n - 1}" for n in size)
        form = "ROW,COLUMN" if len(size) == 2 else "COLUMN"
        raise InvalidInput(
            f"{argument('pixel', pixel)}: expected {form}, whole numbers from {wanted}."
        )
    return at[0] * size[1] + at[1] if len(size) == 2 else at[0]


def _rows(weights: Tensor, names: Sequence[str], called: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each input, layer and head: its weight at the start, and where it looks most.

    called: the names of pixels, or of a table's columns.
    """
    most, where = weights.max(3)
    rest = 1 - weights.sum(3)
    return [
        {
            "input": name,
            "layer": i + 1,
            "head": j + 1,
            "start": float(rest[b, i, j]),
            "most": called[int(where[b, i, j])],
            "weight": float(most[b, i, j]),
        }
        for b, name in enumerate(names)
        for i in range(weights.shape[1])
        for j in range(weights.shape[2])
    ]


def _mark(x: Tensor, place: int) -> Tensor:
    """Images with the pixel that looks in red, (B, 3, H, W)."""
    import torch

    marked = x.expand(-1, 3, -1, -1).flatten(2).clone()
    marked[:, :, place] = torch.tensor([1.0, 0.0, 0.0])
    return marked.view(len(x), 3, *x.shape[2:])


def _maps(x: Tensor, weights: Tensor) -> tuple[Tensor, list[str]]:
    """Rows of an input and the maps of a layer's heads, each map up to its own greatest weight.

    x: (B, 3, H, W). weights: (B, layers, heads, H, W).
    """
    import torch

    from zoo_core import output

    B, layers, heads, H, W = weights.shape
    highest = weights.flatten(3).amax(3).clamp(min=1e-12)
    heat = output.heat((weights / highest[..., None, None]).flatten(0, 2), 1.0)
    heat = heat.view(B, layers, heads, 3, H, W)
    inputs = x[:, None, None].expand(-1, layers, 1, -1, -1, -1)
    images = torch.cat([inputs, heat], 2).flatten(0, 2)
    return images, [f"layer {i + 1}" for i in range(layers)] * B
