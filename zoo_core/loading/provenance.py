"""What is known about a model in memory: its name, its config, where its weights come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_core.errors import InvalidInput, InvalidWeights, ZooError
from zoo_core.loading.names import unwrap
from zoo_core.loading.sources import Source, entry_beside
from zoo_core.loading.weights import NEEDED, describe, has_nan
from zoo_core.plugins import Family
from zoo_core.registry import Entry, Licence
from zoo_core.text import SHORT, printable, quoted

if TYPE_CHECKING:
    from torch import nn

    from zoo_core.model import AnyModel

__all__ = [
    "Info",
    "as_module",
    "class_names",
    "info",
    "ready",
    "requirement",
    "set_info",
    "to_metadata",
]

_INFO = "_zoo_info"
"""The attribute of a model that holds its Info; it is in no state dict."""


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
    classes: Sequence[str] = ()
    """What the labels of its training data were called, from 0."""
    columns: Sequence[Mapping[str, Any]] = ()
    """What its variables are in a table, where it is a model of binary ones, which its config does
    not say: see `zoo_core.columns.Column`."""
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
        beside = entry or entry_beside(source.path)
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
            data=beside.data if beside else said.get("data", ""),
            classes=said.get("classes", ()),
            columns=said.get("columns", ()),
            licence=entry.licence if entry else licence or None,
            metrics=metrics,
            versions=said.get("versions", {}),
            recipe_sha256=said.get("recipe_sha256", ""),
            data_sha256=said.get("data_sha256", ""),
            path=source.path,
            entry=entry,
        )


def as_module(model: AnyModel) -> nn.Module:
    """A model in memory, as what it is; raises InvalidInput for what is no model."""
    from torch import nn

    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"{quoted(model, SHORT)} is no model: expected what zoo_core.load gives."
        )
    return model


def info(model: AnyModel) -> Info:
    """Return what is known about a model: name, config, digest of its weights, provenance.

    It describes the weights that were loaded, also after they were changed. Of a model that was
    neither loaded nor created by zoo, the name of its class is known.

    Raises InvalidInput for what is no model.
    """
    model = unwrap(as_module(model))
    known = getattr(model, _INFO, None)
    cls = type(model).__name__
    return known if isinstance(known, Info) else Info(name=cls, architecture=cls)


def class_names(model: object) -> Sequence[str]:
    """What the labels of a model are called, from 0; none where its weights do not say."""
    from torch import nn

    return info(model).classes if isinstance(model, nn.Module) else ()


def set_info(model: nn.Module, info: Info) -> None:
    """Attach what is known about a model to it; copies of the model keep it."""
    # past a class's own __setattr__: nothing but a name in the object's dictionary is needed
    object.__setattr__(model, _INFO, info)


def requirement(family: Family) -> str:
    """The versions that may read the weights of a family: this one up to the next that breaks."""
    from packaging.version import Version

    major, minor, *_ = (*Version(family.version).release, 0)
    upper = f"{major + 1}" if major else f"0.{minor + 1}"
    return f"{family.distribution}>={major}.{minor},<{upper}"


def to_metadata(model: nn.Module, path: Path) -> dict[str, Any]:
    """What the weights of a model can say of themselves after it was loaded or created.

    Data, metrics and recipe are of the weights that it began from, and are not said of these.
    """
    known = info(model)
    if not known.family:
        return {}
    said = {key: getattr(known, key) for key in NEEDED} | {"name": path.stem}
    if known.sha256:
        said["start"] = {"name": known.name, "sha256": known.sha256}
    for key in ("classes", "columns"):  # without which its inputs could not be read
        if value := getattr(known, key):
            said[key] = list(value)
    if known.licence:
        said["licence"] = {"code": known.licence.code, "weights": known.licence.weights}
    return said


def _own_words(path: Path) -> dict[str, Any]:
    """What the weights file of an entry says of itself; nothing is as good as the registry."""
    try:
        return describe(path)
    except InvalidWeights:  # it need not: the registry says what it is
        return {}


def _check_numbers(model: nn.Module, known: Info) -> None:
    """Refuse parameters that are not numbers: samples and figures of them look like others."""
    for name, parameter in model.named_parameters():
        if not parameter.is_meta and has_nan(parameter):
            raise InvalidWeights(
                f"{printable(known.path) if known.path else known.name or type(model).__name__}: "
                f"{name} holds NaN. Train it again, with a lower learning rate or trainer.clip."
            )


@contextmanager
def ready(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, also one that is being trained.

    Where it fails by weights that no registry vouches for, their file is named.
    """
    known, modes = info(model), [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        _check_numbers(model, known)
        yield
    except (ZooError, MemoryError, OSError):
        raise
    except Exception as error:
        if known.path is None or known.entry is not None:
            raise
        raise InvalidWeights(
            f"{printable(known.path)} fails in use: {type(error).__name__}: {printable(error)}. "
            f"Its weights may be damaged, or of another version of {known.family}, or the family "
            "has a mistake, which ZOO_DEBUG=1 shows. Take the file again from where it came, or "
            "train it again."
        ) from error
    finally:
        for module, training in modes:
            module.training = training
