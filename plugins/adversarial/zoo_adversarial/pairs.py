"""How near translations come to the true drawings, where each domain has the same names.

Training needs no pairs; where a test split has some, they show what distances between sets cannot:
whether a translation is still of the same thing. Beside each figure is that of untranslated inputs.

Retrieval is by L1 of pixels, or by distance in the features of a net that the protocol names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from zoo_adversarial.figures import translate_rows
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import OfRows, Root, load
from zoo_core.metrics.samples import feature_net, features_option
from zoo_core.protocols import Translator

__all__ = [
    "OfRetrieval",
    "translation_l1",
    "translation_retrieval",
    "untranslated_l1",
    "untranslated_retrieval",
]


@dataclass(frozen=True, kw_only=True)
class OfRetrieval(OfRows):
    """The protocol of retrieval: by features where it names a net, by pixels otherwise."""

    features: str = features_option()


def translation_l1(model: Translator, protocol: OfRows, data_root: Root = None) -> Measured:
    """Mean |translation − true drawing| of every name from each domain to each, in % of the range.

    Raises InvalidInput for data without such pairs.
    """
    return _measure(model, protocol, data_root, _l1, translates=True)


def untranslated_l1(model: Translator, protocol: OfRows, data_root: Root = None) -> Measured:
    """The same of untranslated inputs; raises as `translation_l1`."""
    return _measure(model, protocol, data_root, _l1, translates=False)


def translation_retrieval(
    model: Translator, protocol: OfRetrieval, data_root: Root = None
) -> Measured:
    """Share of translations that are nearest to the true drawing of their name, in %.

    Raises as `translation_l1`.
    """
    return _retrieval(model, protocol, data_root, translates=True)


def untranslated_retrieval(
    model: Translator, protocol: OfRetrieval, data_root: Root = None
) -> Measured:
    """The same of untranslated inputs; raises as `translation_l1`."""
    return _retrieval(model, protocol, data_root, translates=False)


def _l1(y: Tensor, true: Tensor) -> Tensor:
    return 100 * (y - true).abs().flatten(1).mean(1)


def _retrieval(
    model: Translator, protocol: OfRetrieval, data_root: Root, *, translates: bool
) -> Measured:
    if not protocol.features:
        return _measure(model, protocol, data_root, _retrieve, translates=translates)
    net = feature_net(protocol.features)

    def retrieved(y: Tensor, true: Tensor) -> Tensor:
        a, b = (net.features(Dataset("drawings", "", x, None)) for x in (y, true))
        return _retrieve(a, b, p=2)

    measured = _measure(model, protocol, data_root, retrieved, translates=translates)
    return measured._replace(settled={"features": net.name})


def _retrieve(y: Tensor, true: Tensor, p: int = 1) -> Tensor:
    nearest = torch.cdist(y.flatten(1), true.flatten(1), p=p).argmin(1)
    return 100.0 * (nearest == torch.arange(len(y)))


def _measure(
    model: Translator,
    protocol: OfRows,
    data_root: Root,
    value: Callable[[Tensor, Tensor], Tensor],
    *,
    translates: bool,
) -> Measured:
    pairs = _pairs(model, load(protocol, data_root), translates)
    return Measured.of(torch.cat([value(y, true) for y, true in pairs]))


def _pairs(model: Translator, rows: Dataset, translates: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """For every two domains, inputs of one and the true drawings of the other, (n, C, H, W) each.

    translates: whether the inputs are translated.
    """
    domains = model.domains
    places = _places(rows, domains)
    for source, to in permutations(domains, 2):
        names = sorted(places[source].keys() & places[to].keys())
        x, true = (rows[torch.tensor([places[d][name] for name in names])] for d in (source, to))
        yield translate_rows(model, x, to, translates), true.floats()


def _places(rows: Dataset, domains: tuple[str, ...]) -> dict[str, dict[str, int]]:
    """Row of each name, by domain."""
    if rows.labels is None or not rows.texts or not set(domains) <= set(rows.classes):
        raise InvalidInput(
            f"{rows.name} has the classes {', '.join(rows.classes) or '(none)'}; expected images "
            f"with captions, of the domains {', '.join(domains)}."
        )
    found: dict[str, dict[str, int]] = {name: {} for name in rows.classes}
    for i, (label, text) in enumerate(zip(rows.labels.tolist(), rows.texts, strict=True)):
        found[rows.classes[label]][text] = i
    if any(found[a].keys().isdisjoint(found[b]) for a, b in permutations(domains, 2)):
        raise InvalidInput(f"{rows.name} has no name in each of {', '.join(domains)}.")
    return found
