"""Fill in what is missing from an input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import PartCompleter
from zoo_core.tasks.inputs import load_inputs, table_rows, unread
from zoo_core.tasks.parts import from_parts
from zoo_core.tasks.request import device
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.protocols import Completer
    from zoo_core.tasks.request import Request

__all__ = ["known_places", "run"]

_UNKNOWN = 0.4
"""Grey level of what is not given, in pictures."""


def run(model: nn.Module, request: Request) -> Result:
    """Complete each input several times, from what is kept of it or from parts."""
    if isinstance(model, PartCompleter):
        return from_parts(model, request)
    if request.patches:
        raise InvalidInput(
            f"--patch {request.patches[0]}: {request.name} completes from a mask, not from parts. "
            "Say what it is given by --keep."
        )
    return _of_kept(model, request)


def _of_kept(model: nn.Module, request: Request) -> Result:
    shape = cast("tuple[int, ...]", model.event_shape)
    known = known_places(request.keep, shape)
    batch = load_inputs(model, request.inputs, request)
    drawn = _complete(model, batch.x, known.to(device(model)), request)
    x = batch.x.cpu()
    figures = (f"{int(known.sum())} of {known.numel()} variables given",)
    summary = f"{request.samples} × {len(x)} completions by {request.name}"
    tensors = {"inputs": x, "known": known, "completions": drawn}
    if len(shape) != 3:
        return Result(
            summary=summary,
            figures=figures,
            notes=batch.notes,
            rows=[
                {"input": name, **row}
                for part in drawn
                for name, row in zip(batch.names, table_rows(model, part), strict=True)
            ],
            tensors=tensors,
        )
    given = torch.where(known, x, torch.full_like(x, _UNKNOWN))
    return Result(
        summary=summary,
        figures=figures,
        notes=batch.notes,
        images=torch.cat([x, given, *drawn]),
        columns=len(x),
        frames=[given, *drawn, x],
        tensors=tensors,
        failed=unread(batch, request),
    )


def known_places(keep: str, shape: tuple[int, ...]) -> Tensor:
    """The mask that `--keep` stands for, event_shape, bool.

    keep: `top` (the upper half; of a table the first half), `left`, or the path of a picture that
        is white where the input is given.
    """
    known = torch.zeros(shape, dtype=torch.bool)
    if keep == "top":
        rows = known.unbind(-2) if len(shape) == 3 else known.unbind()
        for row in rows[: len(rows) // 2]:
            row.fill_(True)
    elif len(shape) != 3:
        raise InvalidInput(
            f"--keep {keep}: this model is of tables, expected top (the first half)."
        )
    elif keep == "left":
        known[..., : shape[-1] // 2] = True
    else:
        known |= _mask(Path(keep).expanduser(), shape[-2:])
    return known


def _mask(path: Path, size: tuple[int, ...]) -> Tensor:
    """A picture's white places, (H, W), bool."""
    if not path.is_file():
        raise InvalidInput(
            f"--keep {path}: there is no such file. Expected top, left, or a picture that is white "
            "where the input is given."
        )
    from zoo_core.data import load_images

    mask = load_images([str(path)], shape=(1, *size)).data.x[0, 0] > 127
    if mask.all():
        raise InvalidInput(f"--keep {path}: all of it is white, so there is nothing to complete.")
    return mask


def _complete(model: nn.Module, x: Tensor, known: Tensor, request: Request) -> Tensor:
    """Completions, (samples, B, *event_shape), on the CPU."""
    generator, completer = request.generator(model), cast("Completer", model)
    with torch.inference_mode():
        rounds = [
            [
                completer.complete(
                    part, known, generator=generator, temperature=request.temperature
                ).cpu()
                for part in x.split(request.batch_size)
            ]
            for _ in range(request.samples)
        ]
    return torch.stack([torch.cat(parts) for parts in rounds])
