"""What the tasks of latent variables share: the way from inputs to latents and back, in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch

from zoo_core.errors import InvalidInput
from zoo_core.protocols import Encoder
from zoo_core.tasks.inputs import Batch, load_inputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from zoo_core.protocols import Decoder
    from zoo_core.tasks.request import Request

__all__ = [
    "check_encodes",
    "count",
    "decoded",
    "drawn",
    "encoded",
    "given",
    "latent_columns",
    "latent_dim",
]


def latent_dim(model: nn.Module) -> int:
    """Number of a model's latent variables."""
    return cast("int", model.latent_dim)


def count(request: Request, key: str, least: int = 1) -> int:
    """A setting of the task that counts something.

    Raises InvalidInput when it is below the least.
    """
    n: int = request.settings[key]
    if n < least:
        raise InvalidInput(f"--set {key}={n}: expected {least} or more.")
    return n


def given(model: nn.Module, request: Request, task: str) -> Batch:
    """The inputs of a task that can do without.

    Raises InvalidInput when the model cannot encode them.
    """
    check_encodes(model, request, task)
    return load_inputs(model, request.inputs, request)


def check_encodes(model: nn.Module, request: Request, task: str) -> None:
    """Refuse the inputs of a task that can do without where a model cannot encode them."""
    if not isinstance(model, Encoder):
        raise InvalidInput(
            f"--input {request.inputs[0]}: {request.name} has no encoder, so it cannot find the "
            f"latents of an input. Leave --input out: --task {task} works without."
        )


def encoded(model: nn.Module, x: Tensor, request: Request) -> Tensor:
    """The latents of inputs (B, *event_shape), (B, latent_dim): the posterior's means."""
    return _batched(cast("Encoder", model).encode, x, request)


def decoded(model: nn.Module, z: Tensor, request: Request) -> Tensor:
    """The mean samples of latents (n, latent_dim), (n, *event_shape), in [0, 1], on the CPU."""
    return _batched(cast("Decoder", model).decode, z, request).cpu()


def drawn(model: nn.Module, n: int, request: Request) -> Tensor:
    """Latents from the prior by the request's seed, (n, latent_dim)."""
    with torch.inference_mode():
        return cast("Decoder", model).latent(n, generator=request.generator(model))


def latent_columns(z: Tensor) -> list[dict[str, float]]:
    """Latents (n, latent_dim) as rows of a table: z0, z1, …."""
    return [{f"z{i}": value for i, value in enumerate(row)} for row in z.tolist()]


def _batched(function: Callable[[Tensor], Tensor], x: Tensor, request: Request) -> Tensor:
    with torch.inference_mode():
        return torch.cat([function(part) for part in x.split(request.batch_size)])
