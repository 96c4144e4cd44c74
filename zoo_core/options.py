"""Options as the fields of a frozen dataclass: each is one line, in one file.

A task, a metric or a data set says what it takes by such a class. Flags of `zoo run` and their
help, completion, the tables of the documentation, the keywords of `zoo_core.run` and the keys of a
metric's protocol all follow from its fields, and `build` checks values for all of them.

    @dataclass(frozen=True, kw_only=True)
    class Options:
        steps: int = option(9, "Steps of each path, with both ends", minimum=2)
        path: str = option("auto", "How to go", choices=("auto", "line", "arc"))
"""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from zoo_core.errors import InvalidInput
from zoo_core.rules import KINDS, Rule, check_names, check_value, is_number
from zoo_core.text import quoted

__all__ = ["Option", "annotation", "build", "option", "options_class", "read"]

T = TypeVar("T")

_KINDS: tuple[type, ...] = (bool, int, float, str, Path, object)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option, as its field describes it."""

    name: str
    """As a keyword: `batch_size`."""
    kind: type
    """bool, int, float, str or Path, or object for data, which Python gives as tensors too; of each
    value where there can be several."""
    default: Any
    help: str
    """One line, no full stop."""
    unit: str = ""
    """Of the value: pixels, nats, %."""
    multiple: bool = False
    """Whether it takes several values, as a tuple."""
    optional: bool = False
    """Whether None is a value."""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    above: float | None = None
    """A bound that is excluded itself."""
    maximum: float | None = None
    below: float | None = None
    """A bound that is excluded itself."""
    flags: tuple[str, ...] = ()
    """As they are typed: `--batch-size`, `-n`."""
    metavar: str = ""
    """What help shows in the place of a value, as DOMAIN."""

    @property
    def expected(self) -> str:
        """What a value must be, in words: `a whole number of at least 2`."""
        if self.choices:
            return " or ".join(self.choices)
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (
                ("of at least", self.minimum),
                ("above", self.above),
                ("of at most", self.maximum),
                ("below", self.below),
            )
            if bound is not None
        ]
        return " ".join([KINDS[self.kind].expected, " and ".join(bounds)]).strip()

    @property
    def rule(self) -> Rule:
        """What one value must be."""
        return Rule(self.expected, self._accepts, required=False)

    def check(self, value: object, where: str) -> Any:
        """Return a value as the option's type.

        where: how messages name the option, as `--steps` or `steps`.

        Raises InvalidInput for a value of another type, out of bounds or not among the choices.
        """
        if not self.multiple or value is None:
            return self._one(value, where)
        if isinstance(value, str | Path) or not isinstance(value, list | tuple):
            value = (value,)
        return tuple(self._one(item, where) for item in value)

    def parse(self, text: str, where: str) -> Any:
        """Return what was typed as a value; as `check` otherwise."""
        if self.kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        try:
            parse = str if self.kind in (bool, object) else self.kind
            return self._one(parse(text), where)
        except ValueError:
            raise InvalidInput(f"{where} is {quoted(text)}; expected {self.expected}.") from None

    def words(self, value: Any) -> list[str]:
        """A value as it is typed: `--steps 9`, `--prompt a --prompt b`, `--invert`."""
        flag = self.flags[0]
        if self.kind is bool:
            return [flag if value else f"--no-{flag.removeprefix('--')}"]
        given = value if self.multiple else (value,)
        return [word for one in given for word in (flag, str(one))]

    def _one(self, value: Any, where: str) -> Any:
        if self.kind is Path and isinstance(value, str):
            value = Path(value)
        check_value(value, self.rule, where)
        return float(value) if self.kind is float and value is not None else value

    def _accepts(self, value: Any) -> bool:
        if value is None or self.choices:
            return value in self.choices or (value is None and self.optional)
        if not KINDS[self.kind].accepts(value):
            return False
        return self.kind not in (int, float) or (
            is_number(value)
            and (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )


def option(
    default: object,
    help: str,  # noqa: A002 - click's and argparse's word for it
    *,
    unit: str = "",
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
    flags: tuple[str, ...] = (),
    metavar: str = "",
) -> Any:
    """Make a field of an options class: its default, and what it means in one line.

    flags: as they are typed, where they differ from the field's name with hyphens.
    """
    described = {
        "help": help,
        "unit": unit,
        "choices": choices,
        "minimum": minimum,
        "above": above,
        "maximum": maximum,
        "below": below,
        "flags": flags,
        "metavar": metavar,
    }
    return field(default=default, metadata={"zoo": described})


def read(cls: type) -> dict[str, Option]:
    """The options of a class by name, in its order; fields that `option` did not make are none.

    Raises TypeError for a field of a type that no option has.
    """
    hints = typing.get_type_hints(cls)
    found = {}
    for each in fields(cls):
        if "zoo" not in each.metadata:
            continue
        if each.default is MISSING:
            raise TypeError(f"{cls.__name__}.{each.name} has no default")
        described = dict(each.metadata["zoo"])
        described["flags"] = described["flags"] or (f"--{each.name.replace('_', '-')}",)
        kind, multiple, optional = _kind(hints[each.name], f"{cls.__name__}.{each.name}")
        found[each.name] = Option(
            name=each.name,
            kind=kind,
            default=each.default,
            multiple=multiple,
            optional=optional,
            **described,
        )
    return found


def build(cls: type[T], values: Mapping[str, object], owner: str) -> T:
    """Make an options object from keywords, every one checked.

    owner: who takes them, for messages: `the task interpolate`.

    Raises InvalidInput for an unknown option, or a value that does not fit.
    """
    known = read(cls)
    check_names(values, known, owner, noun="option")
    return cls(**{name: known[name].check(value, name) for name, value in values.items()})


def annotation(function: Callable[..., Any], place: int) -> Any:
    """What a function's argument is annotated with, by its place from 0; None for no annotation.

    Raises TypeError where the annotation cannot be resolved: its name is imported for type checkers
    alone, say.
    """
    function = inspect.unwrap(function)
    parameters = list(inspect.signature(function).parameters.values())
    if place >= len(parameters) or parameters[place].annotation is inspect.Parameter.empty:
        return None
    given = parameters[place].annotation
    # alone: the other annotations may well be there for type checkers only
    alone = types.SimpleNamespace(__annotations__={"it": given})
    scope = getattr(function, "__globals__", {})
    try:
        return typing.get_type_hints(alone, scope)["it"]
    except NameError as error:
        name = parameters[place].name
        raise TypeError(
            f"{function.__module__}.{function.__qualname__}: the annotation {given!r} of {name!r} "
            f"cannot be resolved ({error}); import it outside of TYPE_CHECKING"
        ) from None


def options_class(function: Callable[..., Any], place: int = 1) -> type | None:
    """The dataclass of options that a task or metric takes as its argument `place`.

    None where the argument is annotated with something else.

    Raises TypeError as `annotation`, and for a class with a field of a type that no option has.
    """
    cls = annotation(function, place)
    if not (isinstance(cls, type) and is_dataclass(cls)):
        return None
    read(cls)
    return cls


def _kind(hint: object, where: str) -> tuple[type, bool, bool]:
    """The type of one value, whether there can be several, and whether None is one."""
    optional = False
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        rest = [one for one in typing.get_args(hint) if one is not type(None)]
        optional, hint = True, rest[0] if len(rest) == 1 else None
    multiple = typing.get_origin(hint) is tuple
    if multiple:
        hint = typing.get_args(hint)[0]
    if hint not in _KINDS:
        kinds = ", ".join(kind.__name__ for kind in _KINDS)
        raise TypeError(f"{where}: an option is one of {kinds}, a tuple of them, or None as well")
    return hint, multiple, optional
