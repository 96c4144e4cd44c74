"""Translations between two styles of drawn faces, by a net that names style and shared attributes.

There is no true answer: no person is drawn in both styles. What can be measured is whether a
translation has the requested style, and whether the attributes that both styles share are
unchanged: the net's first head predicts the style, the others the shared attributes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zoo_adversarial.figures import translate_rows
from zoo_adversarial.styles import OfStyle
from zoo_core.features.attributes import predict_attributes, require_heads
from zoo_core.metrics import Measured
from zoo_core.metrics.classification import labels_of
from zoo_core.metrics.rows import Root, load
from zoo_core.metrics.samples import Kept, feature_net
from zoo_core.protocols import Translator

__all__ = ["shared_kept", "style_asked", "worst_shared_kept", "worst_style_asked"]

_KNOWN: Kept[list[Tensor]] = Kept()


def style_asked(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """How often the net sees the requested style, in percent."""
    return _share(protocol, torch.cat(_judge(model, protocol, data_root))[:, 0])


def worst_style_asked(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """The same of the worse direction."""
    return min(_share(protocol, seen[:, 0]) for seen in _judge(model, protocol, data_root))


def shared_kept(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """How often it sees all shared attributes unchanged, in percent."""
    return _share(protocol, torch.cat(_judge(model, protocol, data_root))[:, 1:].all(1))


def worst_shared_kept(model: Translator, protocol: OfStyle, data_root: Root = None) -> Measured:
    """The same of the worse direction."""
    found = _judge(model, protocol, data_root)
    return min(_share(protocol, seen[:, 1:].all(1)) for seen in found)


def _judge(model: Translator, protocol: OfStyle, data_root: Root) -> list[Tensor]:
    """Which heads predict what they should, (n, heads), bool, by direction; kept for a model."""
    about = protocol, str(data_root)
    return _KNOWN.of(model, about, lambda: _translate(model, protocol, data_root))


@torch.inference_mode()
def _translate(model: Translator, protocol: OfStyle, data_root: Root) -> list[Tensor]:
    rows, judge = load(protocol, data_root), require_heads(feature_net(protocol.features).model)
    truth = torch.stack(torch.unravel_index(labels_of(rows), judge.heads), 1)
    found = []
    for to, domain in enumerate(model.domains):
        others = (truth[:, 0] != to).nonzero().squeeze(1)
        wanted = truth[others].clone()
        wanted[:, 0] = to
        y = translate_rows(model, rows[others], domain)
        found.append(predict_attributes(judge, y) == wanted)
    return found


def _share(protocol: OfStyle, right: Tensor) -> Measured:
    return feature_net(protocol.features).sign(Measured.of(100.0 * right.float()))
