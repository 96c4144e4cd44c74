"""Draw inputs again, as another domain would have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.tasks.inputs import load_inputs, unread
from zoo_core.tasks.result import Result

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.protocols import Translator
    from zoo_core.tasks.request import Request

__all__ = ["ALL", "run"]

ALL = "all"
"""What `--to` is for every domain that the model has."""


def run(model: nn.Module, request: Request) -> Result:
    """Translate inputs into one domain; or into all, each a column beside the inputs."""
    domains = _domains(cast("Translator", model), request)
    batch = load_inputs(model, request.inputs, request)
    x = batch.x.float().cpu()
    drawn = {to: _translate(model, batch.x, to, request) for to in domains}
    columns = [x, *drawn.values()] if request.to == ALL else list(drawn.values())
    beside = (f"columns: input, {', '.join(domains)}",) if request.to == ALL else ()
    return Result(
        summary=f"{len(x):,} input{'s' if len(x) > 1 else ''} translated to {', '.join(domains)} "
        f"by {request.name}",
        figures=beside,
        notes=batch.notes,
        images=torch.stack(columns, 1).flatten(0, 1),
        columns=len(columns) if request.to == ALL else None,
        frames=[x, *drawn.values()],
        tensors={"inputs": x, **drawn},
        texts={"names": batch.names},
        failed=unread(batch, request),
    )


def _domains(model: Translator, request: Request) -> tuple[str, ...]:
    """The domains that are asked for.

    Raises InvalidInput when none is; one that there is not, the model refuses.
    """
    if not request.to:
        raise InvalidInput(
            f"this task needs a domain: give --to {' or '.join(model.domains)}, or --to {ALL}."
        )
    return tuple(model.domains) if request.to == ALL else (request.to,)


def _translate(model: nn.Module, x: Tensor, to: str, request: Request) -> Tensor:
    """Translations, (B, *event_shape), on the CPU."""
    translator = cast("Translator", model)
    with torch.inference_mode():
        parts = [
            translator.translate(part, to).float().cpu() for part in x.split(request.batch_size)
        ]
    return torch.cat(parts)
