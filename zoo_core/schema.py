"""What a registry file may hold, schema 1, and the messages for one that holds something else."""

import tomllib
from collections.abc import Mapping
from typing import Any

from zoo_core.errors import InvalidRegistry
from zoo_core.rules import Rule, check_table, is_int, is_line, is_number, is_plain, matching

__all__ = ["SCHEMA", "check_recipe", "parse"]

SCHEMA = 1
"""The schema that is read, which a registry names in its first line."""

MAX_DOTS = 100
"""Limit on dots in one line: tomllib takes quadratic time on a key nested thousands deep."""


def parse(data: bytes, origin: str) -> dict[str, Any]:
    """Parse and validate a registry; what is returned also survives JSON.

    Args:
        data: the file's bytes.
        origin: path or URL of the file, for messages.

    Raises InvalidRegistry naming file, entry, key, what was given and what is allowed.
    """
    try:
        document = _document(data, origin)
        _check(document, origin)
    except RecursionError:
        raise InvalidRegistry(f"{origin}: nested too deeply to be a registry.") from None
    return document


def _check(document: dict[str, Any], origin: str) -> None:
    check_table(document, _REGISTRY, origin, InvalidRegistry)
    for number, entry in enumerate(document.setdefault("entry", []), start=1):
        name = entry.get("name")
        where = (
            f"{origin}: entry {name!r}" if isinstance(name, str) else f"{origin}: entry {number}"
        )
        check_table(entry, _ENTRY, where, InvalidRegistry)
        _check_name(entry, where)
    gone = [old["name"] for old in document.get("withdrawn", ())]
    for name in gone:
        if gone.count(name) > 1:
            raise InvalidRegistry(f"{origin}: '{name}' is withdrawn twice; remove one.")
        if any(entry["name"] == name for entry in document["entry"]):
            raise InvalidRegistry(
                f"{origin}: '{name}' is an entry and withdrawn; remove one of the two."
            )


def check_recipe(entry: Mapping[str, Any], where: str) -> None:
    """Validate what a recipe says of the entry that training will write: its table `[entry]`.

    Raises InvalidInput, as `parse` raises InvalidRegistry.
    """
    check_table(entry, _RECIPE, where, at="entry.")
    for name, figure in entry.get("published", {}).items():
        check_table(figure, _PUBLISHED, where, at=f"entry.published.{name}.")


def _document(data: bytes, origin: str) -> dict[str, Any]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if (dots := line.count(b".")) > MAX_DOTS:
            raise InvalidRegistry(
                f"{origin}: line {number} has {dots:,} dots; expected at most {MAX_DOTS}."
            )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidRegistry(f"{origin}: not UTF-8 text ({error}).") from None
    except ValueError as error:  # TOMLDecodeError, and that of numbers with thousands of digits
        raise InvalidRegistry(f"{origin}: not TOML: {error}.") from None


def _check_name(entry: Mapping[str, Any], where: str) -> None:
    if not entry["name"].startswith(f"{entry['architecture']}."):
        raise InvalidRegistry(
            f"{where}: the name must start with its architecture, "
            f"'{entry['architecture']}.', as in '{entry['architecture']}.mnist'."
        )


# Rules


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _is_by_name(value: object) -> bool:
    return isinstance(value, dict) and _is_tables(list(value.values())) and is_plain(value)


def _are_checksums(value: object) -> bool:
    is_checksum = matching(r"[0-9]{1,18}:[0-9a-f]{16}")
    return isinstance(value, list) and all(map(is_checksum, value))


def _line(expected: str = "one line of text", *, required: bool = True) -> Rule:
    return Rule(expected, is_line, required)


def _lines(expected: str, *, required: bool = True) -> Rule:
    return Rule(
        expected, lambda value: isinstance(value, list) and all(map(is_line, value)), required
    )


def _count(expected: str) -> Rule:
    return Rule(expected, lambda value: is_int(value) and value >= 0)


def _plain(expected: str) -> Rule:
    return Rule(expected, lambda value: isinstance(value, dict) and is_plain(value))


def _table(keys: Mapping[str, Rule], *, required: bool = True) -> Rule:
    expected = f"a table with {', '.join(keys)}"
    return Rule(expected, lambda value: isinstance(value, dict), required, keys)


_WEIGHTS = {
    "url": _line("a path relative to the registry file, or a URL"),
    "sha256": Rule("64 hexadecimal digits in lower case", matching("[0-9a-f]{64}")),
    "bytes": _count("the file's size, a whole number"),
    "parameters": _count("the number of parameters, a whole number"),
    "checksums": Rule("a list of texts STEP:CHECKSUM", _are_checksums, required=False),
    "seen": Rule("a whole number of rows", lambda v: is_int(v) and v > 0, required=False),
}

_PAPER = {
    "title": _line(),
    "authors": _line("the authors in one line of text"),
    "year": Rule("a year", lambda value: is_int(value) and 1900 <= value <= 2200),
    "url": _line("an address", required=False),
}

_METRIC = {
    "name": Rule("a name such as test_nll", matching("[a-z][a-z0-9_]*")),
    "value": Rule("a finite number", is_number),
    "unit": _line("a unit such as nats"),
    "tolerance": Rule("a number that is not negative", lambda v: is_number(v) and v >= 0),
    "protocol": _plain("a table of what `zoo eval` needs, such as {data = 'mnist:test'}"),
    "real": Rule("a finite number: that of data in the samples' place", is_number, required=False),
    "standard_error": Rule(
        "a number that is not negative", lambda v: is_number(v) and v >= 0, required=False
    ),
    "training_seeds": Rule(
        "a list of finite numbers",
        lambda v: isinstance(v, list) and all(map(is_number, v)),
        required=False,
    ),
    "published": Rule("a finite number", is_number, required=False),
    "source": _line("where the published figure stands", required=False),
    "seen": Rule("a whole number of images", lambda v: is_int(v) and v > 0, required=False),
}

_LICENCE = {
    "code": _line("an SPDX identifier such as Apache-2.0"),
    "weights": _line("an SPDX identifier such as CC-BY-4.0"),
}

_DEPRECATED = {
    "successor": _line("the name of the entry that takes its place"),
    "reason": _line("one line of text", required=False),
}

_NAME = Rule(
    "architecture.variant in lower case, digits and hyphens, such as nade.mnist",
    matching(r"[a-z0-9][a-z0-9-]*\.[a-z0-9][a-z0-9.-]*"),
)

_ENTRY = {
    "name": _NAME,
    "summary": _line(),
    "family": _line("a family's name, such as autoregressive"),
    "requires": Rule(
        "a distribution and version range, such as 'zoo-autoregressive>=0.1,<0.2'",
        matching(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*([<>=!~][ -~]*)?"),
    ),
    "architecture": _line("an architecture's name, such as nade"),
    "tasks": _lines("a list of tasks, such as ['sample', 'score']"),
    "tags": _lines("a list of words", required=False),
    "clusters": Rule(
        "a list of what each cluster mostly holds, such as nines; '' for no one thing",
        lambda value: isinstance(value, list) and all(v == "" or is_line(v) for v in value),
        False,
    ),
    "data": _line("a data set's name, such as mnist"),
    "recipe": _line("a path relative to the registry file, or a URL", required=False),
    "licence": _table(_LICENCE),
    "config": _plain("a table of numbers, texts, booleans, lists and tables"),
    "weights": _table(_WEIGHTS),
    "paper": _table(_PAPER, required=False),
    "deprecated": _table(_DEPRECATED, required=False),
    "metrics": Rule("an array of tables, [[entry.metrics]]", _is_tables, False, _METRIC),
}

_WITHDRAWN = {"name": _NAME, **_DEPRECATED}

_REGISTRY = {
    "schema": Rule(
        f"{SCHEMA}, the schema that this version of zoo reads",
        lambda value: is_int(value) and value == SCHEMA,
    ),
    "mirrors": _lines("a list of paths or URLs", required=False),
    "entry": Rule("an array of tables, [[entry]]", _is_tables, required=False),
    "withdrawn": Rule("an array of tables, [[withdrawn]]", _is_tables, False, _WITHDRAWN),
}

_PUBLISHED = {  # what is known from elsewhere
    key: _METRIC[key]._replace(required=False) for key in ("published", "source", "seen")
}

_RECIPE = {
    **{
        key: rule._replace(required=False)
        for key, rule in _ENTRY.items()
        if key not in ("config", "weights", "metrics")  # what training decides and measures
    },
    "published": Rule("tables by metric, such as [entry.published.test_nll]", _is_by_name, False),
    "protocol": Rule("tables by metric, such as [entry.protocol.test_nll]", _is_by_name, False),
}
