"""Whether images show what their text says, for texts that were trained on and for others.

A caption of drawn faces names some of their attributes. A net with a head for each attribute tells
how many of those that a caption names are seen in an image of it: over all captions, or for the
attribute that is seen least often.

`matched_text` is how often the discriminator finds that an image's own text fits better than
another name. Sampling needs no discriminator; a model whose config has `judge` keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo_adversarial.figures import OfDistance, distance
from zoo_adversarial.gan_cls import GANCLS
from zoo_core.data import Dataset
from zoo_core.data.faces import named_attributes
from zoo_core.errors import InvalidInput
from zoo_core.features.attributes import predict_attributes, require_heads
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import BATCH, OfRows, Root, load, seeded
from zoo_core.metrics.samples import feature_net, features_option
from zoo_core.options import option
from zoo_core.precision import weight_of
from zoo_core.protocols import Prompted

__all__ = [
    "OfDraws",
    "OfNames",
    "matched_text",
    "prompt_attributes",
    "prompt_fid",
    "worst_prompt_attribute",
]


@dataclass(frozen=True, kw_only=True)
class OfDraws(OfRows):
    """The protocol of a metric that samples several times for each text."""

    draws: int = option(4, "Samples for each text, or other texts for each image", minimum=1)
    seed: int = option(0, "Of the samples", minimum=0)


@dataclass(frozen=True, kw_only=True)
class OfNames(OfRows):
    """The protocol of attributes that captions name."""

    seed: int = option(0, "Of the samples, one for each caption", minimum=0)
    features: str = features_option()
    shuffled: bool = option(False, "Whether each image is compared with another row's caption")


def prompt_attributes(model: Prompted, protocol: OfNames, data_root: Root = None) -> Measured:
    """Share of the attributes named by captions that a net sees in images of these, in %.

    Raises InvalidInput for other rows than those of `faces`, or a net without their heads.
    """
    seen = _see_names(model, protocol, data_root)
    return _summarize(protocol, [torch.cat(part) for part in zip(*seen, strict=True)])


def worst_prompt_attribute(model: Prompted, protocol: OfNames, data_root: Root = None) -> Measured:
    """The same of the attribute that is seen least often."""
    return min(_summarize(protocol, seen) for seen in _see_names(model, protocol, data_root))


def _see_names(model: Prompted, protocol: OfNames, data_root: Root) -> list[tuple[Tensor, Tensor]]:
    """Whether a net sees what captions name, of each attribute, (captions that name it,).

    The first is of samples, the second of the rows' own images.
    """
    rows, judge = load(protocol, data_root), require_heads(feature_net(protocol.features).model)
    there, named = (
        torch.stack([rows.column(name) for name in rows.attributes], 1),
        named_attributes(rows),
    )
    samples = _sample(model, rows.texts, seeded(protocol.seed, model))
    seen, of_data = predict_attributes(judge, samples), predict_attributes(judge, rows.floats())
    if protocol.shuffled:
        other = torch.randperm(len(rows), generator=seeded(protocol.seed))
        there, named, of_data = there[other], named[other], of_data[other]
    return [
        ((seen[:, k] == there[:, k])[which], (of_data[:, k] == there[:, k])[which])
        for k, which in enumerate(named.T)
    ]


def _summarize(protocol: OfNames, seen: Sequence[Tensor]) -> Measured:
    """The share of samples in %, beside that of the data's own images."""
    samples, of_data = (100.0 * part.float() for part in seen)
    measured = Measured.of(samples)._replace(real=float(of_data.mean()))
    return feature_net(protocol.features).sign(measured)


def prompt_fid(model: Prompted, protocol: OfDistance, data_root: Root = None) -> Measured:
    """The Fréchet distance of images, one of each row's text, from the rows.

    Raises InvalidInput for data without texts.
    """
    rows = _require_captions(load(protocol, data_root))
    generated = _sample(model, rows.texts, seeded(protocol.seed, model))
    return distance(rows.floats(), generated, protocol, data_root)


def matched_text(model: GANCLS, protocol: OfDraws, data_root: Root = None) -> Measured:
    """How often the discriminator finds an image's own text better than another name, in %.

    Raises InvalidInput for a model that keeps no discriminator, or data without texts.
    """
    rows, random = _require_captions(load(protocol, data_root)), seeded(protocol.seed)
    names, own = _number_texts(rows.texts)
    if len(names) < 2:
        raise InvalidInput(f"{rows.name} has one text alone: there is none that does not fit.")
    better = []
    for _ in range(protocol.draws):
        step = torch.randint(1, len(names), (len(rows),), generator=random)
        other = (own + step) % len(names)
        better.append(_prefers(model, rows, names, own, other))
    return Measured.of(100.0 * torch.cat(better))


@torch.inference_mode()
def _prefers(model: GANCLS, rows: Dataset, names: list[str], own: Tensor, other: Tensor) -> Tensor:
    """Whether each row's own name fits better than another, (N,), bool."""
    parts, weight = [], weight_of(model)
    for places in torch.arange(len(rows)).split(BATCH):
        x = rows.floats(places).to(weight.device, weight.dtype)
        fits = [model.fits(x, [names[i] for i in which[places]]) for which in (own, other)]
        parts.append(fits[0] > fits[1])
    return torch.cat(parts).cpu()


@torch.inference_mode()
def _sample(model: Prompted, texts: Sequence[str], random: torch.Generator) -> Tensor:
    """An image of each text, (n, *event_shape), on the CPU."""
    names, which = _number_texts(texts)
    codes = model.read(names)
    parts = [
        model.sample(len(some), generator=random, prompt=codes[some.to(codes.device)]).float().cpu()
        for some in which.split(BATCH)
    ]
    return torch.cat(parts)


def _number_texts(texts: Sequence[str]) -> tuple[list[str], Tensor]:
    """The different texts, and for each text its place among them, (N,), int64."""
    names = list(dict.fromkeys(texts))
    numbers = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([numbers[text] for text in texts])


def _require_captions(rows: Dataset) -> Dataset:
    if not rows.texts:
        raise InvalidInput(f"{rows.name} has no captions: there is nothing to read.")
    return rows
