"""Checks of a model's arguments: types, shapes, ranges, levels, labels, prompts.

Each method of a model that others call begins with one of these; messages are the same for all
models. A training loop has checked its data, and turns the checks off by `trusted`. In a graph that
is compiled or exported there are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from zoo_core import memory
from zoo_core.errors import InvalidInput
from zoo_core.precision import weight_of
from zoo_core.text import SHORT, quoted

__all__ = [
    "check_inputs",
    "check_labels",
    "check_latents",
    "check_mask",
    "check_path",
    "check_prompt",
    "check_rows",
    "check_sampling",
    "check_tensor",
    "check_texts",
    "check_whole",
    "trusted",
]

_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)
_TOLERANCE = 1e-3
"""How far a value may be from its level, in levels, or beyond [0, 1]."""
_MUCH = 2**28
"""Bytes, from which it is worth a look how much memory there is."""


@contextmanager
def trusted() -> Iterator[None]:
    """Check nothing inside: the data have been checked."""
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def check_inputs(model: Any, x: Tensor, known: Tensor | None = None) -> None:
    """Refuse anything but inputs of a model, (B, *event_shape), in [0, 1] and of its levels.

    model: has an event_shape, may have levels, and is `unbounded` where variables are any real
        numbers.
    known: the places that are looked at, event_shape, bool; None for all.
    """
    if _unchecked():
        return
    shape = tuple(model.event_shape)
    _check_tensor(model, "inputs", x, shape)
    _check_type(model, "inputs", x)
    if known is not None:
        check_mask(model, known)
        x = torch.where(known.to(x.device), x, 0)
    if x.numel():
        _check_values(model, x.detach())


def check_mask(model: Any, known: Tensor) -> None:
    """Refuse anything but a mask of a model's variables, event_shape, bool."""
    shape = tuple(model.event_shape)
    mask = isinstance(known, Tensor) and known.dtype == torch.bool and _is_there(known)
    if mask and tuple(known.shape) == shape:
        return
    raise _refusal(model, f"takes a mask of shape {shape}, bool", f"given {_describe(known)}")


def check_rows(model: Any, x: Tensor, known: Tensor | None = None) -> None:
    """Refuse anything but rows of a model's columns, (B, *event_shape); NaN is a missing cell.

    A model without columns takes inputs as any other.

    model: has an event_shape, and columns as `zoo_core.data.columns` describes them.
    known: the columns that are looked at, event_shape, bool; None for all.
    """
    if not model.columns or _unchecked():
        check_inputs(model, x, known)
        return
    if known is not None:
        check_inputs(model, torch.zeros(1, *model.event_shape), known)
    _check_tensor(model, "encoded rows", x, tuple(model.event_shape))
    top = torch.tensor([len(c.categories) - 1 if c.categories else math.inf for c in model.columns])
    top, cells = top.to(x.device), x.detach().flatten(1)
    wrong = cells.isinf() | (top < math.inf) & ~(
        (cells == cells.round()) & (cells >= 0) & (cells <= top)
    )
    wrong &= ~cells.isnan() if known is None else ~cells.isnan() & known.flatten().to(x.device)
    if wrong.any():
        row, i = (int(place) for place in wrong.nonzero()[0])
        column = model.columns[i]
        kind = f"a number from 0 to {len(column.categories) - 1}" if column.categories else "finite"
        raise _refusal(
            model,
            f"takes encoded rows, in which the column {column.name} is {kind}",
            f"given {float(cells[row, i]):g} at [{row}, {i}]",
            "zoo_core.data.columns.encode makes rows of a table's cells.",
        )


def check_latents(model: Any, z: Tensor) -> None:
    """Refuse anything but latents of a model, (n, latent_dim), finite."""
    if _unchecked():
        return
    _check_tensor(model, "latents", z, (model.latent_dim,))
    _check_type(model, "latents", z)
    if not z.detach().isfinite().all():
        raise _refusal(model, "takes finite latents", "given NaN or infinity")


def check_path(model: Any, z0: Tensor, z1: Tensor, steps: int) -> None:
    """Refuse anything but two latents of a model, (latent_dim,) each, and at least two steps."""
    for z in (z0, z1):
        if not isinstance(z, Tensor) or z.ndim != 1:
            wanted = f"takes two latents of shape ({model.latent_dim},), floats"
            raise _refusal(model, wanted, f"given {_describe(z)}")
        check_latents(model, z.unsqueeze(0))
    check_whole("steps", steps, "a whole number of steps", 2)


def check_sampling(n: int, temperature: float = 1.0, shape: Sequence[int] = ()) -> None:
    """Refuse a number of samples that is none or exceeds memory, or a temperature not above 0.

    shape: of one sample.
    """
    check_whole("n", n, "a whole number of samples")
    if not (_is_number(temperature) and 0 < temperature < math.inf):
        raise InvalidInput(
            f"temperature is {quoted(temperature, SHORT)}; expected a number above 0: 1 samples "
            "the model, less than 1 what is more probable."
        )
    if not torch.compiler.is_compiling() and (needed := 4 * n * math.prod(shape)) > _MUCH:
        samples = f"samples of shape {tuple(shape)}" if shape else "samples"
        memory.require(f"n is {n:,}: so many {samples} take", needed, "Ask for fewer at a time.")


def check_whole(name: str, value: int, what: str, least: int = 0, most: int | None = None) -> None:
    """Refuse anything but a whole number of a range; True and 2.0 are none.

    name: of the argument. what: it is, for the message: `a whole number of samples`.
    most: None for no bound.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and least <= value and (most is None or value <= most):
        return
    bounds = f"{least} or more" if most is None else f"{least} to {most}"
    raise InvalidInput(f"{name} is {quoted(value, SHORT)}; expected {what}, {bounds}.")


def check_labels(model: Any, label: Tensor | int | None, n: int) -> Tensor:
    """The label of each of n samples or inputs, (n,), int64; `model.classes` where it is open.

    label: one for all, or (n,), whole numbers; None, or `classes`, leaves it open.

    Raises InvalidInput for an unknown label.
    """
    classes = model.classes
    if label is None:
        return torch.full((n,), classes)
    if not classes:
        shown = quoted(label, SHORT)
        raise InvalidInput(f"unknown label {shown}: this model was trained without labels.")
    y = _whole_numbers(label)
    if y is None or y.shape not in ((), (1,), (n,)):
        raise _refusal(
            model,
            f"takes a label for all, or {n} of them, as whole numbers from 0 to {classes - 1}",
            f"given {_describe(label)}",
        )
    if y.numel() and (int(y.min()) < 0 or int(y.max()) > classes):
        shown = quoted(label, SHORT)
        raise InvalidInput(f"unknown label {shown}: expected 0 to {classes - 1}.")
    return y.long().expand(n)


def check_prompt(model: object, prompt: str | Tensor, n: int, code: int) -> None:
    """Refuse anything but a text for all, or codes of texts, (1, code) or (n, code).

    n: number of samples. code: features of a code.
    """
    if isinstance(prompt, str):
        return
    if isinstance(prompt, Tensor) and tuple(prompt.shape) in ((1, code), (n, code)):
        return
    texts = not isinstance(prompt, Tensor | bytes)
    raise _refusal(
        model,
        f"takes a prompt that is a text, or codes of texts of shape (1, {code}) or ({n}, {code})",
        f"given {_describe(prompt)}",
        "model.read(texts) makes codes of several texts." if texts else "",
    )


def check_tensor(name: str, x: Tensor, shape: Sequence[int | None], dtype: torch.dtype) -> None:
    """Refuse anything but a tensor of a type and a shape, in which None is any number.

    For what the other checks do not know: boxes, positions.

    name: of the argument.
    """
    like = isinstance(x, Tensor) and x.dtype == dtype and x.ndim == len(shape) and _is_there(x)
    if like and all(side in (own, None) for own, side in zip(x.shape, shape, strict=True)):
        return
    sides = ", ".join("any" if side is None else str(side) for side in shape)
    kind = str(dtype).removeprefix("torch.")
    raise InvalidInput(f"expected {name} of shape ({sides}), {kind}; given {_describe(x)}.")


def check_texts(texts: Sequence[str] | object) -> None:
    """Refuse anything but a list of texts, or another sequence of them; one text is none."""
    if isinstance(texts, str):
        raise InvalidInput(
            f"expected a list of texts; given the text {quoted(texts, SHORT)}. Write [text]."
        )
    if isinstance(texts, bytes) or not isinstance(texts, Sequence):
        raise InvalidInput(f"expected a list of texts; given {_describe(texts)}.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidInput(f"expected a list of texts; number {i} is {_describe(text)}.")


def _unchecked() -> bool:
    return torch.compiler.is_compiling() or _TRUSTED.get()


def _check_tensor(model: object, what: str, x: Tensor, shape: Sequence[int]) -> None:
    """Refuse anything but floats of shape (B, *shape), which are there: neither sparse nor meta."""
    floats = isinstance(x, Tensor) and x.is_floating_point()
    if floats and tuple(x.shape[1:]) == shape and x.ndim and _is_there(x):
        return
    wanted = ", ".join(map(str, ("B", *shape)))
    hint = ""
    if type(x).__module__ == "numpy":
        hint = "torch.from_numpy(x).float() makes a tensor of it."
    elif isinstance(x, Tensor) and not _is_there(x):
        hint = "It holds no values." if x.is_meta else "x.to_dense() holds every value."
    elif isinstance(x, Tensor) and tuple(x.shape) == shape:
        hint = "That is one of them: x.unsqueeze(0) makes a batch of it."
    elif isinstance(x, Tensor) and tuple(x.shape[1:]) == shape:
        hint = "x.float() makes floats of it."
    elif what == "inputs" and len(shape) == 3:
        hint = "Resize and crop images first, as zoo_core.dataset(name, size=...) does."
    raise _refusal(
        model, f"takes {what} of shape ({wanted}), floats", f"given {_describe(x)}", hint
    )


def _check_type(model: object, what: str, x: Tensor) -> None:
    """Refuse floats of another precision than the model's own."""
    own = weight_of(model, default=x).dtype
    if x.dtype != own:
        name = str(own).removeprefix("torch.")
        hint = f"x.to(torch.{name}) makes such of them."
        raise _refusal(model, f"takes {what} in {name}", f"given {_describe(x)}", hint)


def _check_values(model: object, x: Tensor) -> None:
    """Refuse NaN, values outside of [0, 1] and values between levels; x has values."""
    levels: int | None = getattr(model, "levels", None)
    if getattr(model, "unbounded", False):
        if not x.isfinite().all():
            raise _refusal(model, "takes finite values", "given NaN or infinity")
        return
    if _are_values(x, levels):
        return
    steps = levels - 1 if levels else 1
    near = (x * steps).round().clamp(0, steps) / steps if levels else x.clamp(0, 1)
    place = (near - x).abs().nan_to_num(math.inf).argmax()
    value = float(x.flatten()[place])
    index = [int(i) for i in torch.unravel_index(place, x.shape)]
    if levels == 2:
        wanted = "takes values that are 0 or 1"
    elif levels:
        wanted = f"takes one of {levels} values in [0, 1], v / {steps} for a whole number v"
    else:
        wanted = "takes values in [0, 1]"
    if math.isnan(value) or 0 <= value <= 1:
        hint = (
            "zoo_core.data.binarize(x, generator) makes greys black or white."
            if levels == 2
            else ""
        )
    else:
        hint = "Divide grey levels of 0 to 255 by 255."
    raise _refusal(model, wanted, f"given {value:g} at {index}", hint)


def _are_values(x: Tensor, levels: int | None) -> bool:
    """Whether all of x are values of a model; in as few passes over x as there can be."""
    steps = levels - 1 if levels else 1
    tolerance = max(_TOLERANCE, steps * torch.finfo(x.dtype).eps)
    if levels == 2:
        v = torch.addcmul(x, x, x, value=-1)  # x - x², which is 0 where x is 0 or 1
        flat = v.flatten()
        if float(flat.dot(flat)) <= tolerance**2:  # in half of the time of extremes
            return True
        return _within(v, -tolerance, tolerance)
    if levels:
        v = x * steps
        if not _within(v - v.round(), -tolerance, tolerance):
            return False
    return _within(x, -tolerance / steps, 1 + tolerance / steps)


def _within(x: Tensor, low: float, high: float) -> bool:
    """Whether all values are in a range; NaN is in none."""
    least, greatest = torch.aminmax(x)
    return low <= float(least) and float(greatest) <= high


def _is_there(x: Tensor) -> bool:
    """Whether every value is in memory."""
    return x.layout == torch.strided and not x.is_meta


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Real)) and not isinstance(value, bool)


def _whole_numbers(label: object) -> Tensor | None:
    """A label, or several, as a tensor; None for what are no whole numbers."""
    if isinstance(label, str | bytes):
        return None
    try:
        y = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError):  # of texts, of nested lists, of anything else
        return None
    whole = not (y.is_floating_point() or y.is_complex() or y.dtype == torch.bool)
    return y if whole and _is_there(y) else None


def _describe(x: object) -> str:
    if x is None:
        return "None"
    if isinstance(x, str | bytes | int | float | complex):
        return f"{quoted(x, SHORT)}, {type(x).__name__}"
    if not isinstance(x, Tensor):
        return f"a {type(x).__name__}"
    there = "" if _is_there(x) else ", meta" if x.is_meta else f", {x.layout}"
    return f"{tuple(x.shape)}, {x.dtype!s}{there}".replace("torch.", "")


def _refusal(model: object, wanted: str, given: str, hint: str = "") -> InvalidInput:
    return InvalidInput(f"{type(model).__name__} {wanted}; {given}. {hint}".rstrip())
