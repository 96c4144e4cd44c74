"""A model without weights, on the meta device: known by its config, it takes no memory.

A config of a few bytes, from a stranger's file, may ask for a million layers. So a construction is
stopped when it has done far more than the tensors that the file lists have need of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from zoo_core.config import build
from zoo_core.errors import InvalidInput

if TYPE_CHECKING:
    from torch import nn

__all__ = ["build_blank"]

_CALLS = 30
"""Of torch's functions for each tensor that is listed: our models take up to 10."""
_MORE_CALLS = 5000
"""For models of few tensors that try several things."""
_ELEMENTS = 2**24
"""Of tensors that are made on the CPU all the same, as an order of the variables."""


def build_blank(
    cls: type[nn.Module], config: Mapping[str, object], *, listed: int | None = None
) -> nn.Module:
    """Construct an architecture on the meta device.

    listed: tensors that its weights have; None for a config that is the user's own.

    Raises InvalidInput as `zoo_core.config.build`, and where there would be far more tensors.
    """
    with torch.device("meta"), _Bounds(cls.__name__, listed):
        return build(cls, config)


class _Bounds(TorchFunctionMode):
    """Counts what a construction does, and skips the sampling of initial weights.

    There normal draws import sympy, 1.3 s, and an identity matrix torch's compiler, 3 s.
    """

    def __init__(self, name: str, listed: int | None) -> None:
        super().__init__()
        self.name, self.listed = name, listed
        self.calls = self.elements = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self._count()
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        if function is torch.Tensor.normal_:
            return args[0]
        if function is torch.eye and args:
            function, args = torch.empty, (*args, args[0])[:2]
        if str(kwargs.get("device", "meta")) != "meta":
            self._hold(_count_asked(function, args))  # before it is made
        result = function(*args, **kwargs)
        if isinstance(result, torch.Tensor) and not result.is_meta:
            self._hold(self.elements + result.numel())
            self.elements += result.numel()
        return result

    def _count(self) -> None:
        self.calls += 1
        if self.listed is not None and self.calls > _CALLS * self.listed + _MORE_CALLS:
            raise InvalidInput(
                f"the config asks {self.name} for far more layers than the {self.listed:,} "
                "tensors of the weights are for: they are not of one model"
            )

    def _hold(self, elements: int) -> None:
        if self.listed is not None and elements > _ELEMENTS:
            raise InvalidInput(
                f"the config asks {self.name} for tensors of {elements:,} elements beside its "
                f"weights; at most {_ELEMENTS:,} are made"
            )


def _count_asked(function: Any, args: Sequence[Any]) -> int:
    """The elements that a function of torch is asked to make, by whole numbers."""
    numbers = [arg for arg in args if type(arg) is int]
    if function is torch.arange and numbers:  # the others are given sizes
        found = range(*numbers)
        return (found.stop - found.start) // found.step
    return prod(numbers)
