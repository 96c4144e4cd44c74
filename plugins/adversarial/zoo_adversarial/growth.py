"""The task `growth`: the same latents at each resolution that a network has grown through."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from zoo_core import output
from zoo_core.tasks.latents import count
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import nn

    from zoo_core.tasks.request import Request

__all__ = ["Growing", "run"]

_COLUMNS = 8
"""Images side by side, at most."""


@runtime_checkable
class Growing(Protocol):
    """A generator that shows its samples at each resolution that it has grown through."""

    event_shape: tuple[int, ...]

    def growth(self, n: int, *, generator: Random | None = None) -> Sequence[Tensor]:
        """Draw n images at each resolution, [(n, C, h, w), …], in [0, 1], the smallest first.

        Sides are those of a sample, or go into them a whole number of times.
        """
        ...


def run(model: nn.Module, request: Request) -> Result:
    """Draw latents and decode them at each resolution; the film fades from one into the next."""
    hold, fade = count(request, "hold"), count(request, "fade", 0)
    resolutions, n = _drawn(model, request), request.n
    side = cast("tuple[int, ...]", model.event_shape)[-1]
    grown = [enlarged(x, side // x.shape[-1]) for x in resolutions]
    columns = min(_COLUMNS, n)
    over = -n % columns
    names = [f"{x.shape[-2]}x{x.shape[-1]}" for x in resolutions]
    rows = (n + over) // columns
    return Result(
        summary=f"{n:,} sample{'s' if n > 1 else ''} from {request.name} as it grew",
        figures=(", ".join(names),),
        images=torch.cat([part for x in grown for part in (x, output.blank(x, over))]),
        columns=columns,
        names=[label for name in names for label in (name, *[""] * (rows - 1))],
        frames=frames(grown, hold, fade),
        tensors={f"samples_{name}": x for name, x in zip(names, resolutions, strict=True)},
    )


def enlarged(x: Tensor, factor: int) -> Tensor:
    """Each pixel of (n, C, H, W) becomes factor x factor pixels."""
    return functional.interpolate(x, scale_factor=factor, mode="nearest") if factor > 1 else x


def frames(grown: Sequence[Tensor], hold: int, fade: int) -> list[Tensor]:
    """Each of some sets of images (n, C, H, W) for a while, and the way from it to the next.

    hold: frames of each. fade: frames between two, as a stage fades in.
    """
    shown = [grown[0]] * hold
    for before, after in pairwise(grown):
        shown += [torch.lerp(before, after, i / (fade + 1)) for i in range(1, fade + 1)]
        shown += [after] * hold
    return shown


def _drawn(model: nn.Module, request: Request) -> list[Tensor]:
    """n images at each resolution, drawn in batches, on the CPU."""
    growing, random = cast("Growing", model), request.generator(model)
    with torch.inference_mode():
        parts = [growing.growth(size, generator=random) for size in request.sizes()]
    return [torch.cat(same).float().cpu() for same in zip(*parts, strict=True)]
