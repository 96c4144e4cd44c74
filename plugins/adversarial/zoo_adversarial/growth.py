"""The task `growth`: the same latents at each resolution that a network has grown through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from zoo_core.options import option
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Growing", "Options", "growth"]

_COLUMNS = 8
"""Images side by side, at most."""


@runtime_checkable
class Growing(Protocol):
    """A generator that shows its samples at each resolution that it has grown through."""

    event_shape: tuple[int, ...]

    def growth(self, n: int, *, generator: Random | None = None) -> Sequence[Tensor]:
        """Generate n images at each resolution, [(n, C, h, w), …], in [0, 1], the smallest first.

        Sides are those of a sample, or go into them a whole number of times.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of the task `growth`."""

    n: int = option(16, "Number of samples", minimum=1, flags=("-n",))
    hold: int = option(2, "How long each resolution stands still", unit="frames", minimum=1)
    fade: int = option(4, "How long one fades into the next", unit="frames", minimum=0)


def growth(model: Growing, options: Options, context: Context) -> Result:
    """Draw latents and decode them at each resolution; the film fades from one into the next."""
    import torch

    from zoo_adversarial.progan import up
    from zoo_core import output

    n, hold, fade = options.n, options.hold, options.fade
    context.require_memory(model, n * (hold + fade), n=n, hold=hold, fade=fade)
    resolutions, n = _sample_stages(model, options.n, context), options.n
    side = model.event_shape[-1]
    grown = [up(x, side // x.shape[-1]) for x in resolutions]
    columns = min(_COLUMNS, n)
    over = -n % columns
    names = [f"{x.shape[-2]}x{x.shape[-1]}" for x in resolutions]
    rows = (n + over) // columns
    return Result(
        summary=f"{counted(n, 'sample')} from {context.name} as it grew",
        figures=(", ".join(names),),
        images=torch.cat([part for x in grown for part in (x, output.blank(x, over))]),
        columns=columns,
        names=[label for name in names for label in (name, *[""] * (rows - 1))],
        frames=frames(grown, options.hold, options.fade),
        tensors={f"samples_{name}": x for name, x in zip(names, resolutions, strict=True)},
    )


def frames(grown: Sequence[Tensor], hold: int, fade: int) -> list[Tensor]:
    """A film of sets of images (n, C, H, W): each is held for a while, then fades into the next.

    hold: frames of each. fade: frames between two, as a stage fades in.
    """
    import torch

    shown = [grown[0]] * hold
    for before, after in pairwise(grown):
        shown += [torch.lerp(before, after, i / (fade + 1)) for i in range(1, fade + 1)]
        shown += [after] * hold
    return shown


def _sample_stages(model: Growing, n: int, context: Context) -> list[Tensor]:
    """n images at each resolution, generated in batches, on the CPU."""
    import torch

    with torch.inference_mode():
        parts = [
            model.growth(size, generator=streams) for size, streams in context.samples(model, n)
        ]
    return [torch.cat(same).float().cpu() for same in zip(*parts, strict=True)]
