"""Whether images are of what their text says, of texts that were trained on and of others.

An emoji's name tells its group. A classifier names the group of images that are drawn of the name:
one head of the net that the protocol's `features` name, on `data` whose labels are those of all
heads. Where `shuffled` is set each image is held against the group of another name: what a model
that does not read comes to. The figure beside it is of the data's own images.

The discriminator is asked too: `matched_text` is how often it finds that an image's own text fits
better than another name. It is no part of what a generator draws with; a model whose config says
`judge` keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo_adversarial.figures import distance
from zoo_adversarial.gan_cls import GANCLS
from zoo_core.data import Dataset
from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.metrics import Measured
from zoo_core.metrics.rows import BATCH, Root, checked, load, over, seeded
from zoo_core.metrics.samples import feature_net
from zoo_core.protocols import Prompted

__all__ = ["matched_text", "prompt_fid", "prompt_group"]


def prompt_group(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """Share of images of names in which a classifier sees the name's group, in %.

    Raises InvalidInput for a model that does not read, data without names or groups, or a net
    without heads.
    """
    checked(protocol, ("features", "head", "draws", "seed", "shuffled"), "A group")
    net, rows = feature_net(protocol), _captioned(load(protocol, data_root))
    head = int(protocol["head"])
    groups = _groups(net.model, rows, head)
    names = list(dict.fromkeys(rows.texts))
    places = torch.tensor([rows.texts.index(name) for name in names])
    random, draws = seeded(protocol, model), int(protocol["draws"])

    def right(x: Tensor, group: Tensor) -> Tensor:
        classify = cast("FeatureNet", net.model).classify
        return 100.0 * (over(x.split(BATCH), lambda part: classify(part, head)) == group)

    wanted = groups[places].repeat_interleave(draws)
    if protocol.get("shuffled", False):
        wanted = wanted[torch.randperm(len(wanted), generator=seeded(protocol))]
    drawn = _drawn(model, [name for name in names for _ in range(draws)], random)
    measured = Measured.of(right(drawn, wanted))
    of_data = float(right(rows.floats(), groups).mean())
    return measured._replace(real=of_data, settled={"features": net.name})


def prompt_fid(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """The Fréchet distance of images, one of each row's text, from the rows.

    Raises InvalidInput for a model that does not read, or data without texts.
    """
    checked(protocol, ("features", "seed", "train"), "A Fréchet distance")
    rows = _captioned(load(protocol, data_root))
    drawn = _drawn(model, rows.texts, seeded(protocol, model))
    return distance(rows.floats(), drawn, protocol, data_root)


def matched_text(model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None) -> Measured:
    """How often the discriminator finds an image's own text better than another name, in %.

    `draws` other names are tried for each image.

    Raises InvalidInput for a model that keeps no discriminator, or data without texts.
    """
    checked(protocol, ("draws", "seed"), "A match")
    if not isinstance(model, GANCLS):
        raise InvalidInput(f"{type(model).__name__} has no discriminator of texts.")
    rows, random = _captioned(load(protocol, data_root)), seeded(protocol)
    names, own = _numbered(rows.texts)
    if len(names) < 2:
        raise InvalidInput(f"{rows.name} has one text alone: there is none that does not fit.")
    better = []
    for _ in range(int(protocol["draws"])):
        step = torch.randint(1, len(names), (len(rows),), generator=random)
        other = (own + step) % len(names)
        better.append(_prefers(model, rows, names, own, other))
    return Measured.of(100.0 * torch.cat(better))


@torch.inference_mode()
def _prefers(model: GANCLS, rows: Dataset, names: list[str], own: Tensor, other: Tensor) -> Tensor:
    """Whether each row's own name fits better than another, (N,), bool."""
    parts = []
    for places in torch.arange(len(rows)).split(BATCH):
        x = rows.floats(places)
        fits = [model.fits(x, [names[i] for i in which[places]]) for which in (own, other)]
        parts.append(fits[0] > fits[1])
    return torch.cat(parts).cpu()


@torch.inference_mode()
def _drawn(model: nn.Module, texts: Sequence[str], random: torch.Generator) -> Tensor:
    """An image of each text, (n, *event_shape), on the CPU."""
    if not isinstance(model, Prompted):
        raise InvalidInput(f"{type(model).__name__} does not read: measure another figure.")
    names, which = _numbered(texts)
    codes = model.read(names)
    parts = [
        model.sample(len(some), generator=random, prompt=codes[some.to(codes.device)]).float().cpu()
        for some in which.split(BATCH)
    ]
    return torch.cat(parts)


def _numbered(texts: Sequence[str]) -> tuple[list[str], Tensor]:
    """The different texts, and for each text its place among them, (N,), int64."""
    names = list(dict.fromkeys(texts))
    numbers = {name: i for i, name in enumerate(names)}
    return names, torch.tensor([numbers[text] for text in texts])


def _groups(net: nn.Module, rows: Dataset, head: int) -> Tensor:
    """The class of each row that a head is to name, (N,), int64."""
    if not isinstance(net, FeatureNet) or not 0 <= head < len(net.heads):
        raise InvalidInput(f"{type(net).__name__} has no head {head}: name another feature net.")
    total = int(torch.tensor(net.heads).prod())
    if rows.labels is None or len(rows.classes) != total:
        raise InvalidInput(
            f"{rows.name} has {len(rows.classes)} classes, but the net's heads have {total} "
            "together: expected the data that it was taught."
        )
    return torch.unravel_index(rows.labels, net.heads)[head]


def _captioned(rows: Dataset) -> Dataset:
    if not rows.texts:
        raise InvalidInput(f"{rows.name} has no captions: there is nothing to read.")
    return rows
