"""Interpolate in latent space between inputs, samples or prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from zoo_core.errors import InvalidInput
from zoo_core.options import option
from zoo_core.protocols import Decoder, Pathfinder
from zoo_core.tasks.groups import OptionalInputs
from zoo_core.tasks.result import Result
from zoo_core.tasks.sample import draw, require_prompted
from zoo_core.text import argument, counted

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "arc", "interpolate", "line"]

_LEAST_SINE = 1e-3
"""Of the angle between two latents: below that, no one circle goes through both."""


@dataclass(frozen=True, kw_only=True)
class Options(OptionalInputs):
    """Of the task `interpolate`."""

    prompts: tuple[str, ...] = option(
        (),
        "Text at an end of a path, for a prompt-conditioned model",
        flags=("--prompt",),
        metavar="TEXT",
    )
    steps: int = option(9, "Steps of each path, both ends included", minimum=2)
    path: str = option(
        "auto",
        "Kind of path: auto is the model's own, or else a line between inputs and an arc between "
        "samples",
        choices=("auto", "line", "arc"),
    )
    pairs: int = option(4, "Pairs of samples; for prompts, samples of each pair", minimum=1)
    temperature: float = option(1.0, "For prompts: below 1, more probable samples", above=0)


class _Ends(NamedTuple):
    """The ends of paths."""

    z: Tensor
    """(paths, 2, latent_dim)."""
    names: list[str]
    notes: tuple[str, ...] = ()


def interpolate(model: Decoder, options: Options, context: Context) -> Result:
    """Decode latents between those of neighbouring inputs, or of pairs of samples.

    For prompts, sample from codes between neighbouring ones.
    """
    from zoo_core.tasks.inputs import beside, table_rows
    from zoo_core.tasks.latents import decode_latents

    if options.prompts:
        return _of_prompts(model, options, context)
    if options.temperature != 1:
        raise InvalidInput(f"{argument('temperature')} is for paths between two prompts or more.")
    ends = (_of_inputs if options.inputs else _of_samples)(model, options, context)
    _require_memory(model, len(ends.z), options, context)
    z, kind = _paths(model, ends.z, options)
    x = decode_latents(model, z.flatten(0, 1), context)
    n, steps = len(z), options.steps
    result = Result(
        summary=f"{counted(n, 'path')} through the latents of {context.name}",
        figures=(f"{steps} steps", kind),
        notes=ends.notes,
        tensors={"z": z.cpu(), "decoded": x.unflatten(0, (n, steps))},
        texts={"names": ends.names},
    )
    if x.ndim != 4:
        at = [{"way": name, "step": step} for name in ends.names for step in range(steps)]
        tables = zip(at, table_rows(model, x), strict=True)
        return replace(result, rows=[beside(place, variables) for place, variables in tables])
    there = x.unflatten(0, (n, steps)).unbind(1)
    return replace(result, images=x, columns=steps, frames=[*there, *there[-2:0:-1]])


def _of_prompts(model: Decoder, options: Options, context: Context) -> Result:
    """From each prompt to the next along a line of codes; a row for each of several noise samples.

    Raises InvalidInput for one prompt alone, prompts beside inputs, an arc, or a model without
    text.
    """
    import torch

    prompts, steps = options.prompts, options.steps
    if options.inputs:
        raise InvalidInput("a path is between inputs or between prompts: leave one of them out.")
    if options.path == "arc":
        raise InvalidInput(
            f"{argument('path', options.path)}: a path between prompts is a line of their codes. "
            "Leave it out."
        )
    if len(prompts) < 2:
        raise InvalidInput(
            f"{argument('prompts', prompts[0], '--prompt')} is one text, and a path has two ends: "
            "give another."
        )
    _require_memory(model, options.pairs * (len(prompts) - 1), options, context)
    with torch.inference_mode():
        codes = require_prompted(model, prompts, context.name).read(prompts)
        paths = torch.stack([line(a, b, steps) for a, b in pairwise(codes)])
    # the same seed each time, so the same noise: along a row the text alone changes
    sampled = [
        draw(
            model,
            options.pairs,
            context,
            temperature=options.temperature,
            prompt=code.unsqueeze(0),
        )
        for code in paths.flatten(0, 1)
    ]
    x = torch.stack(sampled).unflatten(0, (len(paths), steps)).transpose(1, 2).flatten(0, 1)
    names = [f"{a} to {b}" for a, b in pairwise(prompts)]
    there = x.unbind(1)
    return Result(
        summary=f"{len(x)} paths between prompts by {context.name}",
        figures=(f"{steps} steps", "along lines of codes"),
        images=x.flatten(0, 1),
        columns=steps,
        names=[name if i == 0 else "" for name in names for i in range(options.pairs)],
        frames=[*there, *there[-2:0:-1]],
        tensors={"codes": paths.cpu(), "decoded": x},
        texts={"prompts": names},
    )


def _require_memory(model: Decoder, paths: int, options: Options, context: Context) -> None:
    pairs = {} if options.inputs else {"pairs": options.pairs}
    context.require_memory(model, paths * options.steps, steps=options.steps, **pairs)


def line(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """Points of the straight line between latents, each (latent_dim,): (steps, latent_dim)."""
    import torch

    return torch.lerp(z0, z1, torch.linspace(0, 1, steps).to(z0).unsqueeze(1))


def arc(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """Points of the great circle through latents, each (latent_dim,): (steps, latent_dim).

    Their length goes evenly from one's to the other's (Shoemake 1985; White 2016, Sampling
    Generative Networks): samples of a Gaussian in many dimensions are all about as long, and the
    middle of a line between two is shorter than any of them.
    """
    import torch

    lengths = torch.stack([z0, z1]).norm(dim=1)
    unit0, unit1 = z0 / lengths[0], z1 / lengths[1]
    angle = (unit0 @ unit1).clamp(-1, 1).acos()
    if not lengths.all() or angle.sin() < _LEAST_SINE:
        return line(z0, z1, steps)
    t = torch.linspace(0, 1, steps).to(z0).unsqueeze(1)
    length = torch.lerp(lengths[0], lengths[1], t)
    sines = ((1 - t) * angle).sin() * unit0 + (t * angle).sin() * unit1
    points: Tensor = length * sines / angle.sin()
    return points


def _of_inputs(model: Decoder, options: Options, context: Context) -> _Ends:
    """From each input to the next."""
    import torch

    from zoo_core.tasks.latents import load_latents

    if options.pairs != Options.pairs:
        raise InvalidInput(
            f"{argument('pairs', options.pairs)}: a path goes from each input to the next, and "
            "there are no pairs to count. Leave it out, or leave the inputs out."
        )
    z, batch = load_latents(model, options.inputs, context, "interpolate")
    if len(z) < 2:
        raise InvalidInput(
            f"{argument('inputs', options.inputs[0], '--input')} is one input, and a path has two "
            "ends. Give a second one, several rows such as mnist:test[0:2], or none to interpolate "
            "between samples."
        )
    names = [f"{a} to {b}" for a, b in pairwise(batch.names)]
    return _Ends(torch.stack([z[:-1], z[1:]], 1), names, batch.notes)


def _of_samples(model: Decoder, options: Options, context: Context) -> _Ends:
    """From the first to the second sample of each pair."""
    from zoo_core.tasks.latents import sample_latents

    pairs = options.pairs
    z = sample_latents(model, 2 * pairs, context)
    names = [f"sample {2 * i + 1} to {2 * i + 2}" for i in range(pairs)]
    return _Ends(z.unflatten(0, (pairs, 2)), names)


def _paths(model: Decoder, ends: Tensor, options: Options) -> tuple[Tensor, str]:
    """Latents from end to end, (paths, steps, latent_dim), and their kind.

    ends: (paths, 2, latent_dim).
    """
    import torch

    if options.path == "auto" and isinstance(model, Pathfinder):
        path, kind = model.path, "the model's own path"
    else:
        straight = options.path == "line" or (options.path == "auto" and options.inputs)
        path, kind = (line, "along lines") if straight else (arc, "along arcs")
    with torch.inference_mode():
        return torch.stack([path(z0, z1, options.steps) for z0, z1 in ends]), kind
