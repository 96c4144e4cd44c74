"""The chunked pass of NADE computes what the paper's recursion does, and its gradients."""

import pytest
import torch
from torch import Tensor
from zoo_autoregressive import nade
from zoo_autoregressive.nade import NADE


def recursion(model: NADE, x: Tensor) -> Tensor:
    """a_{i+1} = a_i + W_i x_i, a variable at a time."""
    σ = torch.sigmoid if model.activation == "sigmoid" else torch.relu
    a, logits = model.c.expand(len(x), -1), []
    for x_i, W_i, V_i in zip(x.unbind(1), model.W, model.V, strict=True):
        logits.append(σ(a) @ V_i)
        a = a + torch.outer(x_i, W_i)
    return torch.stack(logits, 1) + model.b


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("D", [2, 15, 16, 17, 40])
def test_chunks_give_the_logits_and_gradients_of_the_recursion(activation: str, D: int) -> None:
    torch.manual_seed(D)
    model = NADE((D,), hidden=7, activation=activation).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randint(2, (5, D)).double().requires_grad_()
    weight = torch.randn(5, D, dtype=torch.float64)
    wrt = [x, *model.parameters()]
    chunked, whole = model.logits(x), recursion(model, x)
    torch.testing.assert_close(chunked, whole)
    gradients = (torch.autograd.grad((z * weight).sum(), wrt) for z in (chunked, whole))
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected)


def test_rows_that_are_added_are_their_product(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    a, W, x = torch.randn(100, 90), torch.randn(16, 90), torch.randint(2, (100, 16)).float()
    assert nade._adds_rows(a)
    room = torch.empty(16, *a.shape)
    added = nade._activations(a, x, W, room).clone()
    with torch.autocast("cpu", torch.bfloat16):
        assert not nade._adds_rows(a)
    assert not nade._adds_rows(a.bfloat16())
    monkeypatch.setattr(nade, "_MANY", a.numel() + 1)
    torch.testing.assert_close(added, nade._activations(a, x, W, room), rtol=1e-6, atol=1e-6)
