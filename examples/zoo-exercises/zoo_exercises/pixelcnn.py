"""Exercise 5: the masks A and B of PixelCNN (van den Oord et al. 2016).

A pixel may depend on the rows above it and on what is left of it in its own row. The first layer
sees the image, so its mask (A) hides the pixel itself; the layers above see what is computed for
the pixel, which does not hold the pixel any more, so theirs (B) shows it.

    zoo plugin check . --architecture pixelcnn-masks
"""

import torch
from torch import Tensor, nn

from zoo_exercises.chain import Chain


class PixelCNN(Chain):
    """Three masked convolutions of 3x3.

    Args:
        shape: shape of one image, (1, H, W).
        channels: number of channels between the layers.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), channels: int = 16) -> None:
        super().__init__(shape)
        sizes = [(1, channels), (channels, channels), (channels, 1)]
        self.layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in sizes)

    def mask(self, kind: str) -> Tensor:
        """Which weights of a 3x3 kernel are kept, (3, 3), bool; kind: "A" or "B"."""
        raise NotImplementedError  # your lines here

    def logits(self, x: Tensor) -> Tensor:
        """The logit of each pixel given those before it, (B, D); x: (B, D), in {0, 1}."""
        h = x.reshape(-1, *self.event_shape)
        for kind, layer in zip("ABB", self.layers, strict=True):
            h = h if kind == "A" else torch.tanh(h)
            h = nn.functional.conv2d(h, layer.weight * self.mask(kind), layer.bias, padding=1)
        return h.flatten(1)
