"""Complete inputs from parts of them, which are found or given by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import FromParts
from zoo_core.tasks.inputs import load_inputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument, counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo_core.protocols import PartCompleter
    from zoo_core.tasks.complete import Options
    from zoo_core.tasks.context import Context

__all__ = ["boxes_of", "from_parts"]


def from_parts(model: PartCompleter, options: Options, context: Context) -> Result:
    """Generate images around parts of each input; a row has parts, mask, images and the input."""
    if options.keep not in ("auto", "top"):
        raise InvalidInput(
            f"{argument('keep', options.keep)}: {context.name} completes from parts, not from a "
            f"mask. Give {argument('patches', 'x,y,w,h', '--patch')}, or nothing to let it find "
            "some."
        )
    batch = load_inputs(model, options.inputs, context)
    context.require_memory(model, options.samples * len(batch.x), samples=options.samples)
    x, boxes = batch.x.float().cpu(), _boxes(model, batch.x, options, context)
    sampled = _sample_parts(model, batch.x, boxes, options, context)
    parts, mask = sampled[0].parts, sampled[0].mask.expand_as(x)
    completions = torch.stack([one.images for one in sampled])
    columns = [*parts.unbind(1), mask, *completions, x]
    n, many = len(x), f"{len(sampled)} completions" if len(sampled) > 1 else "completion"
    return Result(
        summary=f"{len(sampled)} × {n} completions by {context.name} from "
        f"{counted(parts.shape[1], 'part')} each",
        figures=(f"columns: parts, their mask, {many}, input",),
        notes=batch.notes,
        images=torch.stack(columns, 1).flatten(0, 1),
        columns=len(columns),
        headings=[
            *(f"part {i + 1}" for i in range(parts.shape[1])),
            "mask",
            *(f"completion {i + 1}" for i in range(len(sampled))),
            "input",
        ],
        frames=columns,
        tensors={
            "inputs": x,
            "boxes": boxes.cpu(),
            "parts": parts,
            "mask": sampled[0].mask,
            "completions": completions,
        },
        texts={"names": batch.names},
    )


def boxes_of(patches: Sequence[str]) -> Tensor:
    """The boxes of parts given by hand, (len(patches), 4), int64.

    patches: `x,y,w,h` each, in pixels.
    """
    rows = []
    for patch in patches:
        numbers = patch.split(",")
        if len(numbers) != 4 or not all(number.strip().isdecimal() for number in numbers):
            raise InvalidInput(
                f"{argument('patches', patch, '--patch')}: expected x,y,w,h, four whole numbers of "
                "pixels: left, top, width and height."
            )
        rows.append([int(number) for number in numbers])
    return torch.tensor(rows)


def _boxes(model: PartCompleter, x: Tensor, options: Options, context: Context) -> Tensor:
    """The parts of each input, (B, n, 4): the same of all where they are given by hand."""
    if options.patches:
        return boxes_of(options.patches).to(x.device).expand(len(x), -1, -1)
    return torch.cat([model.find_parts(part) for part in context.batches(x)])


def _sample_parts(
    model: PartCompleter, x: Tensor, boxes: Tensor, options: Options, context: Context
) -> list[FromParts]:
    """What the model generates, on the CPU, as often as requested."""
    split = context.batch_size
    with torch.inference_mode():
        rounds = [
            [
                model.complete_from(part, of, generator=random, temperature=options.temperature)
                for (_, random), part, of in zip(
                    context.samples(model, len(x), again),
                    x.split(split),
                    boxes.split(split),
                    strict=True,
                )
            ]
            for again in range(options.samples)
        ]
    return [_together(parts) for parts in rounds]


def _together(parts: Sequence[FromParts]) -> FromParts:
    """One of all batches, in single precision."""
    return FromParts(*(torch.cat(each).float().cpu() for each in zip(*parts, strict=True)))
