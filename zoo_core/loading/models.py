"""A model from its architecture and weights, on a device: loaded, blank or untrained; and saved."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from zoo_core import plugins
from zoo_core.columns import Column, set_columns
from zoo_core.config import build
from zoo_core.errors import InvalidInput, InvalidWeights, OutputExists, PluginError, naming
from zoo_core.files import check_place, unwritten
from zoo_core.header import read_header
from zoo_core.loading.provenance import Info, as_module, requirement, set_info, to_metadata
from zoo_core.loading.sources import Source, open_source
from zoo_core.loading.weights import AGAIN, NEEDED, fill, floating_type, is_json, unsound, write
from zoo_core.protocols import narrow
from zoo_core.registry import Entry
from zoo_core.rules import KINDS, NAME, at_least, check_value
from zoo_core.text import argument, printable, quoted

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zoo_core.model import AnyModel, Model

__all__ = ["blank", "create", "load", "loaded", "save"]

P = TypeVar("P")
"""A protocol."""

_LISTED = 2000
"""Tensors that weights may have of which only the registry is here."""

_SEEDING = threading.Lock()
"""Held while torch's default generator has a seed of ours."""


@overload
def load(
    name: str | Path | Source,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    trainable: bool = False,
) -> Model: ...


@overload
def load(
    name: str | Path | Source,
    *,
    as_: Callable[..., P],
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    trainable: bool = False,
) -> P: ...


def load(
    name: str | Path | Source,
    *,
    as_: Callable[..., object] | None = None,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
    trainable: bool = False,
) -> object:
    """Return a model with its trained weights, read straight onto the device.

    name: an entry of the registry, a run folder, the path of a safetensors file, or a Source.
    as_: a protocol that the model must implement, as DensityModel; what is returned has its type.
    device: `cpu`, `cuda`, `cuda:1`, `mps`, …
    dtype: floating type of the weights, e.g. `bfloat16`; None keeps the architecture's own.
    trainable: in training mode, with gradients; otherwise in evaluation mode, without.

    Raises UnknownName, PluginError, InvalidWeights, or InvalidInput for a device or a type that
    is unknown here, or for a protocol that the model does not implement.
    """
    check_value(trainable, KINDS[bool], "trainable")
    source = name if isinstance(name, Source) else open_source(name)
    _require(source)  # before torch is imported
    place, kind = _device(device), floating_type(dtype)
    if place.type == "meta":
        raise InvalidInput("device 'meta' holds no weights; `create` takes it.")
    with naming(source.path, InvalidWeights, AGAIN):
        model = blank(source)
    if as_ is not None:
        narrow(model, as_, source.name)
    fill(model, source.path, place, kind)
    with naming(source.path, InvalidWeights, AGAIN):
        set_info(model, known := Info.of(source))
        if known.columns:
            set_columns(model, [Column.of(table) for table in known.columns])
    return model.train() if trainable else model.eval().requires_grad_(False)


def loaded(model: AnyModel | str | Path, *, device: str | torch.device = "cpu") -> nn.Module:
    """A model in memory, where it is; or one that is named, which is loaded onto the device.

    Raises as `load`, and InvalidInput for what is neither.
    """
    return load(model, device=device) if isinstance(model, str | Path) else as_module(model)


def _require(source: Source) -> None:
    """Check that the family is here; where a file says which it is, the file is named."""
    try:
        plugins.require(source.family, source.requires)
    except PluginError as error:
        if source.entry is not None:
            raise
        raise PluginError(f"{printable(source.path)}: {error}") from None


def blank(origin: Entry | Source) -> nn.Module:
    """Return a model without weights, on the meta device: enough to know what it can do.

    Raises PluginError where its family is not installed in a version that fits, and InvalidInput
    for a config that it cannot be built with, or that asks for more than its weights hold.
    """
    plugins.require(origin.family, origin.requires)
    architecture = plugins.architecture(origin.architecture, origin.family)
    from zoo_core.loading.meta import build_blank

    if isinstance(origin, Source):
        listed = len(read_header(origin.path).tensors)
    else:
        listed = min(origin.weights.parameters, _LISTED)
    return build_blank(plugins.import_class(architecture.path), origin.config, listed=listed)


def create(
    architecture: str,
    /,
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
    **config: object,
) -> Model:
    """Return an untrained model of an architecture, in training mode.

    architecture: such as `nade`; `family/architecture` where two families have the name.
    seed: of the initial weights; None draws them from torch's default generator.
    config: the architecture's own keywords, such as `shape=(1, 28, 28)`, without a batch.

    Raises UnknownName or PluginError for an architecture, and InvalidInput for a config or a
    device that cannot be used.
    """
    check_value(architecture, KINDS[str], "architecture")
    if seed is not None:
        check_value(seed, at_least(0), "seed")
    family, record = plugins.find(architecture)
    cls = plugins.import_class(record.path)
    import torch

    place = _device(device)
    # the default generator is that of all threads
    with _SEEDING, torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        model = build(cls, config)  # on the CPU, whose random numbers are the same everywhere
    set_info(
        model,
        Info(
            name=record.name,
            architecture=record.name,
            family=family.name,
            requires=requirement(family),
            config=_as_lists(config),
        ),
    )
    return cast("Model", model.to(place))


def _as_lists(value: object) -> Any:
    """A config as JSON has it, and so the config of whatever is loaded: with lists for tuples."""
    if isinstance(value, dict):
        return {key: _as_lists(item) for key, item in value.items()}
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def save(
    model: AnyModel,
    path: str | Path,
    metadata: Mapping[str, object] | None = None,
    *,
    dtype: str | torch.dtype | None = None,
    force: bool = False,
) -> None:
    """Write a model's weights with the metadata that describe them; the file appears whole or not.

    path: of the file, which ends in `.safetensors`.

    metadata: what the file says of itself beside what `info` knows of the model. A model that zoo
        neither loaded nor created needs `family`, `requires`, `architecture` and `config`.
    dtype: floating type in the file, e.g. `float16`, a half of the bytes; None keeps the model's.
    force: overwrite a file that is there.

    Raises InvalidInput when the file would not say what it is, for a folder or another suffix,
    OutputExists, and DiskError or another ZooError when it cannot be written.
    """
    check_value(path, NAME, "path")
    path = Path(path)
    check_place(path)
    if path.suffix != ".safetensors":
        raise InvalidInput(f"cannot write {path}: weights are files that end in .safetensors.")
    if path.exists() and not force:
        raise OutputExists(
            f"{path} exists. Give another path, or {argument('force', True)} to overwrite it."
        )
    model = as_module(model)
    metadata = {**to_metadata(model, path), **(metadata or {})}
    if missing := [key for key in NEEDED if key not in metadata]:
        raise InvalidInput(
            f"{path} would not say what it is: zoo neither loaded nor created this "
            f"{type(model).__name__}. Give save its {', '.join(missing)} as metadata."
        )
    wrong = [*unsound(metadata), *(key for key, value in metadata.items() if not is_json(value))]
    if wrong:
        keys = ", ".join(dict.fromkeys(wrong))
        raise InvalidInput(f"{path} would not say what it is: metadata has no sound {keys}.")
    try:
        write(model, path, metadata, dtype)
    except OSError as error:
        raise unwritten(path, error) from error


def _device(name: str | torch.device) -> torch.device:
    """Return a device that works, or say why it does not."""
    import torch

    if not isinstance(name, str | int | torch.device):
        raise InvalidInput(f"device is {quoted(name)}; expected cpu, cuda, cuda:1 or mps.")
    try:
        device = torch.device(name)
        if device.type != "cpu":
            torch.empty(0, device=device)
        else:
            device = torch.device("cpu")  # which has no number
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"device {str(name)!r} cannot be used here ({reason}). "
            "Expected cpu, or cuda, cuda:1 or mps where torch finds one."
        ) from None
    return device
