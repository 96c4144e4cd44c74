"""What weights hold beside parameters is checked where they are loaded: orders, trees, degrees."""

from typing import Any

import pytest
import torch
from torch import nn
from zoo_autoregressive.ar import AR
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.bernoulli import Bernoulli
from zoo_autoregressive.categorical import Categorical
from zoo_autoregressive.chow_liu import ChowLiu
from zoo_autoregressive.eonade import EoNADE
from zoo_autoregressive.fvsbn import FVSBN
from zoo_autoregressive.joint import Joint
from zoo_autoregressive.made import MADE
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.pixelcnn import PixelCNN


@pytest.mark.parametrize(
    ("cls", "config"),
    [
        (AR, {}),
        (Attention, {"d": 4}),
        (Bernoulli, {}),
        (Categorical, {"levels": 2}),
        (ChowLiu, {}),
        (FVSBN, {}),
        (Joint, {}),
        (MADE, {"hidden": [4]}),
        (NADE, {"hidden": 4}),
        (PixelCNN, {"layers": 1}),
    ],
)
def test_weights_whose_order_is_no_permutation_are_refused(
    cls: type[nn.Module], config: dict[str, Any]
) -> None:
    state = cls(shape=(1, 2, 2), **config).state_dict()
    cls(shape=(1, 2, 2), **config).load_state_dict(state)
    for order in ([0, 1, 2, 2], [0, 1, 2, 4], [-1, 0, 1, 2]):
        state["order"] = torch.tensor(order)
        with pytest.raises(ValueError, match="order is no permutation of the variables"):
            cls(shape=(1, 2, 2), **config).load_state_dict(state)


def test_one_of_several_orders_that_is_no_permutation_is_refused() -> None:
    model = EoNADE((1, 2, 2), [4], orders=3)
    model.orders[1, 0] = model.orders[1, 1]
    with pytest.raises(ValueError, match="orders is no permutation"):
        EoNADE((1, 2, 2), [4], orders=3).load_state_dict(model.state_dict())


@pytest.mark.parametrize("parent", [[0, 2, 1], [-1, 0, 1], [0, 0, 3]])
def test_weights_whose_parents_are_no_tree_are_refused(parent: list[int]) -> None:
    state = ChowLiu((4,)).state_dict() | {"parent": torch.tensor(parent)}
    with pytest.raises(ValueError, match="parent is no tree"):
        ChowLiu((4,)).load_state_dict(state)


@pytest.mark.parametrize(
    ("name", "degrees"),
    [("layers.0.m", [0, 1, 2, 3]), ("layers.0.m", [2, 1, 1, 1]), ("V.m", [1, 1, 2, 3])],
)
def test_weights_whose_degrees_let_an_output_see_itself_are_refused(
    name: str, degrees: list[int]
) -> None:
    state = MADE((4,), [4]).state_dict() | {name: torch.tensor(degrees)}
    with pytest.raises(ValueError, match="degrees of its units are not those of a masked"):
        MADE((4,), [4]).load_state_dict(state)
