"""AR(k) of mixed columns: a linear map of the k columns before gives each column's conditional.

    outputs_i = b_i + Σ_{i-k≤j<i} W_ij inputs_j

Between a chain, which has a table for each pair, and FVSBN, which sees all columns before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from zoo_autoregressive.mixed_fvsbn import MixedFVSBN
from zoo_core.errors import InvalidInput

__all__ = ["MixedAR"]


class MixedAR(MixedFVSBN):
    """Regression of each column on the k before it.

    Args:
        shape: shape of one input, (D,).
        columns: what each column is, as `zoo_core.data.columns.Column`; binary ones by default.
        k: number of columns that each one depends on; all before it where there are fewer.
        components: Gaussians in the mixture of a real column.
        order: `raster`, `random` for a permutation seeded by `order_seed`, or a list of all
            columns, numbered from 0.
        order_seed: seed of the random order.
    """

    name = "mixed-ar"

    def __init__(
        self,
        shape: Sequence[int] = (9,),
        columns: Sequence[Mapping[str, Any]] = (),
        k: int = 1,
        components: int = 10,
        order: str | Sequence[int] = "raster",
        order_seed: int = 0,
    ) -> None:
        super().__init__(shape, columns, components, order, order_seed)
        if k < 1:
            raise InvalidInput(f"k is {k}; expected 1, the column before, or more.")
        self.k = k

    def _depends(self, i: Tensor, j: Tensor) -> Tensor:
        """Whether the column at place i of the order depends on that at place j."""
        return (j < i) & (j >= i - self.k)
