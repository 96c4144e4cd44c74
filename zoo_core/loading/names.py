"""The names of a model's tensors: its own, whatever wraps it, and each tensor once.

`torch.compile` puts `_orig_mod.` into the names of what it compiles, DataParallel and
DistributedDataParallel put `module.` before them. Tied weights are one tensor of two names.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Named", "drop_shared", "match", "name_tensors", "unwrap"]

_COMPILED, _PARALLEL = "_orig_mod.", "module."


class Named(NamedTuple):
    """A tensor of a model."""

    tensor: Tensor
    names: list[str]
    """All that it has in the model's state dict."""


def unwrap(model: nn.Module) -> nn.Module:
    """The module inside the wrappers of `torch.compile`, DataParallel and the like."""
    from torch.nn.parallel import DataParallel, DistributedDataParallel

    while True:
        if "_orig_mod" in getattr(model, "_modules", ()):
            model = model.get_submodule("_orig_mod")
        elif isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
        else:
            return model


def name_tensors(model: nn.Module) -> dict[str, Named]:
    """The tensors of a model, each once, by the first of its names without those of wrappers."""
    found: dict[int, Named] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        found.setdefault(id(tensor), Named(tensor, [])).names.append(name)
    return {each.names[0].replace(_COMPILED, ""): each for each in found.values()}


def match(given: Collection[str], own: Mapping[str, Named]) -> dict[str, str]:
    """The names of a model's tensors, each with the name that it has in a file.

    Names of the file that the model does not have stand for themselves.

    own: the tensors of the model, whose names may begin like a prefix.
    """
    first = {name.replace(_COMPILED, ""): key for key in own for name in own[key].names}
    found = {name.replace(_COMPILED, ""): name for name in given}
    while found and not (found.keys() & first.keys()) and all(map(_is_parallel, found)):
        found = {name.removeprefix(_PARALLEL): key for name, key in found.items()}
    if len(found) < len(given):  # two names become one: they are no prefixes
        found = {name: name for name in given}
    return {first.get(name, key): key for name, key in found.items()}


def _is_parallel(name: str) -> bool:
    return name.startswith(_PARALLEL)


def drop_shared(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors, of which no two share memory: safetensors files hold each alone."""
    seen, alone = set[int](), {}
    for name, tensor in state.items():
        tensor = tensor.detach().contiguous()
        place = tensor.untyped_storage().data_ptr()
        alone[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return alone
