"""What a model can do as pure functions of tensors: names, shapes and ranges.

    decode        z -> x                    Decoder
    encode        x -> z                    Encoder
    conditionals  x -> log p(x_i | x_<i)    Autoregressive
    step          t, x_{t-1}, state -> logits of x_t, state   Stepwise; a discrete Autoregressive
    log_prob      x -> log p(x)             DensityModel that is no Autoregressive
    classify      x -> class                Classifier
    features      x -> features             Featurizer
    translate-to  x -> x                    Translator, one for each domain

A model adds functions of its own by `Exportable.exports`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from zoo_core.protocols import (
    Autoregressive,
    Classifier,
    Decoder,
    DensityModel,
    Encoder,
    Featurizer,
    Translator,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Exportable", "Function", "Stepwise", "Value", "exporting", "functions", "levels_of"]

_MOST_LEVELS = 8
"""A step that is derived evaluates the model once for each level."""


@dataclass(frozen=True, slots=True)
class Value:
    """An input or an output of a function."""

    name: str
    shape: tuple[int | str, ...]
    """Sizes; `n` stands for the number of inputs."""
    low: float | None = None
    """The least value; None where there is none."""
    high: float | None = None
    """The greatest value, included."""
    levels: int | None = None
    """Number of values that it takes, evenly spaced; None for real numbers."""
    dtype: str = "float32"
    """`float32` or `int64`."""
    unit: str = ""
    """What it is measured in: `nats`, or `logits`."""

    def example(self, n: int, generator: torch.Generator) -> Tensor:
        """Random values of this shape and range."""
        import torch

        shape = [n if size == "n" else int(size) for size in self.shape]
        if self.dtype == "int64":
            low, high = int(self.low or 0), int(self.high or 0)
            return torch.randint(low, high + 1, shape, generator=generator)
        if self.low is None or self.high is None:
            return torch.randn(shape, generator=generator)
        u = torch.rand(shape, generator=generator)
        if self.levels is not None:
            u = (u * self.levels).floor().clamp(max=self.levels - 1) / (self.levels - 1)
        return self.low + (self.high - self.low) * u

    def as_dict(self) -> dict[str, Any]:
        """What differs from the defaults, as plain values."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class Function:
    """A pure function of a model: the same tensors in, the same tensors out."""

    name: str
    """Lower case, digits, hyphens and underscores."""
    summary: str
    """One line, no full stop."""
    call: Callable[..., Any]
    """A method of the model, or a function that calls it: tensors in; a tensor or several out."""
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    state: int = 0
    """Number of the last inputs that are a state: zeros at first, then what the last outputs were.
    """

    def examples(self, n: int, seed: int = 0) -> tuple[Tensor, ...]:
        """Random inputs of n rows; a state is zero, as it is at the start."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        tensors = [value.example(n, generator) for value in self.inputs]
        first = len(tensors) - self.state
        states = (torch.zeros_like(tensor) for tensor in tensors[first:])
        return (*tensors[:first], *states)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The outputs, always a tuple."""
        y = self.call(*inputs)
        return tuple(y) if isinstance(y, tuple | list) else (y,)

    def as_dict(self) -> dict[str, Any]:
        """All but the code, as plain values."""
        return {
            "name": self.name,
            "summary": self.summary,
            "inputs": [value.as_dict() for value in self.inputs],
            "outputs": [value.as_dict() for value in self.outputs],
            "state": self.state,
        }


@runtime_checkable
class Stepwise(Protocol):
    """A chain-rule model that computes one variable from what the step before has left.

    Without it a step evaluates `conditionals` once for each level.
    """

    levels: int | None

    if TYPE_CHECKING:  # as a buffer it is none of what isinstance sees from Python 3.12 on
        order: Tensor

    def state(self, n: int) -> tuple[Tensor, ...]:
        """What is carried along before the first variable, zeros, (n, …) each."""
        ...

    def step(self, t: Tensor, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """The logits of the variable at place t of the order, and the new state.

        They are (n,) for binary variables, what is before the sigmoid; else (n, levels).

        t: (), int64, from 0. No Python number is made of it: the code is the same for each t.
        x: value of the variable before it, (n,), in [0, 1]; 0 where t is 0.
        """
        ...


@runtime_checkable
class Exportable(Protocol):
    """A model that names functions beside those that follow from its protocols."""

    def exports(self) -> Sequence[Function]:
        """The functions; one of a known name takes its place."""
        ...


def exporting() -> bool:
    """Whether a graph is traced for an export: a loop that saves memory may be one expression."""
    import torch

    return bool(getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)())


def functions(model: nn.Module) -> dict[str, Function]:
    """What a model can do as pure functions of tensors, by name."""
    found = {function.name: function for function in _derive(model)}
    if isinstance(model, Exportable):
        found |= {function.name: function for function in model.exports()}
    return found


def _derive(model: nn.Module) -> Iterator[Function]:
    shape: tuple[int, ...] = tuple(getattr(model, "event_shape", ()))
    levels: int | None = getattr(model, "levels", None)
    x = Value("x", ("n", *shape), 0.0, 1.0, levels)
    y = replace(x, name="y", levels=None)
    if isinstance(model, Decoder):
        z = Value("z", ("n", model.latent_dim))
        yield Function("decode", "Latents to images", model.decode, (z,), (replace(y, name="x"),))
    if isinstance(model, Encoder):
        z = Value("z", ("n", model.latent_dim))
        yield Function(
            "encode", "Inputs to latents, the posterior's mean", model.encode, (x,), (z,)
        )
    if isinstance(model, Autoregressive):
        log_p = Value("log_p", ("n", prod(shape)), unit="nats")
        what = "log p of each variable given those before it"
        yield Function("conditionals", what, model.conditionals, (x,), (log_p,))
        if isinstance(model, Stepwise) or (levels or 1_000) <= _MOST_LEVELS:
            yield _step(model, shape)
    elif isinstance(model, DensityModel):
        log_p = Value("log_p", ("n",), unit="nats")
        yield Function("log_prob", "log p of each input", model.log_prob, (x,), (log_p,))
    if isinstance(model, Classifier) and model.classes:
        label = Value("label", ("n",), 0, model.classes - 1, dtype="int64")
        yield Function("classify", "The class of each input", model.classify, (x,), (label,))
    if isinstance(model, Featurizer):
        features = Value("features", ("n", model.feature_dim))
        yield Function("features", "Features of each input", model.features, (x,), (features,))
    if isinstance(model, Translator):
        for domain in model.domains:
            call, what = partial(model.translate, to=domain), f"Each image in the domain {domain}"
            yield Function(f"translate-{domain}", what, call, (x,), (y,))


def _step(model: Autoregressive, shape: tuple[int, ...]) -> Function:
    D, K = prod(shape), levels_of(model)
    t = Value("t", (), 0, D - 1, dtype="int64")
    x = Value("x", ("n",), 0.0, 1.0, K)
    logits = Value("logits", ("n",) if K == 2 else ("n", K), unit="logits")
    if isinstance(model, Stepwise):
        carried, call = model.state(1), model.step
    else:
        carried, call = (model.order.new_empty(1, D),), partial(_step_by_conditionals, model)
    state = [Value(f"state_{i}", ("n", *part.shape[1:])) for i, part in enumerate(carried)]
    after = [replace(part, name=f"next_{part.name}") for part in state]
    what = "Logits of one variable given those before it, in the order"
    return Function("step", what, call, (t, x, *state), (logits, *after), len(state))


def levels_of(model: Autoregressive) -> int:
    """The number of values of a variable, of a model that `functions` gives a step."""
    assert model.levels is not None
    return model.levels


def _step_by_conditionals(
    model: Autoregressive, t: Tensor, x: Tensor, so_far: Tensor
) -> tuple[Tensor, Tensor]:
    """A step of any model: the conditional of the variable with each of its values.

    so_far: the variables at their own places, (n, D), zeros from place t - 1 of the order on.
    """
    import torch

    order, K = model.order, levels_of(model)
    place = order.index_select(0, (t - 1).clamp(min=0).reshape(1))
    before = torch.arange(so_far.shape[1], device=x.device) == place
    so_far = torch.where(before & (t > 0), x.unsqueeze(1), so_far)
    here = order.index_select(0, t.reshape(1))
    mask = torch.arange(so_far.shape[1], device=x.device) == here
    logits = []
    for value in range(K):
        given = torch.where(mask, value / (K - 1), so_far)
        log_p = model.conditionals(given.reshape(-1, *model.event_shape))
        logits.append(log_p.index_select(1, here).squeeze(1))
    return logits[1] - logits[0] if K == 2 else torch.stack(logits, 1), so_far
