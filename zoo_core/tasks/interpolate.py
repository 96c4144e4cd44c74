"""Go through latent space from one input to the next, from draw to draw, or from text to text."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Pathfinder
from zoo_core.tasks.inputs import table_rows
from zoo_core.tasks.latents import count, decoded, drawn, encoded, given
from zoo_core.tasks.result import Result
from zoo_core.tasks.sample import draw, reader

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.tasks.request import Request

__all__ = ["arc", "line", "run"]

_PATHS = ("auto", "line", "arc")
_LEAST_SINE = 1e-3
"""Of the angle between two latents: below that, no one circle goes through both."""


class _Ends(NamedTuple):
    """Where ways begin and end."""

    z: Tensor
    """(ways, 2, latent_dim)."""
    names: list[str]
    notes: tuple[str, ...] = ()


def run(model: nn.Module, request: Request) -> Result:
    """Decode what lies between the latents of neighbouring inputs, or of pairs of draws.

    Of prompts, draw what lies between neighbouring ones.
    """
    steps = count(request, "steps", 2)
    if request.prompts:
        return _of_prompts(model, request, steps)
    ends = _of_inputs(model, request) if request.inputs else _of_draws(model, request)
    z, kind = _ways(model, ends.z, steps, request)
    x = decoded(model, z.flatten(0, 1), request)
    n = len(z)
    result = Result(
        summary=f"{n} way{'s' if n > 1 else ''} through the latents of {request.name}",
        figures=(f"{steps} steps", kind),
        notes=ends.notes,
        tensors={"z": z.cpu(), "decoded": x.unflatten(0, (n, steps))},
        texts={"names": ends.names},
    )
    if x.ndim != 4:
        at = [{"way": name, "step": step} for name in ends.names for step in range(steps)]
        tables = zip(at, table_rows(model, x), strict=True)
        return replace(result, rows=[{**place, **variables} for place, variables in tables])
    there = x.unflatten(0, (n, steps)).unbind(1)
    return replace(result, images=x, columns=steps, frames=[*there, *there[-2:0:-1]])


def _of_prompts(model: nn.Module, request: Request, steps: int) -> Result:
    """From each prompt to the next along a line of codes; a row for each of some draws of noise.

    Raises InvalidInput for one prompt alone, prompts beside inputs, or a model that does not read.
    """
    if request.inputs:
        raise InvalidInput("a way is between inputs or between prompts: leave one of them out.")
    if len(request.prompts) < 2:
        raise InvalidInput(
            f"--prompt {request.prompts[0]!r} is one text, and a way has two ends. Give --prompt "
            "twice."
        )
    with torch.inference_mode():
        codes = reader(model, request).read(request.prompts)
        ways = torch.stack([line(a, b, steps) for a, b in pairwise(codes)])
    rows = replace(request, n=count(request, "pairs"))
    # the same seed each time, so the same noise: along a row the text alone changes
    drawn = [draw(model, rows, prompt=code.unsqueeze(0)) for code in ways.flatten(0, 1)]
    x = torch.stack(drawn).unflatten(0, (len(ways), steps)).transpose(1, 2).flatten(0, 1)
    names = [f"{a} to {b}" for a, b in pairwise(request.prompts)]
    there = x.unbind(1)
    return Result(
        summary=f"{len(x)} ways between prompts by {request.name}",
        figures=(f"{steps} steps", "along lines of codes"),
        images=x.flatten(0, 1),
        columns=steps,
        names=[name if i == 0 else "" for name in names for i in range(rows.n)],
        frames=[*there, *there[-2:0:-1]],
        tensors={"codes": ways.cpu(), "decoded": x},
        texts={"prompts": names},
    )


def line(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """Points of the straight line between latents, each (latent_dim,): (steps, latent_dim)."""
    return torch.lerp(z0, z1, torch.linspace(0, 1, steps).to(z0).unsqueeze(1))


def arc(z0: Tensor, z1: Tensor, steps: int) -> Tensor:
    """Points of the great circle through latents, each (latent_dim,): (steps, latent_dim).

    Their length goes evenly from one's to the other's (Shoemake 1985; White 2016, Sampling
    Generative Networks): draws of a Gaussian in many dimensions are all about as long, and the
    middle of a line between two is shorter than any of them.
    """
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


def _of_inputs(model: nn.Module, request: Request) -> _Ends:
    """From each input to the next."""
    batch = given(model, request, "interpolate")
    if len(batch.x) < 2:
        raise InvalidInput(
            f"--input {request.inputs[0]} is one input, and a way has two ends. Give a second "
            "--input, several rows such as mnist:test[0:2], or none to go between draws."
        )
    z = encoded(model, batch.x, request)
    names = [f"{a} to {b}" for a, b in pairwise(batch.names)]
    return _Ends(torch.stack([z[:-1], z[1:]], 1), names, batch.notes)


def _of_draws(model: nn.Module, request: Request) -> _Ends:
    """From the first to the second draw of each pair."""
    pairs = count(request, "pairs")
    names = [f"draw {2 * i + 1} to {2 * i + 2}" for i in range(pairs)]
    return _Ends(drawn(model, 2 * pairs, request).unflatten(0, (pairs, 2)), names)


def _ways(model: nn.Module, ends: Tensor, steps: int, request: Request) -> tuple[Tensor, str]:
    """Latents from end to end, (ways, steps, latent_dim), and how they were found.

    ends: (ways, 2, latent_dim).
    """
    path = request.settings["path"]
    if path not in _PATHS:
        raise InvalidInput(f"--set path={path}: expected {', '.join(_PATHS)}.")
    if own := path == "auto" and isinstance(model, Pathfinder):
        way = cast("Pathfinder", model).path
    else:
        path = path if path != "auto" else "line" if request.inputs else "arc"
        way = {"line": line, "arc": arc}[path]
    with torch.inference_mode():
        found = torch.stack([way(z0, z1, steps) for z0, z1 in ends])
    return found, "the model's own path" if own else f"along {path}s"
