"""A sampler whose step is compiled draws what it draws without."""

import shutil
from typing import Any

import pytest
import torch
from torch import nn
from zoo_autoregressive.attention import Attention
from zoo_autoregressive.made import MADE
from zoo_autoregressive.nade import NADE
from zoo_autoregressive.pixelcnn import PixelCNN

import zoo_core
from zoo_core.errors import InvalidInput

SHAPE = (1, 3, 2)


def samples(model: nn.Module, **options: Any) -> torch.Tensor:
    return zoo_core.run(model, "sample", n=8, seed=1, **options).tensors["samples"]


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What torch.compile is called with, which then takes seconds less: it only traces."""
    calls, compile_ = list[dict[str, Any]](), torch.compile

    def trace(function: Any, **options: Any) -> Any:
        calls.append(options)
        return compile_(function, backend="eager", dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", trace)
    return calls


def stirred(model: nn.Module) -> nn.Module:
    random = torch.Generator().manual_seed(0)
    for parameter in model.requires_grad_(False).parameters():
        parameter.normal_(generator=random)
    return model.eval()


def test_a_compiled_step_draws_the_same() -> None:
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile needs a C++ compiler, and there is none here")
    model = stirred(NADE(SHAPE, hidden=5))
    assert torch.equal(samples(model, compile=True), samples(model))


@pytest.mark.parametrize("levels", [2, 4])
def test_a_traced_step_of_attention_draws_the_same(
    levels: int, uncompiled: list[dict[str, Any]]
) -> None:
    model = stirred(Attention(SHAPE, levels=levels, d=8, h=2, blocks=1, d_ff=8))
    assert torch.equal(samples(model, compile=True), samples(model))
    assert uncompiled == [{"dynamic": False, "mode": None}]
    assert "walk" not in vars(model)


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.usefixtures("uncompiled")
def test_a_traced_step_of_pixelcnn_draws_the_same(levels: int) -> None:
    model = stirred(PixelCNN(SHAPE, levels=levels, hidden=2, layers=1, head=3))
    assert torch.equal(samples(model, compile=True), samples(model))


def test_a_completion_walks_over_what_is_known(uncompiled: list[dict[str, Any]]) -> None:
    from zoo_core.export.compiled import compiled_step

    model = NADE(SHAPE, hidden=5)
    stirred(model)
    known = torch.zeros(SHAPE, dtype=torch.bool)
    known[:, 0] = True
    x = torch.ones(4, *SHAPE)
    expected = model.complete(x, known, generator=torch.Generator().manual_seed(1))
    with compiled_step(model, "x"):
        found = model.complete(x, known, generator=torch.Generator().manual_seed(1))
    assert torch.equal(found, expected)


def test_a_model_without_a_step_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"has no step of its own to compile.*nade.*pixelcnn"):
        samples(MADE(SHAPE, hidden=[5]), compile=True)


def test_a_label_is_refused() -> None:
    model = Attention(SHAPE, levels=2, d=8, h=2, blocks=1, d_ff=8, classes=3)
    with pytest.raises(InvalidInput, match="takes no label"):
        samples(model, compile=True, label=1)


def test_a_missing_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import TorchDynamoException

    def fail(*_: Any) -> None:
        raise TorchDynamoException("InvalidCxxCompiler: No working C++ compiler found\n\nSet …")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fail)
    with pytest.raises(InvalidInput, match=r"compiler found\. It needs a C\+\+ compiler"):
        samples(NADE(SHAPE, hidden=5), compile=True)
