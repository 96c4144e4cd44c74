"""Checkpoints as safetensors: networks, moving averages and optimisers, and where training stood.

Nothing else has to be kept: every random stream of the loop is derived from the recipe's seed and a
step's number, schedules are functions of the step, and what an optimiser counts or draws from is
part of its state.

The one before the last is kept, too: a damaged file costs the steps between them, not the run.
"""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.optim import Optimizer

from zoo_core import files
from zoo_core.errors import InvalidInput, InvalidWeights
from zoo_core.header import read_header
from zoo_core.loading.names import drop_shared
from zoo_core.rules import is_int, is_number
from zoo_core.text import printable
from zoo_core.training.sharding import share_like, whole

__all__ = ["Damaged", "Progress", "collect", "previous", "read", "write"]


_NO_CHECKPOINT = (LookupError, TypeError, ValueError, RecursionError)
"""What is raised by contents that are none of ours."""
_ANEW = "Resume with the version that made it, or start a new run in another folder."


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
    processes: int = 0
    """How many there were; 0 in checkpoints from before this was kept."""
    scaler: dict[str, float] = field(default_factory=dict)
    """State of what scales gradients, with the precision `16-mixed`."""


class Damaged(InvalidInput):
    """A checkpoint that is not what was written.

    Args:
        found: what was found, without advice: a run that has an earlier checkpoint needs none.
    """

    def __init__(self, found: str) -> None:
        super().__init__(f"{found} {_ANEW}")
        self.found = found


def previous(path: Path) -> Path:
    """Where the checkpoint before the last is, or would be."""
    return path.with_name("previous.safetensors")


def collect(
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, Optimizer],
    *,
    held: bool = True,
) -> dict[str, Tensor]:
    """The tensors of a checkpoint; of sharded networks every process has to collect them.

    held: whether this process holds on to them.
    """
    tensors = {
        f"modules/{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for name, optimizer in optimizers.items():
        tensors.update(_flatten(name, optimizer))
    found = {}
    for key, value in tensors.items():
        tensor = whole(value)
        if held:
            found[key] = tensor if tensor is value else tensor.cpu()
    return drop_shared(found)  # tied weights are a tensor for each of their names


def write(path: Path, progress: Progress, tensors: Mapping[str, Tensor]) -> None:
    """Write a checkpoint; the file appears whole or not at all, and the one before it is kept.

    tensors: as `collect` gives them.
    """
    # one key of metadata: the library writes several in no fixed order
    stood = asdict(progress)
    said = {**stood, "checksum": _checksum(stood, tensors)}
    with files.atomic(path) as partial:
        files.save_tensors(tensors, partial, {"progress": json.dumps(said)})
        if path.is_file():
            path.replace(previous(path))


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

    Raises InvalidInput when the checkpoint was made with another recipe or other data, or does not
    fit the modules, and Damaged when it is not what was written.
    """
    try:
        progress, tensors = _contents(path)
    except (InvalidWeights, SafetensorError, *_NO_CHECKPOINT) as error:
        said = isinstance(error, (InvalidWeights, SafetensorError, ValueError))
        why = printable(error) if said else "it holds something else"
        raise Damaged(f"{printable(path)} is not a checkpoint: {why.rstrip('.')}.") from None
    if progress.recipe != recipe:
        raise InvalidInput(
            f"{printable(path)} was made with other settings than these. Resume with the recipe in "
            "its run folder, or start a new run in another folder."
        )
    for split, digest in progress.data.items():
        if data[split] != digest:
            raise InvalidInput(
                f"{printable(path)} was made with {split} data of the sha256 {digest}, and now it "
                f"has {data[split]}. Resume with the data as they were, or start a new run in "
                "another folder."
            )
    progress.data = dict(data)  # of checkpoints from before they held it, too
    try:
        for name, module in modules.items():
            own, given = module.state_dict(), _below(tensors, f"modules/{name}/")
            module.load_state_dict({key: share_like(v, own.get(key)) for key, v in given.items()})
        for name, optimizer in optimizers.items():
            _restore(name, optimizer, tensors)
    except (RuntimeError, *_NO_CHECKPOINT) as error:  # torch's, for missing or other tensors
        raise InvalidInput(
            f"{printable(path)} was made by another version of this architecture or its trainer: "
            f"{printable(error)} {_ANEW}"
        ) from None
    return progress


def _contents(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    said = json.loads(read_header(path).metadata["progress"])
    checksum = said.pop("checksum", None)  # older ones have none
    _check(said)
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    if checksum not in (None, _checksum(said, tensors)):
        raise ValueError("its bytes are not those that were written: the file is damaged")
    return Progress(**said), tensors


def _check(said: dict[str, Any]) -> None:
    best, data, scaler = said["best"], said.get("data", {}), said.get("scaler", {})
    sound = all(is_int(said[key]) and said[key] >= 0 for key in ("step", "epoch", "best_step"))
    sound &= isinstance(best, float) and not math.isnan(best) and isinstance(said["recipe"], str)
    sound &= isinstance(scaler, dict) and all(map(is_number, scaler.values()))
    if not sound or not isinstance(data, dict) or not data.keys() <= {"training", "validation"}:
        raise ValueError("where training stood is not in its metadata")


def _checksum(progress: Mapping[str, object], tensors: Mapping[str, Tensor]) -> int:
    """CRC-32 of all that a checkpoint holds; a digest would take as long as writing it."""
    value = zlib.crc32(json.dumps(progress).encode())
    for key in sorted(tensors):
        tensor = tensors[key].cpu()
        what = f"{key} {tensor.dtype} {tuple(tensor.shape)}"
        value = zlib.crc32(what.encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return value


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}


def _flatten(name: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of its state, each under where it is, and all else of it as JSON, in bytes.

    Hyper-parameters come from the recipe; what a group has beside them are counts, of steps say.

    Raises InvalidInput for a state that holds something else.
    """
    state = optimizer.state_dict()
    state["param_groups"] = [
        {key: value for key, value in group.items() if _is_changed(optimizer, key, value)}
        for group in state["param_groups"]
    ]
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_in_json(state, f"optimizers/{name}", tensors))
    tensors[f"optimizers/{name}"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return tensors


def _is_changed(optimizer: Optimizer, key: str, value: object) -> bool:
    """Whether a value of a group is not what the optimiser began with."""
    return key != "params" and (
        key not in optimizer.defaults or bool(value != optimizer.defaults[key])
    )


def _restore(name: str, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    here, own = f"optimizers/{name}", optimizer.state_dict()
    if here not in tensors:  # from before it held more than a state's tensors
        states: dict[int, dict[str, Tensor]] = {}
        for at, value in _below(tensors, f"{here}/").items():
            index, key = at.split("/", 1)
            states.setdefault(int(index), {})[key] = _lay_out(value, parameters[int(index)])
        optimizer.load_state_dict({**own, "state": states})
        return
    found = {}
    for at, value in _below(tensors, f"{here}/").items():
        part, index, *_ = at.split("/")
        of_one = part == "state"
        found[f"{here}/{at}"] = _lay_out(value, parameters[int(index)]) if of_one else value
    state = _from_json(json.loads(bytes(tensors[here].tolist())), found)
    groups = zip(own["param_groups"], state["param_groups"], strict=True)
    state["param_groups"] = [{**group, **changed} for group, changed in groups]
    optimizer.load_state_dict(own | state)


def _lay_out(value: Tensor, parameter: Tensor) -> Tensor:
    """A state's tensor as its parameter lies in memory, which fused optimisers take for granted."""
    if value.shape == parameter.shape and not parameter.is_contiguous():
        value = torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
    return share_like(value, parameter)


def _in_json(value: object, at: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON can say of a value, whose tensors are put among the others.

    at: the name of the first of them.
    """
    match value:
        case Tensor():
            tensors[at] = value.detach().contiguous()
            return {"tensor": at}
        case dict():
            pairs = value.items()  # keys may be numbers
            return {"dict": [[key, _in_json(v, f"{at}/{key}", tensors)] for key, v in pairs]}
        case list() | tuple():
            values = [_in_json(v, f"{at}/{i}", tensors) for i, v in enumerate(value)]
            return {type(value).__name__: values}
        case None | bool() | int() | float() | str():
            return value
    raise InvalidInput(
        f"the optimiser keeps a {type(value).__name__}, which a checkpoint cannot hold; expected "
        "tensors, numbers and text, and lists and dicts of them. Choose another by optimizer.opt."
    )


def _from_json(said: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value of which `_in_json` said this."""
    if not isinstance(said, dict):
        return said
    ((kind, held),) = said.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "dict":
        return {key: _from_json(value, tensors) for key, value in held}
    return {"list": list, "tuple": tuple}[kind](_from_json(value, tensors) for value in held)
