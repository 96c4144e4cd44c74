"""Conditions over entries, as in `zoo list --where 'params<5M and test_nll<90'`.

    condition  := conjunction ("or" conjunction)*
    conjunction := negation ("and" negation)*
    negation   := "not" negation | "(" condition ")" | comparison
    comparison := name operator value

Names of numbers are `params`, `bytes`, `year` and those of metrics, compared with a number that may
end in K, M or G; an entry that lacks the number fails the comparison. `name`, `family`,
`architecture` and `data` are texts, compared by `==` or `!=` with a quoted one.
"""

import operator
import re
from collections.abc import Callable, Iterable
from typing import Any

from zoo_core.errors import InvalidInput, did_you_mean
from zoo_core.registry import Entry

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

_Compare = Callable[[Any, Any], bool]

_OPERATORS: dict[str, _Compare] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}

_SCALE = {"": 1.0, "K": 1e3, "M": 1e6, "G": 1e9}

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)([KMG]?)", re.IGNORECASE)

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator><=|>=|==|!=|<|>|=)
      | (?P<paren>[()])
      | (?P<text>"[^"]*"|'[^']*')
      | (?P<word>[^\s()<>=!"']+)
    )""",
    re.VERBOSE,
)


def where(text: str, metrics: Iterable[str] = ()) -> Predicate:
    """Compile a condition.

    Args:
        text: the condition.
        metrics: names of the metrics that entries have.

    Raises InvalidInput that names what was not understood and what is allowed.
    """
    try:
        return _Parser(text, sorted(set(metrics))).parse()
    except RecursionError:
        raise InvalidInput("--where is nested too deeply; use fewer parentheses.") from None


def number(entry: Entry, name: str) -> float | None:
    """The entry's number of this name: a built-in one or a metric; None when it has none."""
    if name in NUMBERS:
        return NUMBERS[name](entry)
    return next((metric.value for metric in entry.metrics if metric.name == name), None)


class _Parser:
    """Recursive descent over the grammar above; one method a rule."""

    def __init__(self, text: str, metrics: list[str]) -> None:
        self.text = text
        self.metrics = metrics
        self.tokens = self._tokens()
        self.at = 0

    def parse(self) -> Predicate:
        found = self._condition()
        if self._peek():
            raise self._error(f"'{self._peek()}' where 'and', 'or' or the end was expected")
        return found

    def _condition(self) -> Predicate:
        terms = [self._conjunction()]
        while self._take("or"):
            terms.append(self._conjunction())
        return terms[0] if len(terms) == 1 else lambda entry: any(t(entry) for t in terms)

    def _conjunction(self) -> Predicate:
        terms = [self._negation()]
        while self._take("and"):
            terms.append(self._negation())
        return terms[0] if len(terms) == 1 else lambda entry: all(t(entry) for t in terms)

    def _negation(self) -> Predicate:
        if self._take("not"):
            inner = self._negation()
            return lambda entry: not inner(entry)
        if self._take("("):
            inner = self._condition()
            if not self._take(")"):
                raise self._error("a parenthesis is not closed")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._next("a name")
        if name in TEXTS:
            return self._of_text(name)
        if name in NUMBERS or name in self.metrics:
            return self._of_number(name)
        known = [*NUMBERS, *TEXTS, *self.metrics]
        raise self._error(
            f"unknown name '{name}'.{did_you_mean(name, known)} Allowed: {', '.join(known)}"
        )

    def _of_text(self, name: str) -> Predicate:
        compare = self._operator(name, ("==", "!="))
        value = self._next("a quoted text")
        if value[0] not in "\"'":
            raise self._error(f"{name} is compared with {value}; quote it: {name} == '{value}'")
        get, wanted = TEXTS[name], value[1:-1]
        return lambda entry: compare(get(entry), wanted)

    def _of_number(self, name: str) -> Predicate:
        compare = self._operator(name, tuple(_OPERATORS))
        value = self._next("a number")
        match = _NUMBER.fullmatch(value)
        if match is None:
            raise self._error(
                f"{name} is compared with {value}; expected a number such as 90 or 5M"
            )
        limit = float(match[1]) * _SCALE[match[2].upper()]
        return lambda entry: (given := number(entry, name)) is not None and compare(given, limit)

    def _operator(self, name: str, allowed: tuple[str, ...]) -> _Compare:
        given = self._next(f"one of {' '.join(allowed)}")
        given = "==" if given == "=" else given
        if given not in allowed:
            raise self._error(f"'{given}' after {name}; expected one of {' '.join(allowed)}")
        return _OPERATORS[given]

    def _tokens(self) -> list[str]:
        tokens, at, end = [], 0, len(self.text.rstrip())
        while at < end:
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise self._error(f"'{self.text[at:].strip()}' is not understood")
            tokens.append(match[0].strip())
            at = match.end()
        return tokens

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self, wanted: str) -> bool:
        taken = self._peek() == wanted
        self.at += taken
        return taken

    def _next(self, expected: str) -> str:
        token = self._peek()
        if not token:
            raise self._error(f"it ends where {expected} was expected")
        self.at += 1
        return token

    def _error(self, problem: str) -> InvalidInput:
        return InvalidInput(
            f"--where '{self.text}': {problem}. For example: params<5M and test_nll<90"
        )
