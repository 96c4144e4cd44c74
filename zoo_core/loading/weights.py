"""A weights file: what it says of itself, and its tensors, put into a model.

Its safetensors metadata name the family, the architecture and the config, so that
`load("model.safetensors")` needs no registry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput, InvalidWeights
from zoo_core.files import atomic
from zoo_core.header import read_header

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["NEEDED", "WEIGHTS", "describe", "fill", "floating_type", "write"]

WEIGHTS = "model.safetensors"
"""Name of the weights in a run folder."""

_KEY = "zoo"
"""The one key of the safetensors metadata. The library writes several in no fixed order, and equal
weights would have different digests."""

NEEDED = {"family": str, "requires": str, "architecture": str, "config": dict}
"""What a weights file must say of itself."""

_SAID = {
    "name": str,
    "data": str,
    "data_sha256": str,
    "licence": dict,
    "metrics": dict,
    "recipe_sha256": str,
    "versions": dict,
}
"""What a weights file may say of itself, too."""


def describe(path: Path) -> dict[str, Any]:
    """What a weights file says of itself, checked as far as `load` and `Info` read it."""
    try:
        metadata = json.loads(read_header(path).metadata.get(_KEY, "{}"))
    except json.JSONDecodeError as error:
        raise InvalidWeights(f"{path}: its metadata is not JSON: {error}.") from None
    if not isinstance(metadata, dict):
        metadata = {}
    wrong = [key for key, kind in NEEDED.items() if not isinstance(metadata.get(key), kind)]
    wrong += [key for key, kind in _SAID.items() if not isinstance(metadata.get(key, kind()), kind)]
    if wrong:
        raise InvalidWeights(
            f"{path} does not say what it is: its metadata has no sound {', '.join(wrong)}. "
            "Weights that `zoo train` writes have them."
        )
    return metadata


def fill(
    model: nn.Module,
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Give a model, which may be on the meta device, the weights of a file.

    Raises InvalidWeights that names the tensors which are missing, unexpected or of another shape.
    """
    model.load_state_dict(_tensors(path, model.state_dict(), device, dtype), assign=True)


def write(
    model: nn.Module, path: Path, metadata: Mapping[str, Any], dtype: str | torch.dtype | None
) -> None:
    """Write a model's tensors with the metadata that describe them; the file appears whole or not.

    dtype: floating type in the file; None keeps the model's.
    """
    from safetensors.torch import save_file

    kind = floating_type(dtype)
    state = {
        name: tensor.detach().to(kind if tensor.is_floating_point() else None).contiguous()
        for name, tensor in model.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial, {_KEY: json.dumps(dict(metadata), sort_keys=True)})
        partial.chmod(0o644)  # the library gives it to its owner alone


def floating_type(name: str | torch.dtype | None) -> torch.dtype | None:
    """A floating type by its name; None stays None.

    Raises InvalidInput for another name, or a type that is not floating.
    """
    import torch

    kind = getattr(torch, name, None) if isinstance(name, str) else name
    if name is not None and not (isinstance(kind, torch.dtype) and kind.is_floating_point):
        raise InvalidInput(
            f"dtype {name!r} is unknown: expected float32, bfloat16, float16 or float64."
        )
    return kind


def _tensors(
    path: Path,
    expected: Mapping[str, torch.Tensor],
    device: torch.device | str,
    dtype: torch.dtype | None,
) -> dict[str, torch.Tensor]:
    """Read the tensors that a model expects, strictly, each straight onto the device."""
    from safetensors import SafetensorError, safe_open

    header = read_header(path)
    offenders = [f"{key} is missing" for key in expected if key not in header.tensors]
    offenders += [f"{key} is not expected" for key in header.tensors if key not in expected]
    for key in expected.keys() & header.tensors.keys():
        if tuple(header.tensors[key].shape) != tuple(expected[key].shape):
            offenders.append(
                f"{key} has shape {tuple(header.tensors[key].shape)} "
                f"instead of {tuple(expected[key].shape)}"
            )
    state = {}
    if not offenders:
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                state = {key: file.get_tensor(key) for key in expected}
        except SafetensorError as error:
            raise InvalidWeights(f"{path} is not sound safetensors: {error}.") from None
        offenders = [
            f"{key} has type {tensor.dtype} instead of {expected[key].dtype}"
            for key, tensor in state.items()
            if tensor.is_floating_point() != expected[key].is_floating_point()
            or (not tensor.is_floating_point() and tensor.dtype != expected[key].dtype)
        ]
    if offenders:
        more = f", and {len(offenders) - 5} more" if len(offenders) > 5 else ""
        raise InvalidWeights(
            f"{path} does not fit its architecture: {'; '.join(sorted(offenders)[:5])}{more}."
        )
    return {
        key: tensor.to(dtype or expected[key].dtype) if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
    }
