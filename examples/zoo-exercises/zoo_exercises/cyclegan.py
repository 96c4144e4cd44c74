"""Exercise 10: the cycle-consistency loss of CycleGAN (Zhu et al. 2017).

F translates from X to Y, and G back. What went there and back should be what it was, in both
directions: E|G(F(x)) − x| + E|F(G(y)) − y|, each the mean absolute difference of a pixel.

    zoo plugin check . --architecture cycle-loss
"""

from collections.abc import Callable

from torch import Tensor, nn

Translation = Callable[[Tensor], Tensor]


class CycleLoss(nn.Module):
    """What two translations minimise together.

    Args:
        shape: shape of one image, (C, H, W).
    """

    def __init__(self, shape: tuple[int, ...] = (1, 3, 3)) -> None:
        super().__init__()
        self.event_shape = tuple(shape)

    def loss(self, x: Tensor, y: Tensor, F: Translation, G: Translation) -> Tensor:
        """The sum of both directions, (); x and y: images of each domain, (B, C, H, W)."""
        raise NotImplementedError  # your lines here
