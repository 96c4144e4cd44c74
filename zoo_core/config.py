"""A config: the keywords that an architecture is built with, checked before it is built.

What is wrong is said by key and value, with what the architecture takes. Only types that JSON has
are checked before, and the ranges that annotations state, as `dropout: Rate`. Whether a size is
possible is for the class itself to say; where it does not, the one that is too small by its default
is named.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Literal

from zoo_core.errors import InvalidInput, ZooError
from zoo_core.rules import KINDS, Rule, at_least, check_table, is_int, is_number
from zoo_core.text import printable, quoted

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "Count",
    "NonNegative",
    "Positive",
    "Rate",
    "Size",
    "build",
    "check_call",
    "check_config",
    "check_trainer",
]

Count = Annotated[int, at_least(0)]
"""A whole number of at least 0."""
Size = Annotated[int, at_least(1)]
"""A whole number of at least 1."""
Rate = Annotated[
    float, Rule("a number of at least 0 and below 1", lambda v: is_number(v) and 0 <= v < 1)
]
"""The share of units that are dropped, or of values that are replaced."""
NonNegative = Annotated[float, Rule("a number of at least 0", lambda v: is_number(v) and v >= 0)]
"""A weight in a loss, or a standard deviation that may be none."""
Positive = Annotated[float, Rule("a number above 0", lambda v: is_number(v) and v > 0)]
"""A scale, or a count that smooths others."""

_FINITE = Rule("a finite number", is_number)
_UNBOUNDED = re.compile(KINDS[int].expected + "(?! of)")
"""A whole number whose range is not stated, in the words of a type."""


def build(cls: type[nn.Module], config: Mapping[str, object]) -> nn.Module:
    """Construct an architecture from its config.

    Raises InvalidInput for a key that is not one of the class's arguments, one that is missing, or
    a value that does not fit.
    """
    parameters, where = _parameters(cls), f"the config of {cls.__name__}"
    check_table(config, {key: _rule(parameter) for key, parameter in parameters.items()}, where)
    try:
        model = cls(**config)
    except ZooError:
        raise
    except Exception as error:  # the class is a stranger's, and so is what it raises
        _check_sizes(config, parameters, where)
        values = ", ".join(f"{key} = {quoted(value)}" for key, value in config.items())
        raise InvalidInput(
            f"{cls.__name__} cannot be built with {values or 'no config'}: "
            f"{type(error).__name__}: {printable(error)}"
        ) from error
    _check_sizes(config, parameters, where, model)
    return model


def check_config(cls: type, config: Mapping[str, object]) -> None:
    """Check the keys of a config that is not whole yet; raises InvalidInput as `build`."""
    check_table(config, _optional(_parameters(cls)), f"the config of {cls.__name__}")


def check_trainer(cls: type, table: Mapping[str, object]) -> None:
    """Check a recipe's `[trainer]`, the arguments of a trainer after its model.

    Raises InvalidInput as `build`.
    """
    check_call(cls, table, "trainer.", given=1)


def check_call(
    function: Callable[..., object], table: Mapping[str, object], at: str, given: int = 0
) -> None:
    """Check the keywords that a recipe gives to a function, such as one that makes a network.

    at: what keys begin with, as "trainer.discriminator.".
    given: number of its first arguments that no recipe gives.

    Raises InvalidInput as `build`.
    """
    arguments = dict(list(_parameters(function).items())[given:])
    check_table(table, _optional(arguments), f"the arguments of {function.__qualname__}", at=at)


def _check_sizes(
    config: Mapping[str, object],
    parameters: Mapping[str, inspect.Parameter],
    where: str,
    model: nn.Module | None = None,
) -> None:
    """Name a size that is below 1, or below 0 where that is its default.

    model: what was built all the same. If all of its weights have elements, a zero is a count, as
        of further layers, and a negative number without a default may be a place from the end.
    """
    for key, value in config.items():
        default, given = _numbers(parameters[key].default), min(_numbers(value), default=1)
        words, least = _words(parameters[key].annotation), 0 if 0 in default else 1
        if given >= least or min(default, default=0) < 0 or not _UNBOUNDED.search(words):
            continue
        if model is None or (given < 0 and default) or _has_empty(model):
            expected = _UNBOUNDED.sub(at_least(least).expected, words)
            raise InvalidInput(f"{where}: {key} is {quoted(value, 80)}; expected {expected}.")


def _numbers(value: object) -> list[int]:
    """The whole numbers of a value, those in lists too."""
    if isinstance(value, list | tuple):
        return [number for one in value for number in _numbers(one)]
    return [value] if isinstance(value, int) and is_int(value) else []


def _has_empty(model: nn.Module) -> bool:
    return any(not weight.numel() for weight in model.parameters())


def _rule(parameter: inspect.Parameter) -> Rule:
    hint = parameter.annotation
    required = parameter.default is parameter.empty
    return Rule(_words(hint), lambda value: _fits(value, hint), required)


def _optional(parameters: Mapping[str, inspect.Parameter]) -> dict[str, Rule]:
    return {key: _rule(each)._replace(required=False) for key, each in parameters.items()}


def _parameters(cls: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(cls, eval_str=True).parameters
    except Exception:  # names that only type checkers import: then the class checks its values
        return inspect.signature(cls).parameters


def _fits(value: object, hint: object) -> bool:
    """Whether a value is of a type; of types that JSON does not have, any value is."""
    if rule := _stated(hint):
        return rule.accepts(value)
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind in (typing.Union, UnionType):
        return any(_fits(value, one) for one in arguments)
    if kind is Literal:
        return value in arguments
    if _is_list(kind, arguments):
        if not isinstance(value, Sequence) or isinstance(value, str):
            return False
        return all(_fits(one, arguments[0]) for one in value)
    return True


def _words(hint: object) -> str:
    """A type in words: `a list, each of it a whole number`."""
    if rule := _stated(hint):
        return rule.expected
    kind, arguments = typing.get_origin(hint), typing.get_args(hint)
    if kind in (typing.Union, UnionType):
        return " or ".join(map(_words, arguments))
    if kind is Literal:
        return " or ".join(map(repr, arguments))
    if _is_list(kind, arguments):
        return f"a list ({_words(arguments[0])} each)"
    return str(hint)


def _stated(hint: object) -> Rule | None:
    """The rule of a type that JSON has, or of one that states its range; None of others."""
    if typing.get_origin(hint) is Annotated:
        kind, *stated = typing.get_args(hint)
        return next((rule for rule in stated if isinstance(rule, Rule)), _stated(kind))
    if hint is float:
        return _FINITE  # JSON has no other numbers
    return KINDS.get(hint) if isinstance(hint, type) else None


def _is_list(kind: object, arguments: tuple[object, ...]) -> bool:
    """Whether a type is of lists of any length: JSON has no tuples."""
    return (kind is tuple and arguments[1:] == (...,)) or (
        kind in (list, Sequence) and bool(arguments)
    )
