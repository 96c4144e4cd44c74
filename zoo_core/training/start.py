"""Training that begins from weights instead of random ones: those of an entry, a run or a file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file

from zoo_core import loading
from zoo_core.errors import InvalidInput
from zoo_core.loading.names import match, name_tensors
from zoo_core.training.callbacks import Callback
from zoo_core.training.defaults import OF_DATA
from zoo_core.training.sharding import share_like

if TYPE_CHECKING:
    from torch import Tensor

    from zoo_core.training.loop import Loop
    from zoo_core.training.recipe import Recipe

__all__ = ["Start", "defaults"]

_NAMED = 5


def defaults(table: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's fields, with what is not said taken from the weights that it starts from.

    These are architecture and config, without what the data decide.
    """
    source = loading.open_source(table["start"])
    if table.get("architecture", source.architecture) != source.architecture:
        return dict(table)
    own = {key: value for key, value in source.config.items() if key not in OF_DATA}
    said = {"architecture": source.architecture, "family": source.family, **table}
    return said | {"config": own | table.get("config", {})}


class Start(Callback):
    """Gives the published network the weights that a recipe starts from, where they fit.

    Args:
        recipe: says what they are, and their digest.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.name, self.sha256 = recipe.start, recipe.start_sha256

    def prepare(self, loop: Loop) -> None:
        """Copy the tensors whose names and shapes agree, and name the others, which begin anew.

        Raises InvalidInput when none agrees, or when the weights are others than the recipe says.
        """
        if loop.resumed:
            return
        source = loading.open_source(self.name)
        if source.sha256 != self.sha256:
            raise InvalidInput(
                f"the recipe starts from {self.name} with the sha256 {self.sha256}, but these "
                f"weights have {source.sha256}. Leave start_sha256 out to start from these."
            )
        state, tensors = load_file(source.path), name_tensors(loop.networks["model"])
        given = {name: state[key] for name, key in match(state, tensors).items()}
        own = {name: each.tensor for name, each in tensors.items()}
        fitting = [key for key in own if key in given and given[key].shape == own[key].shape]
        if not fitting:
            raise InvalidInput(
                f"no tensor of {self.name} has the name and the shape of one of "
                f"{loop.recipe.architecture}: there is nothing to start from."
            )
        with torch.no_grad():
            for key in fitting:
                own[key].copy_(share_like(given[key], own[key]))
        if loop.fabric.is_global_zero:
            sys.stderr.write(self._describe(given, own, fitting))

    def _describe(
        self, given: Mapping[str, Tensor], own: Mapping[str, Tensor], fitting: list[str]
    ) -> str:
        anew = [f"{key} {_shapes(key, given, own)}" for key in own if key not in fitting]
        anew += [f"{key} (left out)" for key in given if key not in own]
        line = f"begins from {self.name}: {len(fitting)} of {len(own)} tensors"
        more = f" and {len(anew) - _NAMED} more" if len(anew) > _NAMED else ""
        return line + (f"; begun anew: {', '.join(anew[:_NAMED])}{more}\n" if anew else "\n")


def _shapes(key: str, given: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    there = f"was {tuple(given[key].shape)}" if key in given else "not there"
    return f"{tuple(own[key].shape)} ({there})"
