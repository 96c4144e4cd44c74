"""The task `denoise`: samples as the reverse process takes the noise out of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from zoo_core.options import option
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Generator as Random
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Denoiser", "Options", "denoise"]

_HOLD = 8
"""Frames that the film stands still at its end."""


@runtime_checkable
class Denoiser(Protocol):
    """A model whose samples can be seen on their way from noise."""

    event_shape: tuple[int, ...]
    steps: int
    """Steps of the sampler."""

    def denoise(
        self, n: int, steps: Collection[int], *, generator: Random | None = None
    ) -> list[Tensor]:
        """Sample n images, and return them after these steps, [(n, C, H, W), …], in [0, 1]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of the task `denoise`."""

    n: int = option(8, "Number of samples", minimum=1, flags=("-n",))
    stages: int = option(6, "Rows of the picture, from noise to the sample", minimum=2)
    frames: int = option(24, "Frames of the film", minimum=2)


def denoise(model: Denoiser, options: Options, context: Context) -> Result:
    """Sample, and show the samples after some of the steps, evenly spaced."""
    import torch

    n = options.n
    rows, film = (_spaced(model.steps, k) for k in (options.stages, options.frames))
    steps = sorted({*rows, *film})
    context.require_memory(model, n * len(steps), n=n, stages=options.stages, frames=options.frames)
    parts = [
        model.denoise(size, steps, generator=streams) for size, streams in context.samples(model, n)
    ]
    seen = {s: torch.cat(same).float().cpu() for s, *same in zip(steps, *parts, strict=True)}
    return Result(
        summary=f"{n:,} sample{'s' if n > 1 else ''} from {context.name} on the way from noise",
        figures=(f"after {', '.join(map(str, rows))} of {model.steps} steps",),
        images=torch.cat([seen[step] for step in rows]),
        columns=n,
        names=[f"{step} of {model.steps}" for step in rows],
        frames=[seen[step] for step in film] + [seen[model.steps]] * _HOLD,
        tensors={f"samples_{step}": seen[step] for step in rows},
    )


def _spaced(last: int, k: int) -> list[int]:
    """k steps from 0 to the last, evenly spaced; fewer where there are not as many."""
    return sorted({round(last * i / (k - 1)) for i in range(k)})
