"""Checkpoints as safetensors: networks, moving averages and optimisers, and where training stood.

Nothing else has to be kept: every random stream of the loop is derived from the recipe's seed and a
step's number, and schedules are functions of the step.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from zoo_core import files
from zoo_core.errors import InvalidInput

__all__ = ["Progress", "read", "write"]


_ANEW = "Resume with the version that made it, or start a new run in another folder (-o)."


@dataclass
class Progress:
    """Where a run stands, and the best validation value so far."""

    step: int = 0
    epoch: int = 0
    best: float = float("inf")
    best_step: int = 0
    recipe: str = ""
    """Digest of the recipe: a run is not resumed with other settings."""
    data: dict[str, str] = field(default_factory=dict)
    """Digest of each split: nor with other data."""


def write(
    path: Path,
    progress: Progress,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, Optimizer],
) -> None:
    """Write a checkpoint; the file appears whole or not at all."""
    tensors = {
        f"modules/{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        tensors.update(_flatten(name, optimizer))
    with files.atomic(path) as partial:
        save_file(
            {key: value.detach().contiguous() for key, value in tensors.items()},
            partial,
            {"progress": json.dumps(asdict(progress))},
        )


def read(
    path: Path,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, Optimizer],
    *,
    recipe: str,
    data: Mapping[str, str],
) -> Progress:
    """Put a checkpoint's state into modules and optimisers, and return where training stood.

    Tensors of modules that are no longer there are ignored: trainers had counters of their steps.

    Raises InvalidInput when the checkpoint was made with another recipe or other data, does not fit
    the modules, or is no checkpoint.
    """
    try:
        progress, tensors = _contents(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a checkpoint: {error!r}. {_ANEW}") from None
    if progress.recipe != recipe:
        raise InvalidInput(
            f"{path} was made with other settings than these. Resume with the recipe in its "
            "run folder, or start a new run in another folder (-o)."
        )
    for split, digest in progress.data.items():
        if data[split] != digest:
            raise InvalidInput(
                f"{path} was made with {split} data of the sha256 {digest}, and now it has "
                f"{data[split]}. Resume with the data as they were, or start a new run in another "
                "folder (-o)."
            )
    progress.data = dict(data)  # of checkpoints from before they held it, too
    try:
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, f"modules/{name}/"))
        for name, optimizer in optimizers.items():
            _restore(optimizer, _below(tensors, f"optimizers/{name}/"))
    except (RuntimeError, ValueError) as error:  # what torch raises for missing or other tensors
        raise InvalidInput(
            f"{path} was made by another version of this architecture or its trainer: "
            f"{' '.join(str(error).split())} {_ANEW}"
        ) from None
    return progress


def _contents(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        progress = Progress(**json.loads(file.metadata()["progress"]))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    return progress, tensors


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}


def _flatten(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """The state of each parameter; hyper-parameters come from the recipe and the schedule."""
    return {
        f"optimizers/{name}/{index}/{key}": torch.as_tensor(value)
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }


def _restore(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, field = key.split("/", 1)
        state.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
