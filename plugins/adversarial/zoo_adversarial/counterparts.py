"""Translations of drawn faces against the true answer: the same person, drawn with that change.

For each domain that a model knows, rows that are not of it are translated into it, and the same
people are drawn anew with that one attribute changed. A separately trained net predicts every
attribute of both images. Rows whose change would hide another attribute, as a beard a smile, are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from zoo_adversarial.figures import translate_rows
from zoo_core.data import Dataset
from zoo_core.data.faces import counterfactual, visible
from zoo_core.errors import InvalidInput
from zoo_core.features.attributes import predict_attributes, require_heads
from zoo_core.features.net import FeatureNet
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import OfRows, Root, load
from zoo_core.metrics.samples import Kept, feature_net, features_option
from zoo_core.options import option
from zoo_core.protocols import Translator

__all__ = [
    "OfCounterparts",
    "asked",
    "counterpart_l1",
    "directions",
    "kept",
    "untranslated_counterpart_l1",
    "worst_asked",
    "worst_kept",
]

_KNOWN: Kept[dict[str, Direction]] = Kept()


class Direction(NamedTuple):
    """The results for rows that were translated into one domain, (n,) each."""

    asked: Tensor
    """Whether the net sees the requested value."""
    kept: Tensor
    """Whether it sees all other attributes unchanged."""
    l1: Tensor
    """Mean difference of translations from the true counterparts, in [0, 1]."""
    untranslated: Tensor
    """The same of the inputs."""


@dataclass(frozen=True, kw_only=True)
class OfCounterparts(OfRows):
    """The protocol of a comparison of translations with the true counterparts."""

    attributes: tuple[str, ...] = option(
        ("hair_colour", "skin", "beard", "eyebrows"),
        "The attribute of each group of the model's domains",
    )
    rows: int = option(100, "How many rows are translated into each domain", minimum=1)
    features: str = features_option()


def asked(model: Translator, protocol: OfCounterparts, data_root: Root = None) -> Measured:
    """How often the net sees the requested value, over all directions, in percent."""
    return _all(model, protocol, data_root, "asked")


def worst_asked(model: Translator, protocol: OfCounterparts, data_root: Root = None) -> Measured:
    """The same of the worst direction."""
    return _worst(model, protocol, data_root, "asked")


def kept(model: Translator, protocol: OfCounterparts, data_root: Root = None) -> Measured:
    """How often it sees all other attributes unchanged, over all directions, in percent."""
    return _all(model, protocol, data_root, "kept")


def worst_kept(model: Translator, protocol: OfCounterparts, data_root: Root = None) -> Measured:
    """The same of the worst direction."""
    return _worst(model, protocol, data_root, "kept")


def counterpart_l1(model: Translator, protocol: OfCounterparts, data_root: Root = None) -> Measured:
    """Mean difference of translations from the true counterparts, in percent of the range."""
    return _all(model, protocol, data_root, "l1")


def untranslated_counterpart_l1(
    model: Translator, protocol: OfCounterparts, data_root: Root = None
) -> Measured:
    """The same of untranslated inputs."""
    return _all(model, protocol, data_root, "untranslated")


def directions(
    model: Translator, protocol: OfCounterparts, data_root: Root = None
) -> dict[str, Direction]:
    """The results of each direction; they are kept for a model, since several metrics use them."""
    about = protocol, str(data_root)
    return _KNOWN.of(model, about, lambda: _directions(model, protocol, data_root))


def _directions(
    model: Translator, protocol: OfCounterparts, data_root: Root
) -> dict[str, Direction]:
    data, judge = load(protocol, data_root), require_heads(feature_net(protocol.features).model)
    groups, names = tuple(getattr(model, "groups", ())), protocol.attributes
    sizes = tuple(len(data.attributes.get(name, ())) for name in names)
    if sizes != groups:
        raise InvalidInput(
            f"attributes {list(names)} of {data.name} have {list(sizes)} values; expected "
            f"{list(groups)}, as the model's groups of domains have."
        )
    wanted = [(name, value) for name in names for value in data.attributes[name]]
    return {
        domain: _direction(model, judge, data, domain, change, protocol.rows)
        for domain, change in zip(model.domains, wanted, strict=True)
    }


@torch.inference_mode()
def _direction(
    model: Translator,
    judge: FeatureNet,
    data: Dataset,
    to: str,
    change: tuple[str, str],
    limit: int,
) -> Direction:
    """Translate rows into a domain; compare them with the same people drawn with that change."""
    name, value = change
    here = data.column(name) == data.attributes[name].index(value)
    rows = data[(~here & visible(data, **{name: value})).nonzero().squeeze(1)[:limit]]
    true, y = counterfactual(rows, **{name: value}), translate_rows(model, rows, to)
    seen = predict_attributes(judge, y) == torch.stack(
        [true.column(each) for each in true.attributes], 1
    )
    place = list(data.attributes).index(name)
    others = [i for i in range(seen.shape[1]) if i != place]
    return Direction(
        seen[:, place],
        seen[:, others].all(1),
        _l1(y, true.floats()),
        _l1(rows.floats(), true.floats()),
    )


def _l1(x: Tensor, y: Tensor) -> Tensor:
    """The mean difference of images, (n,)."""
    return (x - y).abs().flatten(1).mean(1)


def _all(model: Translator, protocol: OfCounterparts, data_root: Root, what: str) -> Measured:
    found = directions(model, protocol, data_root).values()
    values = torch.cat([getattr(each, what).float() for each in found])
    return feature_net(protocol.features).sign(Measured.of(100.0 * values))


def _worst(model: Translator, protocol: OfCounterparts, data_root: Root, what: str) -> Measured:
    found = directions(model, protocol, data_root).values()
    worst = min(Measured.of(100.0 * getattr(each, what).float()) for each in found)
    return feature_net(protocol.features).sign(worst)
