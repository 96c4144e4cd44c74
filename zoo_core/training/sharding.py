"""Sharded training: each process keeps a share of the weights, their gradients and moments.

torch's `fully_shard` does it, a network at a time: before it computes, its weights are gathered,
and after the backward pass they are let go and each process gets its share of the gradients.
Checkpoints and published weights are whole, so a run may go on without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.distributed as dist
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, debug, distribute_tensor

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from torch.distributed.device_mesh import DeviceMesh

__all__ = [
    "Sharded",
    "Whole",
    "filled",
    "find",
    "forget_meshes",
    "make_strategy",
    "share_like",
    "shares_of",
    "whole",
]


class Sharded(nn.Module):
    """A network whose weights the processes share; calls of it gather them.

    The hooks are on this wrapper alone: the network's own methods may call each other.

    Args:
        network: computes; its weights become shares.
        mesh: of the processes.
    """

    def __init__(self, network: nn.Module, mesh: DeviceMesh) -> None:
        super().__init__()
        for parameter in network.parameters():  # of convolutions in channels_last
            parameter.data = parameter.data.contiguous()
        self.module = network
        # numbers have no rows to share
        self._numbers = [parameter for parameter in network.parameters() if not parameter.ndim]
        # of float64 torch asks for a sum, and divides by itself
        reduce_dtype = None if _averages(mesh) else torch.float64
        policy = MixedPrecisionPolicy(reduce_dtype=reduce_dtype)
        fully_shard(self, mesh=mesh, mp_policy=policy, ignored_params=set(self._numbers))
        self.shares = list(network.parameters())
        """What an optimiser moves, also while the weights are gathered."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the network computes."""
        return self.module(*args, **kwargs)

    def gather(self) -> None:
        """Have all weights, to use the network without its wrapper; every process has to."""
        cast("FSDPModule", self).unshard()

    def let_go(self) -> None:
        """Let gathered weights go, which an update has made old."""
        cast("FSDPModule", self).reshard()

    def average_numbers(self) -> None:
        """Average the gradients of weights that are not shared out."""
        for parameter in self._numbers:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()


class Whole:
    """A network as it computes without its wrapper: its weights are there for a while only.

    Args:
        network: not yet sharded.
    """

    def __init__(self, network: nn.Module) -> None:
        self.source = network
        """Where its weights come from."""
        self.network = deepcopy(network)
        self.drop()

    def fill(self) -> None:
        """Gather the weights; every process has to."""
        state = self.source.state_dict()
        for name, parameter in self.network.named_parameters():
            parameter.data = whole(state[name])
        for name, buffer in self.network.named_buffers():
            if name in state:  # others are constants
                buffer.copy_(state[name])
                dist.broadcast(buffer, 0)  # each process has statistics of its own rows

    def drop(self) -> None:
        """Let the memory of the weights go, and keep their shapes."""
        for parameter in self.network.parameters():
            parameter.data = parameter.data.new_empty(()).expand(parameter.shape)


def make_strategy(processes: int) -> ModelParallelStrategy:
    """Fabric's strategy for it, of as many processes as there are on all machines."""
    return ModelParallelStrategy(
        lambda network, mesh: Sharded(network, mesh["data_parallel"]),
        data_parallel_size=processes,
        tensor_parallel_size=1,
    )


def shares_of(fabric: Fabric) -> int:
    """Over how many processes weights are shared out; 1 where each has all."""
    return fabric.world_size if isinstance(fabric.strategy, ModelParallelStrategy) else 1


def find(network: nn.Module) -> Sharded | None:
    """The Sharded within Fabric's wrapper of a network; None where it is not sharded."""
    return next((each for each in network.modules() if isinstance(each, Sharded)), None)


def _averages(mesh: DeviceMesh) -> bool:
    """Whether processes that ask for a mean get one: gloo of torch 2.7 gives the sum of float32."""
    ones, found = (torch.ones(n, device=mesh.device_type) for n in (mesh.size(), 1))
    dist.reduce_scatter_tensor(found, ones, op=dist.ReduceOp.AVG, group=mesh.get_group())
    return float(found) == 1.0


def forget_meshes() -> None:
    """Forget what DTensor remembers of the meshes of this thread; before their groups are gone.

    A fault of torch's: version 2.7 takes a later mesh of the same ranks for an earlier one, and
    then asks for groups that were destroyed, so that a process could train with shares only once.
    """
    clear = getattr(debug, "_clear_sharding_prop_cache", None)
    if clear is None:
        dispatcher: Any = DTensor._op_dispatcher
        clear = dispatcher.sharding_propagator.propagate_op_sharding.cache.cache_clear
    clear()


@contextmanager
def filled(copies: Mapping[str, Whole]) -> Iterator[None]:
    """Have all weights of networks; every process has to come here."""
    for copy in copies.values():
        copy.fill()
    try:
        yield
    finally:
        for copy in copies.values():
            copy.drop()


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which the processes have shares, whole; every process has to ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def share_like(tensor: Tensor, other: Tensor | None) -> Tensor:
    """This process's share of a tensor, where `other` is shared and has the same shape."""
    if not isinstance(other, DTensor) or tensor.shape != other.shape:
        return tensor
    # every process has read the same tensor: nothing is sent
    place = tensor.to(other.device)
    return distribute_tensor(place, other.device_mesh, other.placements, src_data_rank=None)
