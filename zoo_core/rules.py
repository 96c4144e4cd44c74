"""What a value may be, in words and as a test: the rules of registries, recipes and records.

One rule makes both the check and its message, so that they cannot disagree.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo_core.errors import PluginError, ZooError, did_you_mean
from zoo_core.text import quoted

__all__ = [
    "Rule",
    "check_record",
    "check_table",
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
    error: type[ZooError],
    at: str = "",
) -> None:
    """Hold a table, and those inside it, against the rules of its keys.

    where: what messages begin with: the file, and which of its tables.
    at: the keys that led to the table, as `weights.`.

    Raises `error` that names the key, what was given and what is allowed.
    """
    for key in table:
        if key not in rules:
            raise error(
                f"{where}: unknown key '{at}{key}'.{did_you_mean(key, rules)} "
                f"Allowed: {', '.join(rules)}."
            )
    for key, rule in rules.items():
        if key in table:
            _check_value(table[key], rule, where, error, at + key)
        elif rule.required:
            raise error(f"{where}: '{at}{key}' is missing; expected {rule.expected}.")


def _check_value(value: Any, rule: Rule, where: str, error: type[ZooError], at: str) -> None:
    if not rule.accepts(value):
        raise error(f"{where}: '{at}' is {quoted(value, 80)}; expected {rule.expected}.")
    if rule.keys is None:
        return
    if isinstance(value, dict):
        check_table(value, rule.keys, where, error, f"{at}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            check_table(item, rule.keys, where, error, f"{at}[{index}].")


def check_record(record: Any, /, **rules: Rule) -> None:
    """Hold the fields of a plugin's record against their rules, from its `__post_init__`.

    Raises PluginError, on the line that makes the record, naming it, the field and what it expects.
    """
    kind = type(record).__name__.lower()
    for key, rule in rules.items():
        value = getattr(record, key)
        if not rule.accepts(value):
            what = f"{kind}'s name" if key == "name" else f"{kind} '{record.name}': {key}"
            raise PluginError(f"{what} is {quoted(value, 80)}; expected {rule.expected}")


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
