"""The one place where an entry, a run folder or a file becomes a model on a device.

A weights file describes itself: its safetensors metadata names the family, the architecture and the
config, so that `load("model.safetensors")` needs no registry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from zoo_core import plugins
from zoo_core.config import build
from zoo_core.errors import InvalidInput, InvalidWeights, UnknownName
from zoo_core.files import atomic, user_path
from zoo_core.header import read_header
from zoo_core.protocols import narrow
from zoo_core.registry import Entry, Licence, Registry, is_path
from zoo_core.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import nn
    from torch.overrides import TorchFunctionMode

    from zoo_core.model import Model
    from zoo_core.plugins import Family

__all__ = [
    "WEIGHTS",
    "Info",
    "Source",
    "blank",
    "build",
    "create",
    "entry_beside",
    "entry_of_run",
    "fill",
    "info",
    "load",
    "open_source",
    "requirement",
    "resolve",
    "save",
    "set_info",
]

P = TypeVar("P")
"""A protocol."""

WEIGHTS = "model.safetensors"
"""Name of the weights in a run folder."""

_KEY = "zoo"
"""The one key of the safetensors metadata. The library writes several in no fixed order, and equal
weights would have different digests."""

_INFO = "_zoo_info"
"""The attribute of a model that holds its Info; it is in no state dict."""

_NEEDED = {"family": str, "requires": str, "architecture": str, "config": dict}
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
    requires: str = ""
    """Distribution and versions of the family that can load it."""
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
            requires=source.requires,
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
    path = user_path(name)
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


def entry_beside(path: Path) -> Entry | None:
    """The entry that training wrote beside the weights of a run; None where there is none.

    Raises InvalidRegistry where it is not sound.
    """
    record = path.parent / "entry.toml"
    if path.name != WEIGHTS or not record.is_file():
        return None
    return next(iter(Registry.load([record]).entries.values()), None)


def entry_of_run(source: Source) -> Entry:
    """The entry that training wrote beside its weights when it ended.

    Raises InvalidInput where there is none, or where it is of other weights.
    """
    path = source.path.parent / "entry.toml"
    entry = entry_beside(source.path)
    if entry is None:
        raise InvalidInput(
            f"{source.path} is no entry of a registry, and of no run that has ended: there is no "
            f"{path}, which holds its metrics."
        )
    if entry.weights.sha256 != source.sha256:
        raise InvalidInput(f"{path} is of other weights than {source.path}.")
    return entry


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
    source = name if isinstance(name, Source) else open_source(name)
    plugins.require(source.family, source.requires)  # before torch is imported
    place, kind = _device(device), _dtype(dtype)
    model = blank(source)
    if as_ is not None:
        narrow(model, as_, source.name)
    fill(model, source.path, place, kind)
    set_info(model, Info.of(source))
    return model.train() if trainable else model.eval().requires_grad_(False)


def blank(origin: Entry | Source) -> nn.Module:
    """Return a model without weights, on the meta device: enough to know what it can do.

    Raises PluginError where its family is not installed in a version that fits.
    """
    plugins.require(origin.family, origin.requires)
    architecture = plugins.architecture(origin.architecture, origin.family)
    import torch

    with torch.device("meta"), _without_draws():
        return build(plugins.import_class(architecture.path), origin.config)


def create(
    architecture: str,
    /,
    *,
    seed: int | None = None,
    device: str | torch.device = "cpu",
    **config: Any,
) -> Model:
    """Return an untrained model of an architecture, in training mode.

    architecture: such as `nade`; `family/architecture` where two families have the name.
    seed: of the initial weights; None draws them from torch's default generator.
    config: the architecture's own keywords, such as `shape=(1, 28, 28)`, without a batch.

    Raises UnknownName or PluginError for an architecture, and InvalidInput for a config or a
    device that cannot be used.
    """
    family, record = plugins.find(architecture)
    cls = plugins.import_class(record.path)
    import torch

    place = _device(device)
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        model = build(cls, config)  # on the CPU, whose draws are the same everywhere
    set_info(
        model,
        Info(
            name=record.name,
            architecture=record.name,
            family=family.name,
            requires=requirement(family),
            config=config,
        ),
    )
    return cast("Model", model.to(place))


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


def save(
    model: nn.Module,
    path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    *,
    dtype: str | torch.dtype | None = None,
) -> None:
    """Write a model's weights with the metadata that describe them; the file appears whole or not.

    metadata: what the file says of itself beside what `info` knows of the model. A model that zoo
        neither loaded nor created needs `family`, `requires`, `architecture` and `config`.
    dtype: floating type in the file, e.g. `float16`, a half of the bytes; None keeps the model's.

    Raises InvalidInput when the file would not say what it is.
    """
    path = Path(path)
    metadata = {**_known(model, path), **(metadata or {})}
    if missing := [key for key in _NEEDED if key not in metadata]:
        raise InvalidInput(
            f"{path} would not say what it is: zoo neither loaded nor created this "
            f"{type(model).__name__}. Give save its {', '.join(missing)} as metadata."
        )
    from safetensors.torch import save_file

    kind = _dtype(dtype)
    state = {
        name: tensor.detach().to(kind if tensor.is_floating_point() else None).contiguous()
        for name, tensor in model.state_dict().items()
    }
    with atomic(path) as partial:
        save_file(state, partial, {_KEY: json.dumps(dict(metadata), sort_keys=True)})
        partial.chmod(0o644)  # the library gives it to its owner alone


def requirement(family: Family) -> str:
    """The versions that may read the weights of a family: this one up to the next that breaks."""
    major, minor, *_ = (int(part) for part in family.version.split(".")[:2])
    upper = f"{major + 1}" if major else f"0.{minor + 1}"
    return f"{family.distribution}>={major}.{minor},<{upper}"


def _known(model: nn.Module, path: Path) -> dict[str, Any]:
    """What the weights of a model can say of themselves after it was loaded or created.

    Data, metrics and recipe are of the weights that it began from, and are not said of these.
    """
    known = info(model)
    if not known.family:
        return {}
    said = {key: getattr(known, key) for key in _NEEDED} | {"name": path.stem}
    if known.sha256:
        said["start"] = {"name": known.name, "sha256": known.sha256}
    if known.licence:
        said["licence"] = {"code": known.licence.code, "weights": known.licence.weights}
    return said


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
    if not isinstance(metadata, dict):
        metadata = {}
    wrong = [key for key, kind in _NEEDED.items() if not isinstance(metadata.get(key), kind)]
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
