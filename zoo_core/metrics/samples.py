"""What metrics of sample quality share: the sets that they compare, and the features they do it in.

Samples of a model are compared with held-out rows. Beside each figure stands the same figure of as
many training rows in the samples' place, `real`: no model of the data does better but by copying,
and a figure says little that is not read against it.

`features` is the net in whose features distances are measured: an entry, a run folder or a weights
file, and, after an `@`, the first digits of its weights' sha256. Figures of different nets, or
different numbers of samples, are not to be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from zoo_core import loading
from zoo_core.data import Dataset
from zoo_core.data.notes import note
from zoo_core.errors import DigestMismatch, InvalidInput
from zoo_core.metrics.measured import Measured
from zoo_core.metrics.rows import BATCH, OfBinaryRows, Root, each, load_binarized, seeded
from zoo_core.options import option
from zoo_core.protocols import Featurizer, Generator
from zoo_core.text import printable

__all__ = [
    "Compared",
    "InFeatures",
    "Kept",
    "Net",
    "OfSamples",
    "choose",
    "compare_features",
    "compare_rows",
    "feature_net",
    "features_option",
    "samples_of",
]

_T = TypeVar("_T")

Compared = Callable[[Tensor, Tensor, torch.Generator], Measured]
"""Takes held-out rows and what is compared with them, (n, ...) each, and a random stream."""

_DIGITS = 12
"""Of a net's sha256, that a figure names."""


def features_option() -> str:
    """The field of a protocol that names a feature net."""
    net: str = option(
        "", "Feature net: an entry, run or weights file, and @ with first digits of its sha256"
    )
    return net


@dataclass(frozen=True, kw_only=True)
class OfSamples(OfBinaryRows):
    """The protocol of a metric of samples."""

    samples: int = option(10_000, "Number of samples", minimum=1)
    seed: int = option(
        0, "Seed of the samples, of the rows beside them and of binarization", minimum=0
    )
    train: str = option(
        "", "Rows to measure in the samples' place, for comparison; the training split by default"
    )


@dataclass(frozen=True, kw_only=True)
class InFeatures(OfSamples):
    """The protocol of a metric of samples in the features of a net."""

    features: str = features_option()


_FEATURES: dict[tuple[str, str], Tensor] = {}
_KEPT = 3
"""Sets whose features are kept: held-out rows, samples, and training rows."""


class Net(NamedTuple):
    """A feature net that was loaded."""

    model: Featurizer
    name: str
    """With the first digits of its digest: `features.mnist@0123456789ab`."""

    def sign(self, found: Measured) -> Measured:
        """A figure that says in whose features, or by whose answers, it was measured."""
        return found._replace(settled={**found.settled, "features": self.name})

    def features(self, rows: Dataset) -> Tensor:
        """Features of each row, (N, feature_dim), float64: close rows are distinguished in float64.

        Those of the last few sets are kept: an entry has several figures of the same ones.

        Raises InvalidInput for rows of another shape than the net's.
        """
        if rows.event_shape != (takes := tuple(self.model.event_shape)):
            raise InvalidInput(
                f"the feature net {self.name} takes rows of shape {takes}, and these have "
                f"{rows.event_shape}. Set features to a net of such rows."
            )
        key = (self.name, rows.digest)
        if key not in _FEATURES:
            features = each(self.model, rows, self.model.features).double()
            while len(_FEATURES) >= _KEPT:
                del _FEATURES[next(iter(_FEATURES))]
            _FEATURES[key] = features
        return _FEATURES[key]


def compare_rows(
    model: Generator, protocol: OfSamples, data_root: Root, compare: Compared
) -> Measured:
    """A figure of samples and that of training rows, of the rows as they are.

    Raises InvalidInput for samples of another shape than the rows.
    """
    sets = _sets(model, protocol, data_root)
    return _compare_both(protocol, compare, *(one.floats() for one in sets))


def compare_features(
    model: Generator, protocol: InFeatures, data_root: Root, compare: Compared
) -> Measured:
    """The same of the features of the rows, (n, feature_dim); the figure names their net."""
    net = feature_net(protocol.features)
    sets = _sets(model, protocol, data_root)
    return net.sign(_compare_both(protocol, compare, *(net.features(one) for one in sets)))


def feature_net(named: str) -> Net:
    """The feature net that a protocol names, `features.mnist@0123456789ab` or without the digits.

    Raises InvalidInput for none, or a model without features, and DigestMismatch for other weights
    than the protocol's.
    """
    name, _, digest = named.partition("@")
    if not name:
        raise InvalidInput(
            "the protocol names no feature net: set features to one of data like the model's, as "
            "features=features.mnist."
        )
    sha256 = loading.open_source(name).sha256
    if not sha256.startswith(digest):
        raise DigestMismatch(
            f"the figure was measured in the features of {name}@{digest}, but the weights of "
            f"{name} are {sha256[:_DIGITS]}… here. Measure it again in those, and say so."
        )
    return Net(_load_net(name, sha256), f"{name}@{sha256[:_DIGITS]}")


@lru_cache(maxsize=2)
def _load_net(name: str, sha256: str) -> Featurizer:
    model = loading.load(name)
    if not isinstance(model, Featurizer):
        raise InvalidInput(
            f"{name} is a {type(model).__name__}, which gives no features: expected a model with "
            "`features(x)`, such as those of `zoo list 'features*'`."
        )
    return model


class Kept(Generic[_T]):
    """What was made of a model last, for the next metric that needs the same."""

    def __init__(self) -> None:
        self._last: WeakKeyDictionary[object, tuple[object, _T]] = WeakKeyDictionary()

    def of(self, model: object, about: object, make: Callable[[], _T]) -> _T:
        """What was made of the model's weights as they are now, and of `about`; else make it."""
        key = _digest(model), about
        if model not in self._last or self._last[model][0] != key:
            self._last[model] = key, make()
        return self._last[model][1]


_DRAWN: Kept[Tensor] = Kept()


def samples_of(model: Generator, protocol: OfSamples) -> Tensor:
    """Samples of a model, (n, *event_shape), on the CPU; those of the last call if they serve."""
    n, seed = protocol.samples, protocol.seed

    def draw() -> Tensor:
        random = seeded(seed, model)
        sizes = [min(BATCH, n - start) for start in range(0, n, BATCH)]
        with torch.inference_mode():
            return torch.cat([model.sample(size, generator=random).float().cpu() for size in sizes])

    return _DRAWN.of(model, (n, seed), draw)


def _digest(model: object) -> str:
    """sha256 of a model's weights: a model that was trained since is another one."""
    sha = hashlib.sha256()
    for tensor in model.state_dict().values() if isinstance(model, nn.Module) else ():
        sha.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def _sets(
    model: Generator, protocol: OfSamples, data_root: Root
) -> tuple[Dataset, Dataset, Dataset]:
    """Held-out rows, samples, and as many training rows."""
    real = load_binarized(protocol, data_root)
    train = load_binarized(protocol, data_root, protocol.train, "train")
    x = samples_of(model, protocol)
    if x.shape[1:] != real.event_shape:
        raise InvalidInput(
            f"{real.name} has rows of shape {real.event_shape}, but the samples have "
            f"{tuple(x.shape[1:])}."
        )
    random = seeded(protocol.seed)
    # shuffled, for metrics of as many rows as samples: the first rows of a split need not be as all
    held_out = real.floats(torch.randperm(len(real), generator=random))
    beside = train.floats(choose(train, protocol.samples, random))
    return _real("data", held_out), _real("samples", x), _real("train", beside)


def choose(rows: Dataset, n: int, generator: torch.Generator) -> Tensor:
    """Places of n training rows that stand for samples; of all, which is said, if they are fewer.

    Returns (n,), int64.
    """
    if len(rows) < n:
        note(
            f"{printable(rows.name)} has {len(rows):,} training rows to hold against {n:,} "
            "samples: their figure is that of so many, which is not quite comparable. The "
            "protocol's `samples` sets both."
        )
    return torch.randperm(len(rows), generator=generator)[:n]


def _real(name: str, x: Tensor) -> Dataset:
    return Dataset(name, "", x, None)


def _compare_both(
    protocol: OfSamples, compare: Compared, real: Tensor, samples: Tensor, train: Tensor
) -> Measured:
    measured = compare(real, samples, seeded(protocol.seed))
    return measured._replace(real=compare(real, train, seeded(protocol.seed)).value)
