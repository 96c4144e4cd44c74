"""The maximum-likelihood tree: Chow & Liu 1968 (IEEE Transactions on Information Theory 14).

Of all trees, the one with the greatest sum of mutual information over its edges has the greatest
likelihood: a maximum spanning tree. It has as many parameters as a
chain, and learns which variable depends on which.

The root is the first variable (any would do), and the order that of Prim's algorithm, in which
parents come before their children. Mutual information is that of the counts, without smoothing.
"""

import torch
from torch import Tensor

from zoo_autoregressive.tree import Tree

__all__ = ["ChowLiu", "spanning_tree"]


class ChowLiu(Tree):
    """A tree of binary variables that is learned from data.

    Args:
        shape: shape of one input, (C, H, W) for images or (D,) for tables.
        alpha: added to the count of each value of a variable and its parent.
    """

    def __init__(self, shape: tuple[int, ...] = (1, 28, 28), alpha: float = 1.0) -> None:
        super().__init__(shape, alpha, torch.arange(torch.Size(shape).numel()))

    def fit(self, counts: Tensor) -> None:
        """Find the tree, then set its logits, from the sum of the statistics, (1 + D, 1 + D)."""
        order, parent = spanning_tree(_mutual_information(counts.cpu().double()))
        self.order.copy_(order)
        self.parent.copy_(parent)
        super().fit(counts)


def _mutual_information(N: Tensor) -> Tensor:
    """I(x_i; x_j) = H(x_i) + H(x_j) - H(x_i, x_j) of each pair, (D, D), nats.

    N: how often two variables are 1 together, (1 + D, 1 + D); variable 0 is always 1.
    """
    n, on, both = N[0, 0], N[0, 1:], N[1:, 1:]
    one = _entropy(on / n) + _entropy(1 - on / n)
    rest = n - on - on.unsqueeze(1) + both
    cells = (both, on - both, on.unsqueeze(1) - both, rest)
    two = torch.stack([_entropy(cell / n) for cell in cells]).sum(0)
    return one + one.unsqueeze(1) - two


def _entropy(p: Tensor) -> Tensor:
    return -torch.xlogy(p, p)


def spanning_tree(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Prim's algorithm for the tree of greatest weight, grown from vertex 0.

    weight: of each edge, (D, D).

    Returns the order in which vertices join, (D,), and the place in it of each one's parent but
    the first's, (D - 1,).
    """
    D = len(weight)
    best, link = weight[0].clone(), torch.zeros(D, dtype=torch.long)
    outside = torch.ones(D, dtype=torch.bool)
    order, parent = [0], list[int]()
    outside[0] = False
    for t in range(1, D):
        i = int(best.masked_fill(~outside, -torch.inf).argmax())
        order.append(i)
        parent.append(int(link[i]))
        outside[i] = False
        closer = weight[i] > best
        best[closer], link[closer] = weight[i, closer], t
    return torch.tensor(order), torch.tensor(parent, dtype=torch.long)
