"""Whether translations have the requested style, and translate back to their inputs.

A classifier predicts the style of each: the first head of a feature net that was trained on the
classes of the data. The Fréchet distance of translations from held-out images of the domain is in
that net's features. Beside each figure is that of untranslated inputs, in which the classifier sees
the requested style only by mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from zoo_adversarial.figures import OfDistance, from_held_out, some, translate_rows
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import BATCH, OfRows, Root, each, load, over, seeded
from zoo_core.metrics.samples import feature_net, features_option
from zoo_core.protocols import Classifier, Translator

__all__ = [
    "OfStyle",
    "cycle_error",
    "translation_fid",
    "translation_style",
    "untranslated_fid",
    "untranslated_style",
]


@dataclass(frozen=True, kw_only=True)
class OfStyle(OfRows):
    """The protocol of a classifier of styles."""

    features: str = features_option()


def translation_style(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """Share of translations in which a classifier sees the requested style, in %.

    Raises InvalidInput for data without the model's domains, or a classifier of other classes.
    """
    return _style(model, protocol, data_root, translates=True)


def untranslated_style(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """The same of untranslated inputs; raises as `translation_style`."""
    return _style(model, protocol, data_root, translates=False)


def translation_fid(model: Translator, protocol: OfDistance, data_root: Root = None) -> Measured:
    """The distance of translations from their domain's held-out images, a mean over domains.

    Raises as `translation_style`.
    """
    return _fid(model, protocol, data_root, translates=True)


def untranslated_fid(model: Translator, protocol: OfDistance, data_root: Root = None) -> Measured:
    """The same of untranslated inputs; raises as `translation_style`."""
    return _fid(model, protocol, data_root, translates=False)


def cycle_error(model: Translator, protocol: OfRows, data_root: Root = None) -> Measured:
    """Mean |x − round trip| of every image, through each other domain, in % of the range.

    Raises InvalidInput for data without the model's domains.
    """
    rows = load(protocol, data_root)
    errors = []
    for source, to in permutations(model.domains, 2):
        x = _of(rows, source)

        def error(z: Tensor, there: str = to, back: str = source) -> Tensor:
            again = model.translate(model.translate(z, there), back)
            return 100 * (again - z).abs().flatten(1).mean(1)

        errors.append(each(model, x, error))
    return Measured.of(torch.cat(errors).float())


def _style(model: Translator, protocol: OfStyle, data_root: Root, *, translates: bool) -> Measured:
    rows, net = load(protocol, data_root), feature_net(protocol.features)
    classifier = net.model
    if not isinstance(classifier, Classifier) or classifier.classes != len(rows.classes):
        raise InvalidInput(
            f"{net.name} has {getattr(net.model, 'classes', 'no')} classes, but {rows.name} has "
            f"{', '.join(rows.classes) or 'none'}: expected data with its classes."
        )
    seen = [
        100.0 * (over(y.split(BATCH), classifier.classify, len(y)) == rows.classes.index(to))
        for to, y in _translations(model, rows, translates)
    ]
    return net.sign(Measured.of(torch.cat(seen)))


def _fid(model: Translator, protocol: OfDistance, data_root: Root, *, translates: bool) -> Measured:
    net, random = feature_net(protocol.features), seeded(protocol.seed)
    rows, train = load(protocol, data_root), load(protocol, data_root, protocol.train, "train")
    made: dict[str, list[Tensor]] = {}
    for to, y in _translations(model, rows, translates):
        made.setdefault(to, []).append(y)
    found = []
    for to, parts in made.items():
        y = torch.cat(parts)
        beside = some(_of(train, to), len(y), random)
        found.append(from_held_out(net, _of(rows, to).floats(), y, beside, random))
    k = len(found)
    mean = Measured(
        sum(one.value for one in found) / k,
        sum(one.error**2 for one in found) ** 0.5 / k,
        sum(one.n for one in found),
        sum(one.real or 0.0 for one in found) / k,
    )
    return net.sign(mean)


def _translations(
    model: Translator, rows: Dataset, translates: bool
) -> Iterator[tuple[str, Tensor]]:
    """For every two domains, one's name and what becomes of the other's images, (n, C, H, W)."""
    for source, to in permutations(model.domains, 2):
        yield to, translate_rows(model, _of(rows, source), to, translates)


def _of(rows: Dataset, domain: str) -> Dataset:
    """The rows of a domain."""
    if rows.labels is None or domain not in rows.classes:
        raise InvalidInput(
            f"{rows.name} has the classes {', '.join(rows.classes) or '(none)'}; expected images "
            f"of the domain {domain} among them."
        )
    return rows[(rows.labels == rows.classes.index(domain)).nonzero().squeeze(1)]
