"""What a mixture over orders is worth: the likelihood that its first order has alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

from zoo_autoregressive.eonade import EoNADE
from zoo_core.errors import InvalidInput
from zoo_core.metrics import Measured
from zoo_core.metrics.likelihood import held_out, values
from zoo_core.metrics.rows import Root

__all__ = ["one_order_nll"]


def one_order_nll(
    model: nn.Module, protocol: Mapping[str, Any], data_root: Root = None
) -> Measured:
    """Mean of -log p(x) by the first of a model's orders, in nats; protocol as of `test_nll`.

    Raises InvalidInput for a model that does not mix orders.
    """
    if not isinstance(model, EoNADE):
        raise InvalidInput(
            f"{type(model).__name__} does not mix orders: measure test_nll, which is of its one."
        )
    log_p = partial(model.log_prob_in, order=model.orders[0])
    return Measured.of(-values(model, held_out(protocol, data_root), log_p))
