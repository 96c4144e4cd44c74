"""Exercise 9: the non-saturating loss of a generator (Goodfellow et al. 2014).

The discriminator gives a logit l, so that D = σ(l) is its probability that a sample is data. Where
it is sure of a sample, log(1 − D) is flat and the generator learns nothing; −log D is not. Beware
of the logarithm of 0.

    zoo plugin check . --architecture gan-loss
"""

from torch import Tensor, nn


class GANLoss(nn.Module):
    """What a generator minimises.

    Args:
        shape: shape of one logit, (1,).
    """

    def __init__(self, shape: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        self.event_shape = tuple(shape)

    def loss(self, logits: Tensor) -> Tensor:
        """The mean of −log D over a batch, (); logits of generated samples, (B,)."""
        raise NotImplementedError  # your lines here
