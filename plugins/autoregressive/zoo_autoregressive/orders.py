"""The metric `one_order_nll`: the likelihood of the first order of a mixture alone."""

from __future__ import annotations

from functools import partial

from zoo_autoregressive.eonade import EoNADE
from zoo_core.metrics import Measured
from zoo_core.metrics.likelihood import held_out
from zoo_core.metrics.rows import OfBinaryRows, Root

__all__ = ["one_order_nll"]


def one_order_nll(model: EoNADE, protocol: OfBinaryRows, data_root: Root = None) -> Measured:
    """Mean of -log p(x) by the first of a model's orders, in nats; protocol as of `test_nll`."""
    log_p = partial(model.log_prob_in, order=model.orders[0])
    return Measured.of(-held_out(model, protocol, data_root, log_p))
