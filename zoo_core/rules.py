"""What a value may be, in words and as a test: of registries, recipes, configs, options, records.

One rule makes both the check and its message, so that they cannot disagree.
"""

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from zoo_core.errors import InvalidInput, PluginError, ZooError, did_you_mean
from zoo_core.text import quoted

__all__ = [
    "KINDS",
    "NAME",
    "Rule",
    "at_least",
    "check_names",
    "check_record",
    "check_table",
    "check_value",
    "is_int",
    "is_line",
    "is_number",
    "is_plain",
    "matching",
]

MAX_INT = 2**63
"""TOML's own limit, which tomllib does not check; longer numbers cannot even be printed."""


class Rule(NamedTuple):
    """What one key accepts; `keys` are those of a table, or of each table in an array."""

    expected: str
    accepts: Callable[[Any], bool]
    required: bool = True
    keys: Mapping[str, "Rule"] | None = None


def check_table(
    table: Mapping[str, Any],
    rules: Mapping[str, Rule],
    where: str,
    error: type[ZooError] = InvalidInput,
    at: str = "",
    noun: str = "key",
) -> None:
    """Check a table, and those inside it, against the rules of its keys.

    where: what messages begin with: the file, and which of its tables.
    at: the keys that led to the table, as `weights.`.
    noun: what messages call a key.

    Raises `error` that names the key, what was given and what is allowed.
    """
    check_names(table, rules, where, error, at, noun)
    for key, rule in rules.items():
        if key in table:
            check_value(table[key], rule, f"{where}: {at}{key}", error)
            if rule.keys and isinstance(table[key], dict):
                check_table(table[key], rule.keys, where, error, f"{at}{key}.")
            elif rule.keys:
                for index, item in enumerate(table[key]):
                    check_table(item, rule.keys, where, error, f"{at}{key}[{index}].")
        elif rule.required:
            raise error(f"{where}: {at}{key} is missing; expected {rule.expected}.")


def check_names(
    names: Iterable[str],
    known: Collection[str],
    where: str,
    error: type[ZooError] = InvalidInput,
    at: str = "",
    noun: str = "key",
) -> None:
    """Raise `error` for a name that is not known; arguments as those of `check_table`."""
    for name in names:
        if name not in known:
            raise error(
                f"{where}: unknown {noun} {quoted(at + name)}.{did_you_mean(name, known)} "
                f"Allowed: {', '.join(known) or 'none'}."
            )


def check_value(
    value: object, rule: Rule, where: str, error: type[ZooError] = InvalidInput
) -> None:
    """Raise `error` for a value that its rule does not accept.

    where: what messages begin with: the name of the value, and where it was given.
    """
    if not rule.accepts(value):
        size = ", in 64 bits" if type(value) is int and not is_int(value) else ""
        raise error(f"{where} is {quoted(value, 80)}; expected {rule.expected}{size}.")


def check_record(record: Any, /, **rules: Rule) -> None:
    """Check the fields of a plugin's record against their rules, from its `__post_init__`.

    Raises PluginError, on the line that makes the record, naming it, the field and what it expects.
    """
    kind = type(record).__name__.lower()
    for key, rule in rules.items():
        what = f"{kind}'s name" if key == "name" else f"{kind} '{record.name}': {key}"
        check_value(getattr(record, key), rule, what, PluginError)


# Tests of values


def is_line(value: object) -> bool:
    """Whether it is text of one line; none that sends control sequences to a terminal."""
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def is_int(value: object) -> bool:
    """Whether it is a whole number that TOML can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -MAX_INT <= value < MAX_INT


def is_number(value: object) -> bool:
    """Whether it is a finite number."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))


def is_plain(value: object) -> bool:
    """Whether it is made of tables, lists, texts, numbers and booleans alone."""
    if isinstance(value, dict):
        return all(is_plain(item) for item in value.values())
    if isinstance(value, list):
        return all(is_plain(item) for item in value)
    return isinstance(value, bool | str) or is_number(value)


def matching(pattern: str) -> Callable[[object], bool]:
    """The test of a text against a regular expression, all of it."""
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


KINDS: dict[type, Rule] = {
    bool: Rule("true or false", lambda value: isinstance(value, bool)),
    int: Rule("a whole number", is_int),
    float: Rule("a number", lambda v: isinstance(v, int | float) and not isinstance(v, bool)),
    str: Rule("text", lambda value: isinstance(value, str)),
    Path: Rule("a path", lambda value: isinstance(value, Path)),
    object: Rule("data", lambda value: True),
    NoneType: Rule("none", lambda value: value is None),
}
"""The rule of each type that options and configs are made of."""


NAME = Rule("a name or a path", lambda value: isinstance(value, str | os.PathLike))
"""Of what is looked up: an entry, a run folder, a file."""


def at_least(least: int) -> Rule:
    """The rule of a whole number with a lower bound."""
    return Rule(f"a whole number of at least {least}", lambda v: is_int(v) and v >= least)
