"""Draw samples."""

from __future__ import annotations

import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Conditional, Prompted
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from zoo_core.tasks.request import Request

__all__ = ["draw", "reader", "run"]


def run(model: nn.Module, request: Request) -> Result:
    """Draw n samples, or as many of each prompt; pictures of images, rows of tables."""
    if request.prompts:
        return _of_prompts(model, request)
    if request.settings.get("between"):
        raise InvalidInput("between is for samples of two prompts or more: give --prompt twice.")
    x = draw(model, request)
    of = "" if request.label is None else f" of label {request.label}"
    summary = f"{len(x):,} sample{'s' if len(x) > 1 else ''}{of} from {request.name}"
    if x.ndim == 4:
        return Result(summary=summary, images=x, frames=x.split(1), tensors={"samples": x})
    from zoo_core.tasks.inputs import table_rows

    return Result(summary=summary, rows=table_rows(model, x), tensors={"samples": x})


def draw(model: nn.Module, request: Request, **condition: Any) -> Tensor:
    """Draw n samples in batches, (n, *event_shape), on the CPU.

    condition: what else the model's `sample` is given.

    Raises InvalidInput when a label is asked for that the model does not have, or a truncation of
    one that takes none.
    """
    condition = {**_label(model, request), **_truncation(model, request), **condition}
    generator = request.generator(model)
    sample = cast("Callable[..., Tensor]", model.sample)
    with torch.inference_mode():
        parts = [
            sample(size, generator=generator, temperature=request.temperature, **condition).cpu()
            for size in request.sizes()
        ]
    return torch.cat(parts)


def _of_prompts(model: nn.Module, request: Request) -> Result:
    """n samples of each prompt, a row each. The noise is the same in every row.

    Raises InvalidInput when the model does not read, or not one of the prompts.
    """
    with torch.inference_mode():
        codes = reader(model, request).read(request.prompts)
    names, rows = _between(request.prompts, codes, int(request.settings.get("between", 0)))
    x = torch.cat([draw(model, request, prompt=code.unsqueeze(0)) for code in rows])
    summary = f"{len(x):,} samples of {', '.join(map(repr, request.prompts))} from {request.name}"
    return Result(
        summary=summary,
        images=x,
        columns=request.n,
        names=names,
        frames=x.split(request.n),
        tensors={"samples": x},
        texts={"prompts": names},
    )


def reader(model: nn.Module, request: Request) -> Prompted:
    """The model, as one that reads.

    Raises InvalidInput for one that does not.
    """
    if not isinstance(model, Prompted):
        from zoo_core.tasks import available

        raise InvalidInput(
            f"--prompt {request.prompts[0]!r}: {request.name} does not read. Leave --prompt out; "
            f"it can {', '.join(available(model))}."
        )
    return model


def _between(
    prompts: Sequence[str], codes: Tensor, between: int
) -> tuple[list[str], Sequence[Tensor]]:
    """The name and the code of each row: the prompts, and so many steps between each two.

    codes: (len(prompts), code).
    """
    if not between:
        return list(prompts), codes.unbind()
    if len(prompts) < 2 or between < 0:
        raise InvalidInput(
            f"between is {between} for {len(prompts)} prompts; expected 0 or more steps, and two "
            "prompts between which they lie."
        )
    names, rows = [], []
    for (name, start), (_, end) in pairwise(zip(prompts, codes, strict=True)):
        names += [name, *[""] * between]
        rows += [torch.lerp(start, end, i / (between + 1)) for i in range(between + 1)]
    return [*names, prompts[-1]], [*rows, codes[-1]]


def _truncation(model: nn.Module, request: Request) -> dict[str, float]:
    """How far latents may be from 0, as an argument of the model's `sample`; nothing by default."""
    if not (bound := request.settings.get("truncation", 0.0)):
        return {}
    if not bound > 0:
        raise InvalidInput(f"--set truncation={bound:g}: expected a number above 0.")
    if "truncation" not in inspect.signature(cast("Any", model.sample)).parameters:
        raise InvalidInput(
            f"--set truncation={bound:g}: {request.name} cannot draw its latents again. Use "
            "--temperature, which every model that samples has."
        )
    return {"truncation": bound}


def _label(model: nn.Module, request: Request) -> dict[str, int]:
    """The label as an argument of the model's `sample`; nothing where none is asked for."""
    if request.label is None:
        return {}
    classes = model.classes if isinstance(model, Conditional) else 0
    if not classes:
        from zoo_core.tasks import available

        raise InvalidInput(
            f"--label {request.label}: {request.name} was trained without labels, so it cannot "
            f"draw one class alone. Leave --label out; it can {', '.join(available(model))}."
        )
    if not 0 <= request.label < classes:
        raise InvalidInput(
            f"--label {request.label}: {request.name} has the labels 0 to {classes - 1}."
        )
    return {"label": request.label}
