"""Conditions over entries, as in `zoo list --where 'params<5M and test_nll<90'`.

    condition  := conjunction ("or" conjunction)*
    conjunction := negation ("and" negation)*
    negation   := "not" negation | "(" condition ")" | comparison
    comparison := name operator value

Names of numbers are `params`, `bytes`, `year` and those of metrics, compared with a number that may
end in K, M or G; an entry that lacks the number fails the comparison. `name`, `family`,
`architecture` and `data` are texts, compared by `==` or `!=` with a quoted one.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.registry import Entry
from zoo_core.text import argument

__all__ = ["NUMBERS", "TEXTS", "number", "where"]

Predicate = Callable[[Entry], bool]

NUMBERS: dict[str, Callable[[Entry], float | None]] = {
    "params": lambda entry: entry.weights.parameters,
    "bytes": lambda entry: entry.weights.bytes,
    "year": lambda entry: entry.paper.year if entry.paper else None,
}
"""What can be compared with a number, beside the metrics."""

TEXTS: dict[str, Callable[[Entry], str]] = {
    "name": lambda entry: entry.name,
    "family": lambda entry: entry.family,
    "architecture": lambda entry: entry.architecture,
    "data": lambda entry: entry.data,
}
"""What can be compared with a quoted text."""

_OPERATORS: dict[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
}

_EXPECTED = "expected comparisons such as year>2015, joined by and, or, not"

_DEEP = "it is nested too deeply; use fewer parentheses"

_EXPONENT = {"K": 3, "M": 6, "G": 9}

_TOKEN = re.compile(
    r"""(?P<text>"[^"]*"|'[^']*')
      | (?<![\w.])(?P<number>\d+\.?\d*|\.\d+)(?P<unit>[KMG])(?![\w.])
      | (?P<equal>(?<![<>=!])=(?!=))
      | (?P<space>\s+)
      | (?P<strange>["'\#\\\0])""",
    re.VERBOSE | re.IGNORECASE,
)
"""What is written otherwise in Python, which parses the rest."""


def where(text: str, metrics: Iterable[str] = ()) -> Predicate:
    """Compile a condition.

    Args:
        text: the condition.
        metrics: names of the metrics that entries have.

    Raises InvalidInput that names what was not understood and what is allowed.
    """
    try:
        tree = ast.parse(_TOKEN.sub(_as_python, text).strip(), mode="eval")
        return _predicate(tree.body, sorted(set(metrics)))
    except SyntaxError as error:
        problem = _problem(error)
    except (RecursionError, MemoryError):  # the second is what Python's parser raises
        problem = _DEEP
    raise InvalidInput(
        f"{argument('where', text)}: {problem}. For example: params<5M and test_nll<90"
    )


def number(entry: Entry, name: str) -> float | None:
    """The entry's number of this name: a built-in one or a metric; None when it has none."""
    if name in NUMBERS:
        return NUMBERS[name](entry)
    return next((metric.value for metric in entry.metrics if metric.name == name), None)


def _as_python(token: re.Match[str]) -> str:
    if token["text"]:
        return repr(token["text"][1:-1])
    if token["number"]:
        return f"{token['number']}e{_EXPONENT[token['unit'].upper()]}"
    if token["strange"]:
        raise SyntaxError(f"'{token.string[token.start() :].strip()}' is not understood")
    return "==" if token["equal"] else " "


def _predicate(node: ast.expr, metrics: list[str]) -> Predicate:
    """What a node of the tree says of an entry; raises SyntaxError for all that is no condition."""
    match node:
        case ast.BoolOp(op=op, values=values):
            terms = [_predicate(value, metrics) for value in values]
            join = any if isinstance(op, ast.Or) else all
            return lambda entry: join(term(entry) for term in terms)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _predicate(operand, metrics)
            return lambda entry: not inner(entry)
        case ast.Compare(left=ast.Name(id=name), ops=[sign], comparators=[value]):
            return _comparison(name, sign, value, metrics)
        case ast.Name(id=name):
            signs = " ".join(_signs(name, metrics))
            raise SyntaxError(f"it ends after {name}, where one of {signs} was expected")
    raise SyntaxError(f"'{ast.unparse(node)}' is not understood; {_EXPECTED}")


def _comparison(name: str, sign: ast.cmpop, value: ast.expr, metrics: list[str]) -> Predicate:
    signs = _signs(name, metrics)
    given, compare = _OPERATORS.get(type(sign), (type(sign).__name__.lower(), operator.eq))
    if given not in signs:
        raise SyntaxError(f"'{given}' after {name}; expected one of {' '.join(signs)}")
    try:
        wanted = ast.literal_eval(value)
    except ValueError:
        wanted = None
    shown = ast.unparse(value)
    if name in TEXTS:
        if not isinstance(wanted, str):
            raise SyntaxError(f"{name} is compared with {shown}; quote it: {name} == '{shown}'")
        get = TEXTS[name]
        return lambda entry: compare(get(entry), wanted)
    if type(wanted) not in (int, float):
        raise SyntaxError(f"{name} is compared with {shown}; expected a number such as 90 or 5M")
    return lambda entry: (figure := number(entry, name)) is not None and compare(figure, wanted)


def _signs(name: str, metrics: list[str]) -> list[str]:
    """The operators that may follow a name."""
    known = [*NUMBERS, *TEXTS, *metrics]
    if name not in known:
        allowed = f"{did_you_mean(name, known)} Allowed: {', '.join(known)}"
        raise SyntaxError(f"unknown name '{name}'.{allowed}")
    return ["==", "!="] if name in TEXTS else [sign for sign, _ in _OPERATORS.values()]


def _problem(error: SyntaxError) -> str:
    """Our own words for a syntax error; Python's are about Python."""
    if error.text is None:
        return error.msg
    if "never closed" in error.msg:
        return "a parenthesis is not closed"
    if "nested" in error.msg:
        return _DEEP
    if "digits" in error.msg:
        return "a number has thousands of digits"
    begin, end = error.offset or 0, error.end_offset or 0
    given = error.text[begin - 1 : end - 1 if end > begin else None] if begin else ""
    if not given.strip():
        return "it ends where a name or a value was expected"
    return f"'{given.strip()}' is not understood; {_EXPECTED}"
