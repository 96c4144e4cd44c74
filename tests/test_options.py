"""Options as fields of a dataclass: what follows from them, and what is refused."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo_core.errors import InvalidInput
from zoo_core.options import Option, annotation, build, option, options_class, read

if TYPE_CHECKING:
    from collections import OrderedDict


@dataclass(frozen=True, kw_only=True)
class Options:
    steps: int = option(9, "Steps of each path", minimum=2, flags=("--steps", "-s"))
    path: str = option("auto", "How to go", choices=("auto", "line"))
    label: int | None = option(None, "The class", minimum=0)
    bound: float = option(0.5, "A bound", above=0, maximum=1, unit="nats")
    inputs: tuple[str, ...] = option((), "Inputs")
    mask: Path | None = option(None, "A picture")
    flip: bool = option(False, "Whether to mirror")


def test_an_option_is_read_from_its_field() -> None:
    known = read(Options)
    assert list(known) == ["steps", "path", "label", "bound", "inputs", "mask", "flip"]
    assert known["steps"].flags == ("--steps", "-s")
    assert known["inputs"].multiple and known["inputs"].kind is str
    assert known["label"].optional and known["label"].kind is int
    assert known["bound"].unit == "nats"
    assert known["bound"].expected == "a number above 0 and of at most 1"


def test_defaults_are_the_fields_and_values_are_converted() -> None:
    assert build(Options, {}, "it") == Options()
    made = build(Options, {"bound": 1, "inputs": "a", "mask": "m.png", "label": 3}, "it")
    assert made == Options(bound=1.0, inputs=("a",), mask=Path("m.png"), label=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 1}, "steps is 1; expected a whole number of at least 2."),
        ({"steps": 2.5}, "steps is 2.5; expected a whole number of at least 2."),
        ({"steps": True}, "steps is True; expected a whole number of at least 2."),
        ({"path": "lines"}, "path is 'lines'; expected auto or line."),
        ({"bound": float("nan")}, "bound is nan; expected a number above 0 and of at most 1."),
        ({"bound": 0}, "bound is 0; expected a number above 0 and of at most 1."),
        ({"flip": 1}, "flip is 1; expected true or false."),
        ({"inputs": ["a", 2]}, "inputs is 2; expected text."),
        ({"step": 3}, "it: unknown option 'step'. Did you mean steps?"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(Options, values, "it")
    assert str(caught.value).startswith(message)


def test_text_becomes_a_value() -> None:
    known = read(Options)
    assert known["steps"].parse("12", "--steps") == 12
    assert known["flip"].parse("True", "--flip") is True
    for text in ("many", "1"):
        with pytest.raises(InvalidInput, match=r"^--steps is "):
            known["steps"].parse(text, "--steps")
    with pytest.raises(InvalidInput, match=r"^--flip is 'yes'; expected true or false"):
        known["flip"].parse("yes", "--flip")


def test_a_field_of_another_type_is_the_authors_mistake() -> None:
    @dataclass(frozen=True)
    class Wrong:
        rows: dict[str, int] = option(None, "Rows")

    with pytest.raises(TypeError, match=r"Wrong.rows: an option is one of bool, int"):
        read(Wrong)


def test_a_record_is_plain() -> None:
    assert Option(name="x", kind=int, default=1, help="X").expected == "a whole number"


def count(model: "int | str", options: "Options", rest: "OrderedDict[str, int]") -> int:
    return options.steps


def test_a_function_says_which_options_it_takes() -> None:
    @functools.wraps(count)
    def wrapped(*args: Any) -> int:
        return count(*args)

    for function in (count, wrapped):
        assert options_class(function) is Options
        assert annotation(function, 0) == int | str
        assert annotation(function, 3) is None
        assert options_class(function, 0) is None
    assert options_class(lambda model, protocol: 1) is None


def test_an_annotation_for_type_checkers_alone_is_the_authors_mistake() -> None:
    with pytest.raises(TypeError, match=r"count: the annotation 'OrderedDict.* of 'rest' cannot"):
        annotation(count, 2)
