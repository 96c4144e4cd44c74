"""The laws of exports: a file gives what the model gives, and steps give the conditionals."""

from __future__ import annotations

import fnmatch
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo_core.export import Function, functions
from zoo_core.export.function import levels_of
from zoo_core.protocols import Autoregressive, narrow
from zoo_core.testing.case import Case
from zoo_core.testing.law import LawSkipped, expect, law

__all__: list[str] = []  # reached through LAWS

_TOLERANCE = 1e-4
_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def _declares(case: Case) -> bool:
    """Whether an architecture declares exports; they are tried on one config: it takes seconds."""
    return case.first and bool(case.architecture.exports)


def _steps(model: nn.Module) -> bool:
    return isinstance(model, Autoregressive) and "step" in functions(model)


@law(_steps)
def steps_agree_with_conditionals(case: Case) -> None:
    """The logits of one step after another, in the order, give the conditionals."""
    model = case.stirred()
    chain, step = narrow(model, Autoregressive), functions(model)["step"]
    x, K = _inputs(case, 4), levels_of(chain)
    state = step.examples(4)[2:]
    before, log_p = torch.zeros(4), []
    with torch.no_grad():
        whole = chain.conditionals(x)[:, chain.order]
        for t, x_t in enumerate(x.flatten(1)[:, chain.order].unbind(1)):
            logits, *rest = step(torch.tensor(t), before, *state)
            state, before = tuple(rest), x_t
            both = torch.stack([torch.zeros_like(logits), logits], 1) if K == 2 else logits
            level = x_t.mul(K - 1).round().long()
            log_p.append(-functional.cross_entropy(both, level, reduction="none"))
    off = float((torch.stack(log_p, 1) - whole).abs().max())
    expect(off < _TOLERANCE, f"a difference of {off:.2g} nats", f"less than {_TOLERANCE}")


@law(when=_declares)
def export_equals_model(case: Case) -> None:
    """Each declared function as ONNX, run by onnxruntime, gives what the model gives."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise LawSkipped(
            f"{', '.join(missing)} is not installed, which runs exports: "
            "pip install 'zoo-core[onnx]'"
        )
    model = case.stirred()
    offered = functions(model)
    for pattern in case.architecture.exports:
        names = fnmatch.filter(offered, pattern)
        expect(bool(names), f"no function {pattern}", f"one of {', '.join(offered)}")
        for name in names:
            off = _off(model, offered[name])
            within = f"less than {_TOLERANCE} + {_TOLERANCE} |y|"
            expect(off < _TOLERANCE, f"{name}: a difference of {off:.2g}", within)


def _off(model: nn.Module, function: Function) -> float:
    """By how much a function's file differs, at most: |y − ŷ| / (1 + |y|)."""
    from zoo_core.export.onnx import convert, session, takes_one_input

    converted = convert(model, function)
    run = session(converted)
    off = 0.0
    for n in (1,) if takes_one_input(converted) else (1, 3):
        inputs = function.examples(n, seed=n)
        for _ in range(2 if function.state else 1):  # once from the start, once further on
            with torch.no_grad():
                wanted = function(*inputs)
            given = [torch.as_tensor(y) for y in run(*(x.numpy() for x in inputs))]
            pairs = zip(given, wanted, strict=True)
            off = max(off, *(_distance(y, y_hat) for y, y_hat in pairs))
            if function.state:
                inputs = _further(function, inputs, wanted)
    return off


def _further(
    function: Function, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]
) -> tuple[Tensor, ...]:
    first, carried = len(inputs) - function.state, len(outputs) - function.state
    asked = function.examples(len(outputs[0]), seed=7)[:first]
    return (*asked, *outputs[carried:])


def _distance(y: Tensor, other: Tensor) -> float:
    y, other = y.double(), other.double()
    if y.shape != other.shape:
        return float("inf")
    off: Any = ((y - other).abs() / (1 + other.abs())).max() if y.numel() else 0.0
    return float(off)


def _inputs(case: Case, n: int) -> Tensor:
    states = case.states()
    return states[torch.randperm(len(states), generator=torch.Generator().manual_seed(0))[:n]]
