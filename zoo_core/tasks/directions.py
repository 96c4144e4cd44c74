"""Arithmetic of latents: what an attribute adds to them, from labelled rows.

Radford et al. 2015, section 6.3.2, take means of a few samples' latents; with an encoder they are
the means of all rows that have a value, less those of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo_core.data import load_dataset
from zoo_core.data.resolve import size_and_gray
from zoo_core.errors import InvalidInput, UnknownName, did_you_mean
from zoo_core.protocols import Traversal
from zoo_core.tasks.inputs import as_floats
from zoo_core.tasks.latents import as_encoder, encode_inputs
from zoo_core.text import argument

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_core.data import Dataset
    from zoo_core.protocols import Decoder
    from zoo_core.tasks.context import Context

__all__ = ["attribute_walks"]

_ROWS = 2000
"""Training rows whose latents are averaged, at most."""
_STEPS, _REACH = 9, 2.0
"""Steps of a walk, and how many times the difference of means it adds at its end."""


def attribute_walks(model: Decoder, attributes: Sequence[str], context: Context) -> list[Traversal]:
    """A walk towards each value of attributes of the data that the model was trained on.

    Raises InvalidInput for a model without an encoder or data without attributes, and UnknownName
    for an attribute that they do not have.

    The rows are fitted to the model as inputs are.
    """
    if not context.data:
        raise InvalidInput(
            f"{argument('along', attributes[0])}: {context.name} does not say which data it was "
            "trained on, so there are no labels to learn a direction from."
        )
    spec = f"{context.data}:train[0:{_ROWS}]"
    encoder = as_encoder(model, (spec,), context, "traverse")
    shape = tuple(encoder.event_shape)
    size, gray = size_and_gray(shape)
    rows = load_dataset(spec, root=context.data_root, size=size, gray=gray)
    _check(rows, attributes)
    if rows.event_shape != shape:
        raise InvalidInput(
            f"{argument('along', attributes[0])}: the rows of {spec} have shape "
            f"{rows.event_shape}, the model takes {shape}."
        )
    x, notes = as_floats(model, rows)
    context.notes.extend(notes)
    z = encode_inputs(encoder, x, context)
    return [
        _towards(f"{name}: {value}", z, rows.column(name) == place)
        for name in attributes
        for place, value in enumerate(rows.attributes[name])
        if (rows.column(name) == place).any()
    ]


def _check(rows: Dataset, attributes: Sequence[str]) -> None:
    for name in attributes:
        if name not in rows.attributes:
            known = ", ".join(rows.attributes) or "none"
            raise UnknownName(
                f"{argument('along', name)}: no attribute of {rows.name}."
                f"{did_you_mean(name, rows.attributes)} There are: {known}."
            )


def _towards(name: str, z: torch.Tensor, here: torch.Tensor) -> Traversal:
    """From where it starts along the difference of means; z (n, latent_dim), here (n,), bool."""
    direction = (z[here].mean(0) - z[~here].mean(0)).float().cpu()
    steps = torch.linspace(0, _REACH, _STEPS).unsqueeze(1)
    return Traversal(name, tuple(range(len(direction))), (steps * direction).tolist(), added=True)
