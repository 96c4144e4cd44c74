"""Translate inputs into another domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo_core.errors import InvalidInput
from zoo_core.options import option
from zoo_core.protocols import Translator
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import argument, counted

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = ["ALL", "Options", "translate"]

ALL = "all"
"""The domain that stands for all that the model has."""


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `translate`."""

    to: str = option(
        "", f"Domain to translate to, as red of stargan.faces-hair, or {ALL}", metavar="DOMAIN"
    )


def translate(model: Translator, options: Options, context: Context) -> Result:
    """Translate inputs into one domain, several beside their inputs; or into all, a column each."""
    import torch

    from zoo_core.tasks.inputs import load_inputs

    domains, every = _domains(model, options.to), options.to == ALL
    batch = load_inputs(model, options.inputs, context)
    x = batch.x.float().cpu()
    translations = {to: _translate(model, batch.x, to, context) for to in domains}
    beside = every or len(x) > 1
    columns = [x, *translations.values()] if beside else list(translations.values())
    return Result(
        summary=f"{counted(len(x), 'input')} translated to {', '.join(domains)} by {context.name}",
        figures=(f"columns: input, {', '.join(domains)}",) if beside else (),
        notes=batch.notes,
        images=torch.stack(columns, 1).flatten(0, 1),
        columns=len(columns) if beside else None,
        headings=["input", *domains] if beside else (),
        frames=[x, *translations.values()],
        tensors={"inputs": x, **translations},
        texts={"names": batch.names},
    )


def _domains(model: Translator, to: str) -> tuple[str, ...]:
    """The requested domains.

    Raises InvalidInput when none is; the model refuses an unknown one.
    """
    if not to:
        raise InvalidInput(
            f"this task needs a domain: give {argument('to')} {' or '.join(model.domains)}, or "
            f"{ALL}."
        )
    return tuple(model.domains) if to == ALL else (to,)


def _translate(model: Translator, x: Tensor, to: str, context: Context) -> Tensor:
    """Translations, (B, *event_shape), on the CPU."""
    import torch

    with torch.inference_mode():
        return torch.cat([model.translate(x, to).float().cpu() for x in context.batches(x)])
