"""The one place where an entry, a run folder or a file becomes a model on a device.

A weights file describes itself: its safetensors metadata names the family, the architecture and the
config, so that `load("model.safetensors")` needs no registry.
"""

from __future__ import annotations

import inspect
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core import plugins
from zoo_core.errors import InvalidInput, InvalidWeights, UnknownName, did_you_mean
from zoo_core.header import read_header
from zoo_core.registry import Entry, Licence, Registry, is_path
from zoo_core.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn
    from torch.overrides import TorchFunctionMode

__all__ = [
    "WEIGHTS",
    "Info",
    "Source",
    "build",
    "entry_of_run",
    "fill",
    "info",
    "load",
    "open_source",
    "resolve",
    "save",
    "set_info",
]

WEIGHTS = "model.safetensors"
"""Name of the weights in a run folder."""

_KEY = "zoo"
"""The one key of the safetensors metadata. The library writes several in no fixed order, and equal
weights would have different digests."""

_INFO = "_zoo_info"
"""The attribute of a model that holds its Info; it is in no state dict."""

_SAID = {
    "name": str,
    "data": str,
    "data_sha256": str,
    "licence": dict,
    "metrics": dict,
    "recipe_sha256": str,
    "versions": dict,
}
"""What a weights file may say of itself, beside what `load` needs."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model comes from, known without importing torch."""

    name: str
    family: str
    requires: str
    architecture: str
    config: Mapping[str, Any]
    path: Path
    entry: Entry | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of itself; empty for an entry, of which the registry speaks."""

    @property
    def sha256(self) -> str:
        """Digest of the weights: the registry's, or else the file's."""
        if self.entry is not None:
            return self.entry.weights.sha256
        import hashlib

        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @classmethod
    def of(cls, entry: Entry, path: Path) -> Source:
        """The source of an entry whose weights are at `path`."""
        return cls(
            name=entry.name,
            family=entry.family,
            requires=entry.requires,
            architecture=entry.architecture,
            config=entry.config,
            path=path,
            entry=entry,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What is known about a model in memory; what is not known is empty."""

    name: str
    """The entry's or the run's; of an untrained model, its architecture."""
    architecture: str
    family: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    """Digest of the weights file that it was loaded from; empty for an untrained model."""
    data: str = ""
    """The data set that it was trained on."""
    licence: Licence | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Measured on held-out data when the weights were published."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The packages that trained it."""
    recipe_sha256: str = ""
    """Digest of the recipe that it was trained by."""
    data_sha256: str = ""
    """Digest of the training data."""
    path: Path | None = None
    """The weights file."""
    entry: Entry | None = None
    """The record of the registry that it was loaded by."""

    @classmethod
    def of(cls, source: Source) -> Info:
        """What is known about the model of a source; the registry comes before the file."""
        entry, said = source.entry, source.metadata or _own_words(source.path)
        metrics, licence = said.get("metrics", {}), said.get("licence")
        if entry is not None:
            metrics = metrics | {metric.name: metric.value for metric in entry.metrics}
        elif licence:
            licence = Licence(**{key: licence.get(key, "unknown") for key in ("code", "weights")})
        return cls(
            name=source.name,
            architecture=source.architecture,
            family=source.family,
            config=source.config,
            sha256=source.sha256,
            data=entry.data if entry else said.get("data", ""),
            licence=entry.licence if entry else licence or None,
            metrics=metrics,
            versions=said.get("versions", {}),
            recipe_sha256=said.get("recipe_sha256", ""),
            data_sha256=said.get("data_sha256", ""),
            path=source.path,
            entry=entry,
        )


def info(model: nn.Module) -> Info:
    """Return what is known about a model: name, config, digest of its weights, provenance.

    It describes the weights that were loaded, also after they were changed. Of a model that was
    neither loaded nor created by zoo, the name of its class is known.
    """
    known = getattr(model, _INFO, None)
    cls = type(model).__name__
    return known if isinstance(known, Info) else Info(name=cls, architecture=cls)


def set_info(model: nn.Module, info: Info) -> None:
    """Attach what is known about a model to it; copies of the model keep it."""
    # past a class's own __setattr__: nothing but a name in the object's dictionary is needed
    object.__setattr__(model, _INFO, info)


def resolve(name: str | Path, *, registry: Registry | None = None) -> Entry | Source:
    """Find what a name stands for: an entry, whose weights may not be here yet, or a file that is.

    name: an entry of the registry; or a run folder or a safetensors file, written as a path (a
        folder that is named like an entry is `./nade.mnist`).

    Raises UnknownName when there is no such entry, folder or file.
    """
    if isinstance(name, str) and not is_path(name):
        return (registry or Registry.load()).lookup(name)
    path = Path(name).expanduser()
    return _from_file(_weights_of_run(path) if path.is_dir() else path)


def open_source(
    name: str | Path,
    *,
    registry: Registry | None = None,
    progress: Callable[[int], None] | None = None,
) -> Source:
    """Find the verified weights behind a name, fetching them where they are not in the store.

    name: as `resolve` takes it.
    progress: called with the number of bytes of each piece that is fetched.

    Raises UnknownName, and whatever the store raises.
    """
    origin = resolve(name, registry=registry)
    if isinstance(origin, Source):
        return origin
    return Source.of(origin, Store().fetch(origin.blob, progress=progress))


def entry_of_run(source: Source) -> Entry:
    """The entry that training wrote beside its weights when it ended.

    Raises InvalidInput where there is none, or where it is of other weights.
    """
    path = source.path.parent / "entry.toml"
    if not path.is_file():
        raise InvalidInput(
            f"{source.path} is no entry of a registry, and of no run that has ended: there is no "
            f"{path}, which holds its metrics."
        )
    (entry,) = Registry.load([path]).entries.values()
    if entry.weights.sha256 != source.sha256:
        raise InvalidInput(f"{path} is of other weights than {source.path}.")
    return entry


def load(
    name: str | Path | Source,
    *,
    device: str | torch.device = "cpu",
    dtype: str | torch.dtype | None = None,
) -> nn.Module:
    """Return a trained model in evaluation mode, its weights read straight onto the device.

    name: an entry of the registry, a run folder, the path of a safetensors file, or a Source.
    device: `cpu`, `cuda`, `cuda:1`, `mps`, …
    dtype: floating type of the weights, e.g. `bfloat16`; None keeps the architecture's own.

    Raises UnknownName, PluginError, InvalidWeights, or InvalidInput for a device or a type that
    there is not.
    """
    source = name if isinstance(name, Source) else open_source(name)
    plugins.require(source.family, source.requires)
    architecture = plugins.architecture(source.architecture, source.family)
    import torch

    place, kind = _device(device), _dtype(dtype)
    with torch.device("meta"), _without_draws():
        model = build(plugins.import_class(architecture.path), source.config)
    fill(model, source.path, place, kind)
    set_info(model, Info.of(source))
    return model.eval().requires_grad_(False)


def fill(
    model: nn.Module,
    path: Path,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Give a model, which may be on the meta device, the weights of a file.

    Raises InvalidWeights that names the tensors which are missing, unexpected or of another shape.
    """
    model.load_state_dict(_read(path, model.state_dict(), device, dtype), assign=True)


def build(cls: type, config: Mapping[str, Any]) -> nn.Module:
    """Construct an architecture from its config.

    Raises InvalidInput when a key is not one of the class's arguments, or a value does not fit.
    """
    known = [name for name in inspect.signature(cls).parameters if name != "self"]
    for key in config:
        if key not in known:
            raise InvalidInput(
                f"{cls.__name__} has no config {key!r}.{did_you_mean(key, known)} "
                f"It takes {', '.join(known)}."
            )
    model: nn.Module = cls(**config)
    return model


def save(
    model: nn.Module,
    path: Path,
    metadata: Mapping[str, Any],
    *,
    dtype: str | torch.dtype | None = None,
) -> None:
    """Write a model's weights with the metadata that describes them; the file appears whole or not.

    metadata: must hold `family`, `architecture` and `config` for `load` to read the file.
    dtype: floating type in the file, e.g. `float16`, a half of the bytes; None keeps the model's.
    """
    from safetensors.torch import save_file

    kind = _dtype(dtype)
    state = {
        name: tensor.detach().to(kind if tensor.is_floating_point() else None).contiguous()
        for name, tensor in model.state_dict().items()
    }
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        partial = Path(folder) / path.name
        save_file(state, partial, {_KEY: json.dumps(dict(metadata), sort_keys=True)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.chmod(0o644)  # the library gives it to its owner alone
        partial.replace(path)


def _weights_of_run(folder: Path) -> Path:
    if (path := folder / WEIGHTS).is_file():
        return path
    raise UnknownName(
        f"{folder} holds no {WEIGHTS}: it is not a run folder, or its training has not reached the "
        "first validation yet."
    )


def _from_file(path: Path) -> Source:
    if not path.is_file():
        raise UnknownName(
            f"{path} does not exist; expected a run folder or a safetensors file. "
            "`zoo list` shows the entries, whose names have no slash."
        )
    metadata = _describe(path)
    return Source(
        name=metadata.get("name", path.stem),
        family=metadata["family"],
        requires=metadata["requires"],
        architecture=metadata["architecture"],
        config=metadata["config"],
        path=path,
        metadata=metadata,
    )


def _describe(path: Path) -> dict[str, Any]:
    """What a weights file says of itself, checked as far as `load` and `Info` read it."""
    try:
        metadata = json.loads(read_header(path).metadata.get(_KEY, "{}"))
    except json.JSONDecodeError as error:
        raise InvalidWeights(f"{path}: its metadata is not JSON: {error}.") from None
    needed = {"family": str, "requires": str, "architecture": str, "config": dict}
    if not isinstance(metadata, dict):
        metadata = {}
    wrong = [key for key, kind in needed.items() if not isinstance(metadata.get(key), kind)]
    wrong += [key for key, kind in _SAID.items() if not isinstance(metadata.get(key, kind()), kind)]
    if wrong:
        raise InvalidWeights(
            f"{path} does not say what it is: its metadata has no sound {', '.join(wrong)}. "
            "Weights that `zoo train` writes have them."
        )
    return metadata


def _own_words(path: Path) -> dict[str, Any]:
    """What the weights file of an entry says of itself; nothing is as good as the registry."""
    try:
        return _describe(path)
    except InvalidWeights:  # it need not: the registry says what it is
        return {}


def _without_draws() -> TorchFunctionMode:
    """Skip the drawing of initial weights: normal draws on the meta device import sympy, 1.3 s."""
    import torch
    from torch.overrides import TorchFunctionMode

    class WithoutDraws(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            kwargs = kwargs or {}
            drawing = getattr(function, "__module__", None) == "torch.nn.init"
            if drawing or function is torch.Tensor.normal_:
                return args[0] if args else kwargs["tensor"]
            return function(*args, **kwargs)

    return WithoutDraws()


def _device(name: str | torch.device) -> torch.device:
    """Return a device that works, or say why it does not."""
    import torch

    try:
        device = torch.device(name)
        if device.type != "cpu":
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidInput(
            f"device {str(name)!r} cannot be used here ({reason}). "
            "Expected cpu, or cuda, cuda:1 or mps where torch finds one."
        ) from None
    return device


def _dtype(name: str | torch.dtype | None) -> torch.dtype | None:
    import torch

    kind = getattr(torch, name, None) if isinstance(name, str) else name
    if name is not None and not (isinstance(kind, torch.dtype) and kind.is_floating_point):
        raise InvalidInput(
            f"dtype {name!r} is unknown: expected float32, bfloat16, float16 or float64."
        )
    return kind


def _read(
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
