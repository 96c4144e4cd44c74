"""Fill in what is missing from an input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from zoo_core.columns import takes_missing
from zoo_core.errors import InvalidInput
from zoo_core.files import user_path
from zoo_core.options import option
from zoo_core.protocols import AnyCompleter, Completer, PartCompleter
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["Options", "complete", "known_places"]

_UNKNOWN = 0.4
"""Grey level of unknown pixels in pictures."""


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `complete`."""

    keep: str = option(
        "auto",
        "The known part: top, left, or a mask image that is white there; auto is top, or of a "
        "table of mixed columns, or with missing cells, all cells that are there",
        metavar="PART",
    )
    patches: tuple[str, ...] = option(
        (),
        "A known part, in pixels, for a model that takes parts; by default it finds some",
        flags=("--patch",),
        metavar="X,Y,W,H",
    )
    samples: int = option(4, "Completions of each input", minimum=1)
    temperature: float = option(1.0, "Below 1, more probable samples", above=0)


def complete(model: AnyCompleter, options: Options, context: Context) -> Result:
    """Complete each input several times, from what is kept of it or from parts."""
    if isinstance(model, PartCompleter):
        from zoo_core.tasks.parts import from_parts

        return from_parts(model, options, context)
    if options.patches:
        raise InvalidInput(
            f"{argument('patches', options.patches[0], '--patch')}: {context.name} completes from "
            f"a mask, not from parts. Say what is known by {argument('keep')}."
        )
    return _complete_kept(model, options, context)


def _complete_kept(model: Completer, options: Options, context: Context) -> Result:
    import torch

    from zoo_core.tasks.inputs import beside, load_inputs, table_rows

    batch = load_inputs(model, options.inputs, context)
    missing = int(batch.x.isnan().sum())
    if options.keep == "auto" and (missing or takes_missing(model)):
        known = torch.ones(model.event_shape, dtype=torch.bool)
        said = f"{missing:,} missing cells imputed" if missing else _explain_none_missing()
    else:
        known = known_places(options.keep, model.event_shape)
        said = f"{int(known.sum())} of {known.numel()} variables given"
    context.require_memory(model, options.samples * len(batch.x), samples=options.samples)
    completed = _completions(model, batch.x, known.to(batch.x.device), options, context)
    x = batch.x.cpu()
    result = Result(
        summary=f"{options.samples} × {len(x)} completions by {context.name}",
        figures=(said,),
        notes=batch.notes,
        tensors={"inputs": x, "known": known, "completions": completed},
    )
    if len(model.event_shape) != 3:
        rows = [
            beside({"input": name}, row)
            for part in completed
            for name, row in zip(
                batch.names, table_rows(model, part, batch.cells, known.tolist()), strict=True
            )
        ]
        return replace(result, rows=rows)
    given = torch.where(known, x, torch.full_like(x, _UNKNOWN))
    return replace(
        result,
        images=torch.cat([x, given, *completed]),
        columns=len(x),
        names=["input", "given", *(f"completion {i + 1}" for i in range(len(completed)))],
        frames=[given, *completed, x],
    )


def _explain_none_missing() -> str:
    return f"no cell is missing; {argument('keep', 'top')} samples the second half of the columns"


def known_places(keep: str, shape: tuple[int, ...]) -> Tensor:
    """The mask that the option `keep` stands for, event_shape, bool.

    keep: `top` or `auto` (the upper half; of a table the first half), `left`, or the path of a
        picture that is white where the input is given.
    """
    import torch

    known = torch.zeros(shape, dtype=torch.bool)
    if keep in ("auto", "top"):
        rows = known.unbind(-2) if len(shape) == 3 else known.unbind()
        for row in rows[: len(rows) // 2]:
            row.fill_(True)
    elif len(shape) != 3:
        raise InvalidInput(
            f"{argument('keep', keep)}: this model is of tables, expected top (the first half)."
        )
    elif keep == "left":
        known[..., : shape[-1] // 2] = True
    else:
        known |= _mask(user_path(keep), shape[-2:])
    return known


def _mask(path: Path, size: tuple[int, ...]) -> Tensor:
    """A picture's white places, (H, W), bool."""
    if not path.is_file():
        raise InvalidInput(
            f"{argument('keep', path)}: there is no such file. Expected top, left, or a picture "
            "that is white where the input is given."
        )
    from zoo_core.data import load_images

    mask = load_images([str(path)], shape=(1, *size)).data.floats()[0, 0] > 0.5
    if mask.all():
        raise InvalidInput(f"{argument('keep', path)}: all of it is white: nothing is to complete.")
    return mask


def _completions(
    model: Completer, x: Tensor, known: Tensor, options: Options, context: Context
) -> Tensor:
    """Completions, (samples, B, *event_shape), on the CPU."""
    import torch

    def complete_once(again: int) -> Tensor:
        parts = x.split(context.batch_size)
        streams = context.samples(model, len(x), again)
        return torch.cat(
            [
                model.complete(part, known, generator=random, temperature=options.temperature).cpu()
                for (_, random), part in zip(streams, parts, strict=True)
            ]
        )

    with torch.inference_mode():
        return torch.stack([complete_once(again) for again in range(options.samples)])
