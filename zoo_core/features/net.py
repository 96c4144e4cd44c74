"""FeatureNet: a small residual classifier (He et al. 2015) that is kept for its features.

The features are what a classifier knows of an image just before it names a class: the last layer's
channels, averaged over places. Distances between sets of images are measured there, as those of
photographs are in Inception's.

We differ from the paper in the stem and the shortcuts, which are those of timm's `resnet10t`, in
far fewer channels, and in that several heads may name several things: the first is `classify`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo_core.checks import check_inputs
from zoo_core.errors import InvalidInput

__all__ = ["FeatureNet"]


class FeatureNet(nn.Module):
    """A backbone of timm's with random weights, and a linear head for each thing it is to name.

    Args:
        shape: of an input, (C, H, W).
        heads: number of classes of each head. Where there are several, a row's one label is the
            number that their classes make, the last one changing fastest.
        backbone: one of timm's residual networks.
        channels: of its four stages; the last is the number of features.
        stem: channels of the convolutions before them.
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        heads: Sequence[int] = (10,),
        backbone: str = "resnet10t",
        channels: Sequence[int] = (16, 32, 64, 128),
        stem: int = 16,
    ) -> None:
        super().__init__()
        import timm  # seconds, which a listing does not pay

        self.event_shape = tuple(shape)
        self.heads, self.classes = tuple(heads), heads[0]
        try:
            self.backbone = timm.create_model(
                backbone,
                in_chans=shape[0],
                num_classes=0,
                channels=tuple(channels),
                stem_width=stem,
            )
        except (RuntimeError, TypeError) as error:
            if min(*shape, *channels, stem) < 1:
                raise  # a config with such sizes is refused by name
            raise InvalidInput(
                f"backbone {backbone!r} with channels {tuple(channels)} is none that timm builds "
                f"({error}). `timm.list_models('resnet*')` names those there are."
            ) from None
        features: Any = self.backbone.num_features
        self.feature_dim = int(features)
        self.head = nn.Linear(self.feature_dim, sum(heads))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The logits of each head, (B, classes of the head).

        x: images, (B, C, H, W), in [0, 1].
        """
        return self.head(self.features(x)).split(self.heads, 1)  # type: ignore[no-any-return]

    def features(self, x: Tensor) -> Tensor:
        """The features of images (B, C, H, W) in [0, 1]: (B, feature_dim), not negative."""
        check_inputs(self, x)
        h: Tensor = self.backbone(x * 2 - 1)
        return h

    def classify(self, x: Tensor, head: int = 0) -> Tensor:
        """The most probable class of images (B, C, H, W) in [0, 1] by one head: (B,), int64."""
        return self(x)[head].argmax(1)  # type: ignore[no-any-return]
