"""Classification, on images that are moved, turned and scaled a little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.errors import InvalidInput
from zoo_core.features.net import FeatureNet
from zoo_core.protocols import Update

__all__ = ["CrossEntropy", "jittered"]


class CrossEntropy:
    """Minimises the sum over the heads of −log p(class | x), in nats.

    Args:
        model: a FeatureNet.
        shift: largest move of a training image, as a share of its side.
        turn: largest turn, in degrees.
        zoom: largest change of its scale, as a share.
    """

    monitor: ClassVar[str] = "error"

    def __init__(
        self, model: nn.Module, shift: float = 0.0, turn: float = 0.0, zoom: float = 0.0
    ) -> None:
        # a third faster on a processor
        self.networks = {"model": model.to(memory_format=torch.channels_last)}
        self.shift, self.turn, self.zoom = shift, turn, zoom

    @property
    def _model(self) -> FeatureNet:
        return cast(FeatureNet, self.networks["model"])

    def begin(self, mean: Tensor) -> None:
        """Nothing depends on the data's mean."""

    def training_step(
        self,
        x: Tensor,
        update: Mapping[str, Update],
        generator: torch.Generator,
        labels: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Apply the mean cross-entropy over images x, (B, C, H, W), with labels (B,)."""
        loss = self._nats(jittered(x, self.shift, self.turn, self.zoom, generator), labels).mean()
        update["model"](loss)
        return {"nats": loss.detach()}

    def validation_step(
        self, x: Tensor, generator: torch.Generator, labels: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Return the cross-entropy of each image, and the share of its heads that err, (B,)."""
        logits, targets = self._model(x), self._targets(labels)
        wrong = [(one.argmax(1) != y).float() for one, y in zip(logits, targets, strict=True)]
        return {"nats": self._nats(x, labels), "error": torch.stack(wrong).mean(0)}

    def _nats(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """−log p of the classes of each image, (B,)."""
        pairs = zip(self._model(x), self._targets(labels), strict=True)
        return torch.stack(
            [functional.cross_entropy(logits, y, reduction="none") for logits, y in pairs]
        ).sum(0)

    def _targets(self, labels: Tensor | None) -> tuple[Tensor, ...]:
        count = math.prod(self._model.heads)
        if labels is None:
            raise InvalidInput("a classifier learns from labels, and the data have none.")
        if labels.min() < 0 or labels.max() >= count:
            raise InvalidInput(
                f"labels run from {int(labels.min())} to {int(labels.max())}, but the heads "
                f"{list(self._model.heads)} have {count} classes together, from 0: set config.heads"
                " to what the data hold."
            )
        return self._model.targets(labels)


def jittered(
    x: Tensor, shift: float, turn: float, zoom: float, generator: torch.Generator
) -> Tensor:
    """Move, turn and scale each image by amounts of its own; what comes in is what is at the edge.

    x: images, (B, C, H, W).
    shift: largest move, as a share of the side.
    turn: largest turn, in degrees.
    zoom: largest change of scale, as a share.
    """
    if not (shift or turn or zoom):
        return x
    u = torch.rand(4, len(x), generator=generator, device=x.device, dtype=x.dtype) * 2 - 1
    angle, scale = u[0] * math.radians(turn), 1 + u[1] * zoom
    cos, sin = scale * angle.cos(), scale * angle.sin()
    # the grid runs from −1 to 1, twice a side
    rows = [cos, -sin, 2 * shift * u[2], sin, cos, 2 * shift * u[3]]
    grid = functional.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), x.shape, align_corners=False)  # type: ignore[arg-type]
    return functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
