"""What the tasks of latent variables share: the way from inputs to latents and back, in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Decoder, Encoder
from zoo_core.tasks.inputs import Batch, load_inputs
from zoo_core.text import argument

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.tasks.context import Context

__all__ = [
    "as_encoder",
    "decode_latents",
    "encode_inputs",
    "latent_columns",
    "load_latents",
    "sample_latents",
    "survey_prior",
]


def load_latents(
    model: Decoder, inputs: Sequence[object], context: Context, task: str
) -> tuple[Tensor, Batch]:
    """The latents of the inputs of a task that can do without, (B, latent_dim), and the inputs.

    Raises InvalidInput when the model cannot encode them.
    """
    encoder = as_encoder(model, inputs, context, task)
    batch = load_inputs(model, inputs, context)
    return encode_inputs(encoder, batch.x, context), batch


def as_encoder(model: Decoder, inputs: Sequence[object], context: Context, task: str) -> Encoder:
    """The model, as one that can encode the inputs of a task that can do without.

    Raises InvalidInput for one that cannot.
    """
    if not isinstance(model, Encoder):
        raise InvalidInput(
            f"{argument('inputs', inputs[0], '--input')}: {context.name} has no encoder, so it "
            f"cannot find the latents of an input. Leave it out: the task {task} works without."
        )
    return model


def encode_inputs(model: Encoder, x: Tensor, context: Context) -> Tensor:
    """The latents of inputs (B, *event_shape), (B, latent_dim): the posterior's means."""
    return _in_batches(model.encode, x, context)


def decode_latents(model: Decoder, z: Tensor, context: Context) -> Tensor:
    """The mean samples of latents (n, latent_dim), (n, *event_shape), in [0, 1], on the CPU."""
    return _in_batches(model.decode, z, context).cpu()


def sample_latents(model: Decoder, n: int, context: Context) -> Tensor:
    """Latents from the prior by the context's seed, (n, latent_dim), each by its own stream."""
    with torch.inference_mode():
        parts = [
            model.latent(size, generator=streams) for size, streams in context.samples(model, n)
        ]
    return torch.cat(parts)


def survey_prior(model: Decoder, n: int, context: Context) -> Tensor:
    """Many latents that say what the prior is like, whatever the seed: (n, latent_dim), floats."""
    with torch.inference_mode():
        return model.latent(n, generator=replace(context, seed=0).generator(model)).float()


def latent_columns(z: Tensor) -> list[dict[str, float]]:
    """Latents (n, latent_dim) as rows of a table: z0, z1, …."""
    return [{f"z{i}": value for i, value in enumerate(row)} for row in z.tolist()]


def _in_batches(function: Callable[[Tensor], Tensor], x: Tensor, context: Context) -> Tensor:
    with torch.inference_mode():
        return torch.cat([function(part) for part in context.batches(x)])
