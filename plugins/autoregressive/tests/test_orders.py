"""The likelihood by one order of a mixture."""

import pytest
import torch
from zoo_autoregressive.eonade import EoNADE
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.orders import one_order_nll

from zoo_core.errors import InvalidInput
from zoo_core.metrics import measure
from zoo_core.metrics.likelihood import nll
from zoo_core.metrics.rows import OfBinaryRows

PROTOCOL = OfBinaryRows(data="bars-and-stripes:test")


def model(orders: int) -> EoNADE:
    torch.manual_seed(0)
    return EoNADE(shape=(1, 3, 3), hidden=[8], orders=orders)


def test_one_order_is_the_mixture_of_one() -> None:
    alone = model(1)
    assert one_order_nll(alone, PROTOCOL).value == pytest.approx(nll(alone, PROTOCOL).value)
    assert one_order_nll(model(3), PROTOCOL).value != pytest.approx(nll(model(3), PROTOCOL).value)


def test_a_mixture_is_never_above_the_mean_of_its_orders() -> None:
    mixed, each = model(3), []
    for order in mixed.orders.clone():
        mixed.orders[0] = order
        each.append(one_order_nll(mixed, PROTOCOL).value)
    assert nll(model(3), PROTOCOL).value < sum(each) / 3


def test_a_model_of_one_order_is_refused() -> None:
    with pytest.raises(
        InvalidInput, match=r"a model of the class EoNADE, which NADE is not. Of NADE: test_nll"
    ):
        measure("one_order_nll", NADE(shape=(1, 3, 3), hidden=4), {"data": PROTOCOL.data})
