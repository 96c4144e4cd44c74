"""A weights file: what it says of itself, and its tensors, put into a model.

Its safetensors metadata name the family, the architecture and the config, so that
`load("model.safetensors")` needs no registry.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput, InvalidWeights, naming
from zoo_core.files import atomic, save_tensors
from zoo_core.header import Header, read_header
from zoo_core.loading.names import Named, drop_shared, match, name_tensors, unwrap
from zoo_core.rules import is_line
from zoo_core.text import printable

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "AGAIN",
    "NEEDED",
    "WEIGHTS",
    "describe",
    "fill",
    "floating_type",
    "has_nan",
    "is_json",
    "unsound",
    "write",
]

WEIGHTS = "model.safetensors"
"""Name of the weights in a run folder."""

AGAIN = "Take the file again from where it came, or train it again."
"""What to do where weights cannot be used."""

_KEY = "zoo"
"""The one key of the safetensors metadata. The library writes several in no fixed order, and equal
weights would have different digests."""

NEEDED = {"family": str, "requires": str, "architecture": str, "config": dict}
"""What a weights file must say of itself."""

_LARGE = 2**28
"""Bytes of a file from which a GPU is given it through pinned buffers."""

_SAID = {
    "name": str,
    "classes": list,
    "columns": list,
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
    except (ValueError, RecursionError) as error:
        raise InvalidWeights(
            f"{printable(path)}: its metadata is not JSON: {printable(error)}."
        ) from None
    if not isinstance(metadata, dict):
        metadata = {}
    if wrong := unsound(metadata):
        raise InvalidWeights(
            f"{printable(path)} does not say what it is: its metadata has no sound "
            f"{', '.join(wrong)}. Weights that `zoo train` writes have them."
        )
    return metadata


def unsound(metadata: Mapping[str, Any]) -> list[str]:
    """What of a file's metadata `load` and `Info` could not read, by its keys."""
    wrong = [key for key, kind in NEEDED.items() if not isinstance(metadata.get(key), kind)]
    wrong += [key for key, kind in _SAID.items() if not isinstance(metadata.get(key, kind()), kind)]
    # what is shown, and names files, is one line, and no path
    texts = {key: metadata[key] for key in ("name", *NEEDED) if key in metadata}
    wrong += [key for key, text in texts.items() if isinstance(text, str) and not is_line(text)]
    licence, name = metadata.get("licence"), metadata.get("name")
    if isinstance(licence, dict) and not all(map(is_line, licence.values())):
        wrong.append("licence")
    classes = metadata.get("classes", [])
    if isinstance(classes, list) and not all(isinstance(each, str) for each in classes):
        wrong.append("classes")
    if isinstance(name, str) and (name in (".", "..") or set(name) & set("/\\")):
        wrong.append("name")
    return wrong


def is_json(value: object) -> bool:
    """Whether a file's metadata can hold a value."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def fill(
    model: nn.Module,
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Give a model, which may be on the meta device, the weights of a file.

    Raises InvalidWeights that names the tensors which are missing, unexpected or of another shape.
    """
    from torch import nn

    model = unwrap(model)
    own = name_tensors(model)
    state: dict[str, torch.Tensor] = {}
    changed = getattr(model, "changed", {})
    for name, tensor in _tensors(path, own, changed, device, dtype).items():
        each = own[name]
        if len(each.names) > 1 and isinstance(each.tensor, nn.Parameter):
            tensor = nn.Parameter(tensor, each.tensor.requires_grad)  # one object, hence still tied
        state |= dict.fromkeys(each.names, tensor)
    with naming(path, InvalidWeights, AGAIN):
        model.load_state_dict(state, assign=True)


def write(
    model: nn.Module, path: Path, metadata: Mapping[str, object], dtype: str | torch.dtype | None
) -> None:
    """Write a model's tensors with the metadata that describe them; the file appears whole or not.

    dtype: floating type in the file; None keeps the model's.
    """
    kind = floating_type(dtype)
    state = {
        name: tensor.to(kind if tensor.is_floating_point() else None)
        for name, (tensor, _) in name_tensors(unwrap(model)).items()
    }
    with atomic(path) as partial:
        said = {_KEY: json.dumps(dict(metadata), sort_keys=True)}
        save_tensors(drop_shared(state), partial, said)


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
    own: Mapping[str, Named],
    changed: Mapping[str, str],
    device: torch.device | str,
    dtype: torch.dtype | None,
) -> dict[str, torch.Tensor]:
    """Read the tensors that a model has, strictly, each straight onto the device.

    changed: what to say of tensors that had another shape in former versions of the model.
    """
    import torch
    from safetensors import SafetensorError

    header = read_header(path)
    given = match(header.tensors, own)
    misfits = _misfits(header, given, own, changed)
    state: dict[str, torch.Tensor] = {}
    if not misfits:
        try:
            state = _read(path, header, given, torch.device(device))
        except (OSError, SafetensorError) as error:
            raise InvalidWeights(f"{path} is not sound safetensors: {error}.") from None
        misfits = _find_mistyped(state, own)
        misfits += [f"{name} holds NaN" for name, tensor in state.items() if has_nan(tensor)]
    if misfits:
        more = f", and {len(misfits) - 5} more" if len(misfits) > 5 else ""
        raise InvalidWeights(
            f"{path} does not fit its architecture: {'; '.join(sorted(misfits)[:5])}{more}. It is "
            "damaged, or of another version of the family: take it again from where it came, or "
            "train it again."
        )
    if wrapped := next((key for name, key in given.items() if name != key), None):
        sys.stderr.write(f"{path} names the tensors of a wrapped module, as {wrapped}: it fits\n")
    return {
        name: tensor.to(dtype or own[name].tensor.dtype) if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def _read(
    path: Path, header: Header, given: Mapping[str, str], device: torch.device
) -> dict[str, torch.Tensor]:
    """Read tensors of a file onto a device, in the file's types, with no copy on the host."""
    if device.type == "cuda" and header.bytes >= _LARGE:
        from zoo_core.loading import pinned

        wanted = {name: header.tensors[key] for name, key in given.items()}
        return pinned.read_tensors(path, wanted, pinned.Cuda(device))
    from safetensors import safe_open

    with safe_open(path, framework="pt", device=str(device)) as file:
        # safetensors 0.8 has one call for all, which Apple's GPUs are given in parallel
        if hasattr(file, "get_tensors") and len(header.tensors) == len(given):
            every = file.get_tensors()
            return {name: every[key] for name, key in given.items()}
        return {name: file.get_tensor(key) for name, key in given.items()}


def _misfits(
    header: Header, given: Mapping[str, str], own: Mapping[str, Named], changed: Mapping[str, str]
) -> list[str]:
    """What keeps the tensors of a file from being those of a model, by names and shapes."""
    found = [f"{name} is missing" for name in own if name not in given]
    for name, key in given.items():
        shape = tuple(header.tensors[key].shape)
        if name not in own:
            found.append(f"{key} is not expected")
        elif shape != (wanted := tuple(own[name].tensor.shape)):
            why = f" ({changed[name]})" if name in changed else ""
            found.append(f"{key} has shape {shape} instead of {wanted}{why}")
    return found


def _find_mistyped(state: Mapping[str, torch.Tensor], own: Mapping[str, Named]) -> list[str]:
    """Tensors of another type than the model's; floating ones may have any floating type."""
    return [
        f"{name} has type {tensor.dtype} instead of {wanted}"
        for name, tensor in state.items()
        if tensor.dtype != (wanted := own[name].tensor.dtype)
        and not (tensor.is_floating_point() and wanted.is_floating_point)
    ]


def has_nan(tensor: torch.Tensor) -> bool:
    """Whether one of a tensor's values is no number."""
    if not tensor.is_floating_point():
        return False
    values = tensor.float() if tensor.dtype.itemsize == 1 else tensor  # 8 bits have no sum
    # a sum is a fifth of the work, and only that of infinities is NaN without one
    return bool(values.sum().isnan() and values.isnan().any())
