"""Encode inputs as latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo_core.protocols import Encoder
from zoo_core.tasks.groups import Inputs
from zoo_core.tasks.result import Result
from zoo_core.text import counted

if TYPE_CHECKING:
    from zoo_core.tasks.context import Context
    from zoo_core.tasks.inputs import Batch

__all__ = ["Options", "encode"]


@dataclass(frozen=True, kw_only=True)
class Options(Inputs):
    """Of the task `encode`."""


def encode(model: Encoder, options: Options, context: Context) -> Result:
    """Encode each input: the mean of its posterior, where there is one."""
    from zoo_core.tasks.inputs import load_inputs
    from zoo_core.tasks.latents import encode_inputs, latent_columns

    batch = load_inputs(model, options.inputs, context)
    z = encode_inputs(model, batch.x, context).cpu()
    labels = {"label": _label_names(batch)} if batch.labels is not None else {}
    rows: list[dict[str, Any]] = [
        {"input": name, **{key: names[i] for key, names in labels.items()}, **latents}
        for i, (name, latents) in enumerate(zip(batch.names, latent_columns(z), strict=True))
    ]
    return Result(
        summary=f"{counted(len(z), 'input')} encoded by {context.name}",
        figures=(f"{z.shape[1]} latents each",),
        notes=batch.notes,
        rows=rows,
        tensors={"z": z} | ({} if batch.labels is None else {"labels": batch.labels}),
        texts={"names": batch.names} | ({"classes": batch.classes} if batch.classes else {}),
    )


def _label_names(batch: Batch) -> list[str]:
    """The name of each input's class, or its number where classes have no names.

    It is empty where the label is missing, −1.
    """
    assert batch.labels is not None
    labels = batch.labels.tolist()
    return ["" if k < 0 else batch.classes[k] if batch.classes else str(k) for k in labels]
